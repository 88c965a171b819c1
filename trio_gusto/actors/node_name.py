"""The name of one run of an app, which leases are held under."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable


def node_name(name: str | None, entropy: Callable[[int], bytes]) -> str:
    """Readable, and never used before or again; ``None`` stands for host and process."""
    readable = name or f"{socket.gethostname()}-{os.getpid()}"
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', readable)}-{entropy(6).hex()}"
