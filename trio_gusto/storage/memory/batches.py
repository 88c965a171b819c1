"""The batches of one storage, each with its jobs."""

from __future__ import annotations

from collections import Counter

import attrs

from ...model.batch import BatchRequest, StoredBatch
from ...model.errors import BatchError
from ...model.ids import JobId, to_uuid
from ...model.job import StoredJob
from ...model.states import JobState, State
from ..batch_messages import Batches, InsertBatch


@attrs.define
class Kept:
    """A batch and its jobs. A job that waits for the batch is none of them."""

    request: BatchRequest
    sequence: int
    members: dict[JobId, StoredJob] = attrs.field(factory=dict[JobId, StoredJob])
    live: int = 0
    unhappy: int = 0
    """Jobs that have not ended, and those that ended and did not complete."""

    def words(self) -> Counter[JobState]:
        """Its jobs, counted by state."""
        return Counter(job.state.word for job in self.members.values())

    def count(self, state: State, by: int) -> None:
        """So many of its jobs more are in this state."""
        self.live += 0 if state.word.is_ended else by
        self.unhappy += by if is_unhappy(state) else 0


class Shelf:
    """All batches, oldest first."""

    def __init__(self) -> None:
        self.kept: dict[JobId, Kept] = {}

    def open(self, write: InsertBatch) -> BatchError | None:
        """Jobs for this batch are about to be stored; or why they cannot."""
        batch = self.kept.get(write.batch.id)
        if write.is_new:
            if batch is not None:
                return BatchError.exists(to_uuid(write.batch.id))
            last = next((kept.sequence for kept in reversed(self.kept.values())), 0)
            self.kept[write.batch.id] = Kept(write.batch, last + 1)
            return None
        if batch is None:
            return BatchError.unknown(to_uuid(write.batch.id))
        if not write.reopen and not batch.live:
            return BatchError.finished(to_uuid(write.batch.id))
        return None

    def undo(self, write: InsertBatch) -> None:
        """They could not be stored."""
        if write.is_new:
            del self.kept[write.batch.id]

    def enter(self, job: StoredJob) -> None:
        """``job`` is new, and may belong to a batch."""
        details = job.request.details
        if details is not None and details.batch is not None:
            batch = self.kept[details.batch]
            batch.members[job.request.id] = job
            batch.count(job.state, 1)

    def change(self, job: StoredJob, state: State) -> None:
        """``job`` is about to get another state, and may belong to a batch."""
        batch = self._batch_of(job)
        if batch is not None:
            batch.count(job.state, -1)
            batch.count(state, 1)

    def leave(self, job: StoredJob) -> None:
        """``job`` is deleted."""
        batch = self._batch_of(job)
        if batch is not None:
            del batch.members[job.request.id]
            batch.count(job.state, -1)

    def is_live(self, job: StoredJob) -> bool:
        """Whether ``job`` belongs to a batch that has a job that has not ended."""
        batch = self._batch_of(job)
        return batch is not None and batch.live > 0

    def _batch_of(self, job: StoredJob) -> Kept | None:
        """The batch that counts ``job``; one that a job only names need not be there."""
        details = job.request.details
        if details is None or details.batch is None:
            return None
        batch = self.kept.get(details.batch)
        return None if batch is None or job.request.id not in batch.members else batch

    def find(self, query: Batches) -> list[StoredBatch]:
        """Batches, newest first."""
        found: list[StoredBatch] = []
        for batch in reversed(self.kept.values()):
            if len(found) == query.limit:
                break
            if (
                (query.before is None or batch.sequence < query.before)
                and (query.tenant is None or batch.request.tenant == query.tenant)
                and (query.batch_id is None or batch.request.id == query.batch_id)
            ):
                found.append(StoredBatch(batch.request, batch.sequence, dict(batch.words())))
        return found


def is_unhappy(state: State) -> bool:
    """Whether a job in this state has ended, and not completed."""
    return state.word.is_ended and state.word is not JobState.COMPLETED
