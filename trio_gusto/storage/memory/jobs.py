"""The jobs in memory with everything that names them, and what writes do to them.

Whatever is to be looked up otherwise than by id stands in a structure of its own: by state and due instant
in `Index`, by unique key in `Keys`, by batch in `Shelf`, by schedule in `ScheduleShelf`, by who waits for
whom in `Awaited`. A job is entered into all of them, and leaves them, here alone.
"""

from __future__ import annotations

import attrs

from ...model.errors import BatchError, DuplicateJob, GustoError, UnknownJob
from ...model.ids import JobId
from ...model.job import StoredJob
from ...model.states import AWAITING, AwaitingCallback, Processing, Waiting
from ...model.uniqueness import Replacement, stored_requests
from ..batch_messages import InsertBatch
from ..messages import (
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
)
from ..retention_messages import Prune, Pruned
from ..schedule_messages import Fire
from .batches import Shelf
from .dependencies import Awaited
from .index import ENDED, Index
from .reports import ReportShelf
from .retention import old_jobs
from .schedules import ScheduleShelf
from .staging import Staging
from .uniqueness import UNCONTESTED, Keys, duplicate

_INSERTED, _COMMITTED, _COMPLETED, _CONFLICT = Inserted(), Committed(), Completions(), Conflict()

_GONE = Processing("", 0, 0)
"""What an agenda finds that still names a deleted job: a state that stands in none."""


