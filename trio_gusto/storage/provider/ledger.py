"""What one process knows about the jobs of a provider, beside the provider's records.

A provider's records hold no states, versions or attempts, so they are kept here: for jobs in flight
as long as they are, for the others as long as there is room. All of it may be lost: the records say
what is still to be done.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Generic

import attrs

from ...model.errors import DuplicateJob
from ...model.ids import JobId, to_uuid
from ...model.job import ClaimedJob, JobRequest, StoredJob
from ...model.states import Processing, Ready, Scheduled, State
from ..messages import ClaimDue, Commit
from .record import R

REMEMBERED = 10_000
"""Jobs remembered that are not in flight. The longest unchanged are forgotten first."""

HISTORY = 100
"""Attempts remembered of one job."""


@attrs.define
class Flight(Generic[R]):
    """A job that this process runs, with the record that its provider gave for it."""

    job: StoredJob
    record: R
    due: int

    @property
    def lease(self) -> Processing:
        """The job's state, which is always this one."""
        assert isinstance(self.job.state, Processing)
        return self.job.state


class Ledger(Generic[R]):
    """Jobs in flight, and those remembered. Every change gives a job a version never used before."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self.in_flight: dict[JobId, Flight[R]] = {}
        self.held: dict[JobId, int] = {}
        """Jobs that are left alone until an instant, whatever the provider says."""
        self._remembered: dict[JobId, StoredJob] = {}
        self._room = remembered
        self._due: dict[JobId, int] = {}
        self._expiring: dict[JobId, int] = {}
        self._by_ref: dict[str, JobId] = {}
        self._settled: dict[JobId, int] = {}
        self._versions = itertools.count(1)

    # --- looking ---

    def find(self, job_id: JobId) -> StoredJob | None:
        """The job as it is known here."""
        flight = self.in_flight.get(job_id)
        return self._remembered.get(job_id) if flight is None else flight.job

    def find_by_ref(self, ref_id: str) -> StoredJob | None:
        """The job with this ``ref_id``, if it is known here."""
        job_id = self._by_ref.get(ref_id)
        return None if job_id is None else self.find(job_id)

    def refuse_known(self, requests: Sequence[JobRequest]) -> None:
        """Raise `DuplicateJob` for an id or ``ref_id`` that is known here, or comes twice."""
        ids: set[JobId] = set()
        refs: dict[str, JobId] = {}
        for request in requests:
            if request.id in ids or self.find(request.id) is not None:
                raise DuplicateJob("id", to_uuid(request.id), to_uuid(request.id))
            ids.add(request.id)
            ref_id = _ref_id(request)
            if ref_id is None:
                continue
            existing = self._by_ref.get(ref_id) or refs.get(ref_id)
            if existing is not None:
                raise DuplicateJob("ref_id", ref_id, to_uuid(existing))
            refs[ref_id] = request.id

    def was_settled(self, commit: Commit) -> bool:
        """Whether this very attempt was settled before, and only the answer got lost."""
        return self._settled.get(commit.job_id) == commit.version

    def next_due(self) -> int | None:
        """The earliest instant at which a job known here falls due, or is no longer held."""
        return min(itertools.chain(self._due.values(), self.held.values()), default=None)

    def overdue(self, now: int, limit: int) -> Sequence[StoredJob]:
        """Jobs known here that are not running and whose ``expire_on`` has come."""
        passed = [job_id for job_id, expire_on in self._expiring.items() if expire_on <= now]
        return [self._remembered[job_id] for job_id in passed[:limit]]

    def next_expiry(self, now: int) -> int | None:
        """The earliest ``expire_on`` after ``now`` of a job known here that is not running."""
        return min((at for at in self._expiring.values() if at > now), default=None)

    def due_by(self, now: int) -> Sequence[JobId]:
        """The jobs known here that are due at ``now``."""
        return [job_id for job_id, due in self._due.items() if due <= now]

    # --- changing ---

    def remember(self, request: JobRequest, state: State) -> StoredJob:
        """A job was stored, or was found in the store."""
        job = StoredJob(request, to_uuid(request.id).int, state, version=next(self._versions))
        self._keep(job)
        return job

    def take(self, request: JobRequest, record: R, claim: ClaimDue) -> ClaimedJob:
        """A job goes in flight."""
        job = self._remembered.pop(request.id, None)
        self._due.pop(request.id, None)
        self._expiring.pop(request.id, None)
        due = request.created_at if request.execute_after is None else request.execute_after
        taken = StoredJob(
            request,
            to_uuid(request.id).int,
            Processing(claim.node, claim.now, claim.lease_until),
            1 if job is None else job.attempt + 1,
            next(self._versions),
            () if job is None else job.history,
        )
        self.in_flight[request.id] = Flight(taken, record, due)
        return ClaimedJob(request, taken.attempt, taken.version, due, claim.node, claim.now)

    def land(self, flight: Flight[R], commit: Commit, state: State) -> None:
        """A flight is over: the job has ``state`` now, and what else ``commit`` says."""
        job = flight.job
        del self.in_flight[job.request.id]
        history = job.history if commit.record is None else (*job.history, commit.record)[-HISTORY:]
        self._keep(
            attrs.evolve(
                job,
                state=state,
                attempt=commit.attempt,
                version=next(self._versions),
                history=history,
            )
        )
        self._settled[job.request.id] = commit.version

    def ask_to_cancel(self, flight: Flight[R], reason: str) -> None:
        """Somebody wants the job cancelled; its lease stays what it is."""
        lease = attrs.evolve(flight.lease, cancel_reason=reason)
        flight.job = attrs.evolve(flight.job, state=lease)

    def renew(self, flight: Flight[R], lease_until: int) -> None:
        """The lease is good for longer."""
        lease = attrs.evolve(flight.lease, lease_until=lease_until)
        flight.job = attrs.evolve(flight.job, state=lease)

    def give_up(self, flight: Flight[R]) -> None:
        """A flight is over, and nobody knows how far it came: the job waits for its provider."""
        job = flight.job
        del self.in_flight[job.request.id]
        self._keep(attrs.evolve(job, state=Ready(flight.due), version=next(self._versions)))

    def change(self, job: StoredJob, state: State) -> None:
        """A job that is not in flight has ``state`` now."""
        self._keep(attrs.evolve(job, state=state, version=next(self._versions)))

    def hold(self, job_id: JobId, until: int) -> None:
        """Leave a job alone until an instant."""
        self.held[job_id] = until
        self._due.pop(job_id, None)

    def let_go_of_held(self, now: int) -> None:
        """Forget what was to be left alone until ``now``."""
        for job_id in [job_id for job_id, until in self.held.items() if until <= now]:
            del self.held[job_id]

    def looked_for(self, job_ids: Sequence[JobId]) -> None:
        """The provider was asked for these; what it did not return, it will return another time."""
        for job_id in job_ids:
            self._due.pop(job_id, None)

    def _keep(self, job: StoredJob) -> None:
        job_id = job.request.id
        self._remembered.pop(job_id, None)
        self._remembered[job_id] = job
        ref_id = _ref_id(job.request)
        if ref_id is not None:
            self._by_ref[ref_id] = job_id
        self._due.pop(job_id, None)
        self._expiring.pop(job_id, None)
        if isinstance(job.state, Scheduled | Ready):
            self._due[job_id] = job.state.due
            if job.request.expire_on is not None:
                self._expiring[job_id] = job.request.expire_on
        if len(self._remembered) > self._room:
            self._forget(next(iter(self._remembered)))

    def _forget(self, job_id: JobId) -> None:
        ref_id = _ref_id(self._remembered.pop(job_id).request)
        if ref_id is not None:
            self._by_ref.pop(ref_id, None)
        self._due.pop(job_id, None)
        self._expiring.pop(job_id, None)
        self._settled.pop(job_id, None)


def _ref_id(request: JobRequest) -> str | None:
    return None if request.details is None else request.details.ref_id
