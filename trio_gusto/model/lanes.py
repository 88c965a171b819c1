"""Named workers: the jobs of one run one at a time, in order, wherever they run.

A named worker is a lane with room for one. It is at work as long as a job of it is processing, so it
is free again exactly when that lease is: settled, given back or recovered. Nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable

from .job import JobRequest


class Lanes:
    """Which named workers are at work, while a claim is filled."""

    def __init__(self, at_work: Iterable[str]) -> None:
        self._at_work = set(at_work)

    def is_free(self, worker: str | None) -> bool:
        """Whether a job of this worker may be taken; of none, any may."""
        return worker is None or worker not in self._at_work

    def admit(self, worker: str | None) -> bool:
        """Whether the next job in claim order may be taken; if so, it is, and others have to wait."""
        if worker is None:
            return True
        if worker in self._at_work:
            return False
        self._at_work.add(worker)
        return True


def worker_of(request: JobRequest) -> str | None:
    """The named worker of a job; most have none."""
    return None if request.details is None else request.details.worker