class Jobs:
    """All jobs of one storage. A message that is refused has changed nothing."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, StoredJob] = {}  # by sequence, as they were inserted
        self._by_ref: dict[str, StoredJob] = {}
        self._keys = Keys()
        self._index = Index()
        self._shelf, self._staging = Shelf(), Staging()
        self._awaited = Awaited(self._jobs, self._shelf)
        self._sequence = 0
        self._schedules = ScheduleShelf(self._jobs)
        self._reports = ReportShelf(self._index.processing)

    # --- jobs begin ---------------------------------------------------------------------------------

    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        requests, jobs = insert.requests, self._jobs
        if len(requests) == 1:  # nearly always, and mostly with nothing to be looked up
            request, state = requests[0], insert.states[0]
            if request.details is None and request.id not in jobs and type(state) is not Waiting:
                self._sequence += 1
                job = jobs[request.id] = StoredJob(request, self._sequence, state)
                self._index.enter(job)
                return _INSERTED
        unique = self._keys.admission(insert)
        if isinstance(unique, DuplicateJob):
            return unique
        if unique.existing:
            insert = Insert(*stored_requests(requests, insert.states, unique))
            requests = insert.requests
        refusal: DuplicateJob | UnknownJob | None = duplicate(requests, jobs, self._by_ref)
        has_waiting = any(type(state) is Waiting for state in insert.states)
        if refusal is None and has_waiting:
            refusal = self._awaited.unknown_parent(insert)
        if refusal is not None:
            return refusal
        inserted = _INSERTED if unique is UNCONTESTED else Inserted(unique.existing)
        for request, state in zip(requests, insert.states, strict=True):
            if unique.replacements and unique.replacements[0].by == request.id:
                self._make_room(unique.replacements.pop(0), inserted)
            self._sequence += 1
            job = jobs[request.id] = StoredJob(request, self._sequence, state)
            self._keys.follow(job)
            if (details := request.details) is not None:
                if details.ref_id is not None:
                    self._by_ref[details.ref_id] = job
                self._schedules.add(job)
            self._index.enter(job)
            if has_waiting:
                self._awaited.enter(job)
        return inserted

    def _make_room(self, replacement: Replacement, inserted: Inserted) -> None:
        job = self._jobs[replacement.job]
        state = replacement.settlement.state
        reply = self._commit(Commit(job.request.id, job.version, state, job.attempt))
        assert isinstance(reply, Committed)
        inserted.replaced += (job.request.id,)
        inserted.awaited += reply.awaited

    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        jobs = self._staging.jobs_of(write)
        if isinstance(jobs, BatchError):
            return jobs
        if (refusal := self._shelf.open(write)) is not None:
            return refusal
        reply = self._keys.taken(jobs) or self._insert(jobs)
        if isinstance(reply, GustoError):
            self._shelf.undo(write)
            return reply
        self._staging.drop(write.stage)
        for request in jobs.requests:
            self._shelf.enter(self._jobs[request.id])
        return reply

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        if not self._schedules.is_at(fire.schedule.request.name, fire.version):
            return _CONFLICT
        new = [
            (request, state)
            for request, state in zip(fire.requests, fire.states, strict=True)
            if request.id not in self._jobs
        ]
        inserted = self._insert(Insert([one for one, _ in new], [state for _, state in new]))
        if isinstance(inserted, GustoError):
            return inserted
        self._schedules.advance(fire.schedule)
        return _COMMITTED

    # --- jobs change their state --------------------------------------------------------------------

    def _commit_or_refuse(self, commit: Commit) -> Committed | Conflict | GustoError:
        job = self._jobs.get(commit.job_id)
        if job is not None and job.version == commit.version:
            refusal = self._keys.refusal(job, commit.state)
            if refusal is not None:
                return refusal
            if commit.children is not None:
                return self._commit_with_children(commit, job, commit.children)
        return self._commit(commit)

    def _commit_with_children(
        self, commit: Commit, job: StoredJob, children: Insert
    ) -> Committed | Conflict | GustoError:
        if (conflict := _conflict(job, commit)) is not None:
            return conflict
        awaited: tuple[JobId, ...] = ()
        if commit.state.word.is_ended:
            awaited = self._awaited.of(job)  # children may wait for it, too, but were not there
            self._keys.set_aside(job)
        inserted = self._insert(children)
        if isinstance(inserted, GustoError):
            self._keys.follow(job)
            return inserted
        self._commit(commit)
        return Committed((*awaited, *inserted.awaited), inserted)

    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        if job is None or job.version != commit.version:
            return _CONFLICT
        if (conflict := _conflict(job, commit)) is not None:
            return conflict
        self._index.leave(job)
        if type(job.state) in AWAITING:
            self._awaited.leave(job)
        if commit.forget_expiry:
            job.request = attrs.evolve(job.request, expire_on=None)
        if commit.record is not None:
            job.history = (*job.history, commit.record)
        if job.request.details is not None:
            self._shelf.change(job, commit.state)
        job.state = commit.state
        job.attempt = commit.attempt
        job.version += 1
        self._index.enter(job)
        if job.request.details is not None:
            self._keys.follow(job)
            self._schedules.add(job)
        if type(job.state) is AwaitingCallback:
            self._awaited.enter(job)
        if self._awaited.by and isinstance(job.state, ENDED):
            return Committed(self._awaited.of(job))
        return _COMMITTED

    def _complete(self, complete: Complete) -> Completions:
        refused: dict[int, Conflict | GustoError] = {}
        processing, ended = self._index.processing, self._index.ended
        for position, claimed in enumerate(complete.claims):
            job = processing.get(claimed.request.id)
            if job is None or job.version != claimed.token:
                refused[position] = _CONFLICT
                continue
            del processing[claimed.request.id]
            state = complete.states[position]
            if job.request.details is not None:
                self._index.free(job)
                self._shelf.change(job, state)
            job.state = state
            if job.request.details is not None:
                self._keys.follow(job)
            job.version += 1
            ended.add(job, state.ended_at)
        if not self._awaited.by:
            return Completions(refused) if refused else _COMPLETED
        awaited = {
            job_id: None
            for position, claimed in enumerate(complete.claims)
            if position not in refused
            for job_id in self._awaited.of(self._jobs[claimed.request.id])
        }
        return Completions(refused, tuple(awaited))

    # --- jobs are forgotten -------------------------------------------------------------------------

    def _prune(self, prune: Prune) -> Pruned:
        old, pruned = old_jobs(prune, self._jobs, self._index, self._is_needed)
        for job in old:
            self._delete(job)
        self._awaited.forget_empty_batches(prune.ended_before)
        return pruned

    def _is_needed(self, job: StoredJob) -> bool:
        if self._awaited.by and self._awaited.of(job):
            return True
        return self._shelf.is_live(job) or self._schedules.is_newest(job)

    def _delete(self, job: StoredJob) -> None:
        del self._jobs[job.request.id]
        self._shelf.leave(job)
        details = job.request.details
        if details is not None and details.ref_id is not None:
            del self._by_ref[details.ref_id]
        self._schedules.remove(job)
        self._reports.remove(job)
        job.state = _GONE


def _conflict(job: StoredJob, commit: Commit) -> Conflict | None:
    """A processing job whose cancellation has been asked for takes only an ended state."""
    lease = job.state
    if not isinstance(lease, Processing) or lease.cancel_reason is None:
        return None
    return None if isinstance(commit.state, ENDED) else Conflict(lease.cancel_reason)
