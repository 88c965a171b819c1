"""The demo's app: what its jobs do. A small example of how a service declares its own."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import attrs

from .. import Gusto, Options, current_job, exponential
from ..storage.sqlite import SqliteStorage

CHUNK = 1 << 20
"""Bytes hashed at a time."""

SERVED = "hashing"
"""The queue that the demo's worker serves."""

UNSERVED = "night-shift"
"""A queue that nobody serves, so that its job expires."""


class DiskHiccup(OSError):
    """Raised on purpose, to show a retry."""


@attrs.frozen
class Hashed:
    """What hashing one file gave."""

    sha256: str
    size: int


def make_app(database: Path, concurrency: int) -> Gusto:
    """An app on ``database`` that knows how to hash files."""
    app = Gusto(SqliteStorage(database), options=Options(concurrency=concurrency, queues=[SERVED]))
    app.job(name="demo.hash_file", max_attempts=5, timeout=60, retry=exponential(base=0.2))(
        hash_file
    )
    return app


def hash_file(path: str, hiccups: int, pace: float) -> Hashed:
    """Hash one file; fail the first ``hiccups`` times. A plain function runs in a thread."""
    if current_job().attempt <= hiccups:
        raise DiskHiccup(f"{path}: the disk hiccuped (on purpose)")
    threading.Event().wait(pace)
    digest = hashlib.sha256()
    size = 0
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Hashed(digest.hexdigest(), size)
