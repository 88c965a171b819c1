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
from ...model.states import Condition, JobState, Waiting
from ..messages import Dependents, Insert


class Awaited:
    """The awaited jobs of one storage. ``by`` has those who wait for each, oldest first."""

    def __init__(self, jobs: Mapping[JobId, StoredJob]) -> None:
        self._jobs = jobs
        self.by: dict[JobId, dict[JobId, StoredJob]] = {}

    def unknown_parent(self, insert: Insert) -> UnknownJob | None:
        """The refusal of an insert in which a job waits for one that is not stored before it."""
        new: set[JobId] = set()
        for request, state in zip(insert.requests, insert.states, strict=True):
            if type(state) is Waiting:
                for parent in state.parents:
                    if parent not in self._jobs and parent not in new:
                        return UnknownJob(to_uuid(parent))
            new.add(request.id)
        return None

    def enter(self, job: StoredJob) -> None:
        """``job`` is new, and may have to wait."""
        if type(job.state) is Waiting:
            for parent in job.state.parents:
                self.by.setdefault(parent, {})[job.request.id] = job

    def leave(self, job: StoredJob) -> None:
        """``job`` is about to change its state, and waits no more if it did."""
        if type(job.state) is not Waiting:
            return
        for parent in job.state.parents:
            waiting = self.by.get(parent)
            if waiting is not None:
                waiting.pop(job.request.id, None)
                if not waiting:
                    del self.by[parent]

    def decidable(self, query: Dependents) -> list[Dependent]:
        """Jobs whose wait may be over."""
        if not self.by:
            return []
        asked = self.by if query.parents is None else query.parents
        waiting: dict[int, StoredJob] = {}
        for parent in asked:
            if parent not in self._jobs or not self._jobs[parent].state.word.is_ended:
                continue
            of_this = (  # by sequence, as they came
                job
                for job in self.by.get(parent, {}).values()
                if job.sequence > query.after and self._is_decidable(job, parent)
            )
            waiting.update((job.sequence, job) for job in islice(of_this, query.limit))
        oldest = islice((waiting[sequence] for sequence in sorted(waiting)), query.limit)
        return [self._dependent(job) for job in oldest]

    def _is_decidable(self, job: StoredJob, parent: JobId) -> bool:
        state = job.state
        assert type(state) is Waiting
        word = self._jobs[parent].state.word
        if state.condition is Condition.SUCCESS and word is not JobState.COMPLETED:
            return True
        # Parents mostly end in their order, so one that is live is found at once from the end.
        return all(self._jobs[each].state.word.is_ended for each in reversed(state.parents))

    def _dependent(self, job: StoredJob) -> Dependent:
        assert type(job.state) is Waiting
        parents: Sequence[JobId] = tuple(dict.fromkeys(job.state.parents))
        words = Counter(self._jobs[parent].state.word for parent in parents)
        return Dependent(attrs.evolve(job, history=()), dict(words))
