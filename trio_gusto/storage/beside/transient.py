"""The jobs in memory: a `MemoryStorage` of which a few things more are asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...model.ids import JobId
from ...model.job import JobRequest, StoredJob
from ...model.lanes import lane_of, makes_others_wait
from ..memory import MemoryStorage
from ..pause_messages import PausesFound

FIRST = 2**62
"""The first sequence in memory: above all others, so that pages have one order."""


def is_durable(request: JobRequest) -> bool:
    """Whether a job is to survive its process."""
    return request.details is None or request.details.durable


class Transient(MemoryStorage):
    """The part that is in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._sequence = FIRST

    def __len__(self) -> int:
        return len(self._jobs)

    def has(self, job_id: JobId) -> bool:
        """Whether a job is here."""
        return job_id in self._jobs

    def is_at(self, job_id: JobId, version: int) -> bool:
        """Whether a job is here, and nothing has become of it since it had this version."""
        job = self._jobs.get(job_id)
        return job is not None and job.version == version

    def live(self) -> int:
        """How many jobs have not ended."""
        return sum(not job.state.word.is_ended for job in self._jobs.values())

    def ready(self, now: int) -> int:
        """How many jobs are ready, or have been due since ``now``; more than can be claimed, perhaps."""
        self._index.look_at(now)
        return self._index.count_ready()

    def has_lanes(self) -> bool:
        """Whether a job in a lane is ready."""
        return bool(self._index.lanes)

    def leased_lanes(self) -> Sequence[str]:
        """The lanes in which a job is leased."""
        return lanes_of(self._index.processing.values())

    def forget(self, job_id: JobId) -> None:
        """Keep a job no longer that has ended."""
        job = self._jobs.get(job_id)
        if job is not None and job.state.word.is_ended:
            self._index.leave(job)
            self._delete(job)

    def mind(self, pauses: PausesFound) -> None:
        """Claim nothing that is covered by these pauses."""
        self._pauses.take_over(pauses.pauses)


def lanes_of(jobs: Iterable[StoredJob]) -> Sequence[str]:
    """The lanes that these jobs are in, and in which others may wait for them."""
    lanes = (lane_of(job.request) for job in jobs if makes_others_wait(job.request))
    return tuple({lane for lane in lanes if lane is not None})
