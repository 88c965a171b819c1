"""The demo's app: what its jobs do. A small example of how a service declares its own."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import attrs
import trio

from ... import Fail, Gusto, Options, current_job, exponential
from ...storage.sqlite import SqliteStorage
from .witness import attest

CHUNK = 1 << 20
"""Bytes hashed at a time."""

SERVED = "hashing"
"""The queue that the demo's worker serves."""

UNSERVED = "night-shift"
"""A queue that nobody serves, so that its job expires."""


SUMMARIZE = "demo.summarize"
TICK = "demo.tick"


class DiskHiccup(OSError):
    """Raised on purpose, to show a retry."""


@attrs.frozen
class Hashed:
    """What hashing one file gave, and how many ``seconds`` it took."""

    path: str
    sha256: str
    size: int
    seconds: float


@attrs.frozen
class Summary:
    """What all files gave together. ``digest`` is that of their hashes and paths, ordered by path."""

    files: int
    not_hashed: int
    size: int
    slowest: Hashed | None
    digest: str

    @classmethod
    def of(cls, hashed: Iterable[Hashed], not_hashed: int) -> Self:
        """Sum up what was hashed, in whatever order it comes."""
        files = sorted(hashed, key=lambda one: one.path)
        digest = hashlib.sha256()
        for one in files:
            digest.update(f"{one.sha256}  {one.path}\n".encode())
        return cls(
            files=len(files),
            not_hashed=not_hashed,
            size=sum(one.size for one in files),
            slowest=max(files, key=lambda one: one.seconds, default=None),
            digest=digest.hexdigest(),
        )


def make_app(database: Path, concurrency: int) -> Gusto:
    """An app on ``database`` that knows how to hash files, sum up, and tick."""
    options = Options(concurrency=concurrency, queues=[SERVED], drain_timeout=10)
    app = Gusto(SqliteStorage(database), options=options)
    app.job(name="demo.hash_file", max_attempts=5, timeout=600, retry=exponential(base=0.2))(
        hash_file
    )
    app.job(name=SUMMARIZE, queue=SERVED)(summarize)
    app.job(name=TICK, queue=SERVED)(tick)
    return app


def hash_file(path: str, hiccups: int, pace: float) -> Hashed:
    """Hash one file; fail the first ``hiccups`` times. A plain function runs in a thread."""
    if current_job().attempt <= hiccups:
        raise DiskHiccup(f"{path}: the disk hiccuped (on purpose)")
    threading.Event().wait(pace)
    started = time.perf_counter()
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
    return Hashed(path, digest.hexdigest(), size, time.perf_counter() - started)


def summarize(witness: str) -> Summary:
    """Sum up the jobs that this one waited for."""
    attest(Path(witness))
    results = [parent.result for parent in current_job().parents]
    hashed = [result for result in results if isinstance(result, Hashed)]
    return Summary.of(hashed, len(results) - len(hashed))


def tick(witness: str) -> None:
    """One beat of the schedule."""
    attest(Path(witness))
