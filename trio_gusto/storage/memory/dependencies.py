"""Which jobs are awaited, and by whom: there only while somebody waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

import attrs

from ...model.dependencies import Dependent
from ...model.errors import UnknownJob
from ...model.ids import JobId, to_uuid
from ...model.job import StoredJob
from ...model.states import AwaitingCallback, Condition, JobState, Waiting
from ..dependency_messages import Dependents
from ..messages import Insert
from .batches import Shelf, is_unhappy


class Awaited:
    """The awaited jobs of one storage. ``by`` has those who wait for each, oldest first."""

    def __init__(self, jobs: Mapping[JobId, StoredJob], shelf: Shelf) -> None:
        self._jobs = jobs
        self._batches = shelf.kept
        self.by: dict[JobId, dict[JobId, StoredJob]] = {}

    def unknown_parent(self, insert: Insert) -> UnknownJob | None:
        """The refusal of an insert in which a job waits for one that is not stored before it."""
        new: set[JobId] = set()
        for request, state in zip(insert.requests, insert.states, strict=True):
            if type(state) is Waiting:
                for parent in state.parents:
                    known = parent in self._jobs or parent in new or parent in self._batches
                    if not known:
                        return UnknownJob(to_uuid(parent))
            new.add(request.id)
        return None

    def enter(self, job: StoredJob) -> None:
        """``job`` is new, or its callback is, and it may have to wait."""
        if isinstance(job.state, Waiting | AwaitingCallback):
            for parent in job.state.parents:
                self.by.setdefault(parent, {})[job.request.id] = job

    def leave(self, job: StoredJob) -> None:
        """``job`` is about to change its state, and waits no more if it did."""
        if not isinstance(job.state, Waiting | AwaitingCallback):
            return
        for parent in job.state.parents:
            waiting = self.by.get(parent)
            if waiting is not None:
                waiting.pop(job.request.id, None)
                if not waiting:
                    del self.by[parent]

    def of(self, job: StoredJob) -> tuple[JobId, ...]:
        """``job`` and its batch, as far as somebody waits for them."""
        details = job.request.details
        names = (job.request.id, None if details is None else details.batch)
        return tuple([name for name in names if name is not None and name in self.by])

    def forget_empty_batches(self, before: int) -> None:
        """Forget old batches of which no job is left, and for which nobody waits."""
        for batch_id, batch in tuple(self._batches.items()):
            is_old = batch.request.created_at < before
            if is_old and not batch.members and batch_id not in self.by:
                del self._batches[batch_id]

    def decidable(self, query: Dependents) -> list[Dependent]:
        """Jobs whose wait may be over."""
        if not self.by:
            return []
        asked = self.by if query.parents is None else query.parents
        waiting: dict[int, StoredJob] = {}
        for parent in asked:
            is_known = parent in self._batches or parent in self._jobs
            if not is_known or not (self._has_ended(parent) or self._has_failed(parent)):
                continue
            of_this = (  # by sequence, as they came
                job
                for job in self.by.get(parent, {}).values()
                if job.sequence > query.after and self._is_decidable(job, parent)
            )
            waiting.update((job.sequence, job) for job in islice(of_this, query.limit))
        oldest = islice((waiting[sequence] for sequence in sorted(waiting)), query.limit)
        counted: dict[JobId, Counter[JobState]] = {}
        return [self._dependent(job, counted) for job in oldest]

    def _has_ended(self, parent: JobId) -> bool:
        batch = self._batches.get(parent)
        return self._jobs[parent].state.word.is_ended if batch is None else not batch.live

    def _has_failed(self, parent: JobId) -> bool:
        batch = self._batches.get(parent)
        return is_unhappy(self._jobs[parent].state) if batch is None else batch.unhappy > 0

    def _is_decidable(self, job: StoredJob, parent: JobId) -> bool:
        state = job.state
        assert isinstance(state, Waiting | AwaitingCallback)
        if state.condition is Condition.SUCCESS and self._has_failed(parent):
            return True
        # Parents mostly end in their order, so one that is live is found at once from the end.
        return all(map(self._has_ended, reversed(state.parents)))

    def _dependent(self, job: StoredJob, counted: dict[JobId, Counter[JobState]]) -> Dependent:
        """``counted`` has the batches that were counted before, for other jobs."""
        assert isinstance(job.state, Waiting | AwaitingCallback)
        parents: Sequence[JobId] = tuple(dict.fromkeys(job.state.parents))
        words: Counter[JobState] = Counter()
        for parent in parents:
            batch = self._batches.get(parent)
            if batch is None:
                words[self._jobs[parent].state.word] += 1
                continue
            if parent not in counted:
                counted[parent] = batch.words()
            words.update(counted[parent])
        return Dependent(attrs.evolve(job, history=()), dict(words))
