"""A disk with little space, where this process may have one: a file system in memory, that goes with it.

It is mounted in a name space of its own, which needs no rights on most systems, and nobody else sees it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SIZE = "48m"

_NEW_MOUNTS, _NEW_USERS, _PRIVATE = 0x20000, 0x10000000, 0x44000
_CHUNK = 64 << 10


def may_mount() -> bool:
    """Go to a name space in which this process may mount; ``False``, and nothing done, where there is none."""
    if sys.platform != "linux":
        return False
    child = os.fork()  # tries it
    if child == 0:
        os._exit(0 if _go() else 1)
    return os.waitpid(child, 0)[1] == 0 and _go()


def _go() -> bool:
    libc = ctypes.CDLL(None)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_MOUNTS | (_NEW_USERS if user else 0)):
        return False
    try:
        if user:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except OSError:
        return False
    return not libc.mount(None, b"/", None, _PRIVATE, None)


def mount(place: Path) -> bool:
    """Mount a small disk at a folder that is there."""
    options = f"size={SIZE}".encode()
    return not ctypes.CDLL(None).mount(b"small", bytes(place), b"tmpfs", 0, options)


def unmount(place: Path) -> None:
    """Take it away, with all that is on it."""
    ctypes.CDLL(None).umount2(bytes(place), 2)


@contextmanager
def filled(place: Path) -> Generator[None]:
    """Fill what space is left, for as long as the block runs."""
    ballast = place / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for chunk in (_CHUNK, 512):
                try:
                    while file.write(bytes(chunk)) == chunk:
                        pass
                except OSError:
                    pass  # that is what it is for
        yield
    finally:
        ballast.unlink(missing_ok=True)
