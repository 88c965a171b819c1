"""The demo's app: what its jobs do. A small example of how a service declares its own."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import attrs
import trio

from ... import Fail, Gusto, Options, current_job, exponential
from ...storage.sqlite import SqliteStorage

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
    options = Options(concurrency=concurrency, queues=[SERVED], drain_timeout=10)
    app = Gusto(SqliteStorage(database), options=options)
    app.job(name="demo.hash_file", max_attempts=5, timeout=600, retry=exponential(base=0.2))(
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
    try:
        with Path(path).open("rb") as file:
            while chunk := file.read(CHUNK):
                trio.from_thread.check_cancelled()  # a thread ends early only if it asks
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        # It will not be better next time, so no more attempts.
        raise Fail(f"cannot be read: {error.strerror or error}") from error
    return Hashed(digest.hexdigest(), size)
