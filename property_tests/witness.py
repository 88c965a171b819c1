"""A witness beside the storage: it hears every message and its reply, and knows the laws.

What it knows of a job it has from the messages alone; it shares no rule with the model. A law that
is broken becomes a sentence in ``violations``: raised in here, it would be taken for a fault of the
storage.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs
import trio

from trio_gusto.model.errors import GustoError
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import ClaimedJob, JobRequest
from trio_gusto.model.states import State
from trio_gusto.storage.batch_messages import InsertBatch
from trio_gusto.storage.lease_messages import Renew, Renewed, RequestCancel
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Insert,
    Inserted,
    Query,
    Write,
    WriteReply,
)
from trio_gusto.storage.schedule_messages import Fire
from trio_gusto.storage.storage import Storage

PENDING = {"scheduled", "ready"}
ENDED = {"completed", "failed", "cancelled", "expired", "skipped"}
BY_HAND = {"failed", "cancelled", "expired"}


@attrs.define
class Claim:
    """The lease a job is under."""

    token: int
    node: str
    lease_until: int


@attrs.define(eq=False)
class Known:
    """What the witness knows of one job. The ``key`` of one that a schedule made is negative."""

    request: JobRequest
    key: int
    sequence: int
    state: str
    due: int
    expire_on: int | None
    attempt: int = 0
    version: int = 0
    claim: Claim | None = None
    claims: int = 0
    given_back: int = 0
    generation: int = 0
    successes: int = 0
    cancel_asked: bool = False

    @property
    def rank(self) -> tuple[int, int, int]:
        return (-self.request.priority, self.due, self.sequence)

    def is_eligible(self, now: int) -> bool:
        in_time = self.expire_on is None or now < self.expire_on
        return self.state in PENDING and self.due <= now and in_time


class Witness(Storage):
    """Passes everything on to ``storage`` and checks the laws of states, leases, time and order."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.take_after(storage)
        self.jobs: dict[JobId, Known] = {}
        self.by_key: dict[int, Known] = {}
        self.gone: set[str] = set()
        self.violations: list[str] = []

    def expect(self, holds: bool, law: str, *about: object) -> None:
        if not holds:
            self.violations.append(f"{law}: {', '.join(map(str, about))}")

    # --- the storage, as others see it ---

    async def attach(self, node: str) -> None:
        await self.storage.attach(node)

    async def detach(self, node: str) -> None:
        self.gone.add(node)
        await self.storage.detach(node)

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        replies: Sequence[WriteReply | GustoError] = ()
        # What is performed must be heard of, also when the caller is being cancelled.
        with trio.CancelScope(shield=True):
            replies = await self.storage.apply(writes)
        for write, reply in zip(writes, replies, strict=True):
            self._hear(write, reply)
        return replies

    async def read(self, query: Query) -> Any:
        return await self.storage.read(query)

    async def wait_changed(self, node: str) -> None:
        await self.storage.wait_changed(node)

    def _hear(self, write: Write, reply: WriteReply | GustoError) -> None:
        match write, reply:
            case Insert(), Inserted():
                for request, state in zip(write.requests, write.states, strict=True):
                    self._inserted(request, state)
            case InsertBatch(), Inserted():
                for request, state in zip(write.jobs.requests, write.jobs.states, strict=True):
                    self._inserted(request, state)
            case Fire(), Committed():
                for request, state in zip(write.requests, write.states, strict=True):
                    if request.id not in self.jobs:
                        self._inserted(request, state)
            case ClaimDue(), ClaimReply():
                self._claimed(write, reply)
            case Commit(), Committed():
                self._committed(write)
            case Complete(), Completions():
                self._completed(write, reply)
            case Renew(), Renewed():
                self._renewed(write, reply)
            case RequestCancel(), Committed():
                self.jobs[write.job_id].cancel_asked = True
            case _:
                pass

    # --- the laws ---

    def _inserted(self, request: JobRequest, state: State) -> None:
        details = request.details
        of_schedule = details is not None and details.schedule_name is not None
        key = -1 - len(self.jobs) if of_schedule else json.loads(request.args)[0]
        job = Known(request, key, len(self.jobs), state.word.value, _due(state), request.expire_on)
        self.expect(key not in self.by_key, "a call is stored once", key)
        waits = of_schedule or (details is not None and bool(details.parents))
        firsts = {*PENDING, *(["waiting"] if waits else []), *(["skipped"] if of_schedule else [])}
        self.expect(job.state in firsts, "a job begins as it should", key, job.state)
        self.jobs[request.id] = self.by_key[key] = job

    def _claimed(self, claim: ClaimDue, reply: ClaimReply) -> None:
        taken = [self.jobs[job.request.id] for job in reply.jobs]
        self.expect(len(taken) <= claim.limit, "a claim takes no more than its limit", claim.limit)
        self._check_order(taken, claim.now)
        for claimed, job in zip(reply.jobs, taken, strict=True):
            self._check_claim(claim, claimed, job)
            job.state = "processing"
            job.attempt, job.version = claimed.attempt, claimed.token
            job.claim = Claim(claimed.token, claim.node, claim.lease_until)
            job.claims += 1

    def _check_order(self, taken: list[Known], now: int) -> None:
        """Of every queue the best are taken, in order."""
        for queue in {job.request.queue for job in taken}:
            ranks = [job.rank for job in taken if job.request.queue == queue]
            self.expect(ranks == sorted(ranks), "jobs are claimed in order", queue, ranks)
            passed_over = [
                job.rank
                for job in self.jobs.values()
                if job.request.queue == queue and job.is_eligible(now) and job not in taken
            ]
            self.expect(
                not passed_over or min(passed_over) > max(ranks),
                "no job is claimed ahead of a better one",
                queue,
                passed_over,
                ranks,
            )

    def _check_claim(self, claim: ClaimDue, claimed: ClaimedJob, job: Known) -> None:
        now, key, request = claim.now, job.key, job.request
        after = request.execute_after
        self.expect(job.state in PENDING, "only pending jobs are claimed", key, job.state)
        self.expect(job.due <= now, "never early", key, job.due - now)
        first = job.claims == 0 and job.generation == 0
        self.expect(not first or after is None or after <= now, "never before execute_after", key)
        late = job.expire_on is not None and now >= job.expire_on
        self.expect(not late, "never after expire_on", key, now)
        self.expect(claimed.attempt == job.attempt + 1, "a claim spends an attempt", key)
        self.expect(1 <= claimed.attempt <= request.max_attempts, "attempts <= max_attempts", key)
        self.expect(claimed.token > job.version, "tokens are never used again", key)
        self.expect(job.successes == 0, "no claim after a success", key)

    def _committed(self, commit: Commit) -> None:
        job = self.jobs[commit.job_id]
        before, after = job.state, commit.state.word.value
        stale = commit.version != job.version if job.claim else commit.version < job.version
        self.expect(not stale, "no write under a stale token", job.key)
        self.expect(0 <= commit.attempt <= job.request.max_attempts, "0 <= attempt <= max", job.key)
        if before == "processing":
            self._check_settlement(job, commit, after)
        elif before in PENDING:
            wanted = {"cancelled", "expired"} if job.attempt == 0 else {"cancelled", "failed"}
            self.expect(after in wanted, "a listed edge", job.key, before, after)
            self.expect(after != "expired" or job.expire_on is not None, "no deadline", job.key)
        elif before == "waiting":
            wanted = {*PENDING, "cancelled", "expired"}
            self.expect(after in wanted, "a listed edge", job.key, before, after)
        else:
            self.expect(
                before in BY_HAND and after == "ready", "an ended job rests", job.key, after
            )
            job.generation += 1
            job.claims = job.given_back = 0
            job.expire_on = None
        job.state, job.attempt, job.claim = after, commit.attempt, None
        job.version = commit.version + 1
        job.cancel_asked = False
        if after in PENDING:
            job.due = _due(commit.state)
        self.expect(
            job.claims == job.attempt + job.given_back, "claims = attempts + given back", job.key
        )

    def _check_settlement(self, job: Known, commit: Commit, after: str) -> None:
        assert job.claim is not None
        key, record = job.key, commit.record
        self.expect(after in {*PENDING, *ENDED} - {"expired"}, "a listed edge", key, after)
        self.expect(after in ENDED or not job.cancel_asked, "cancelled jobs end", key, after)
        if after == "completed":
            job.successes += 1
            return
        assert record is not None, "an attempt that did not complete the job has a record"
        outcome = record.outcome.value
        given_back = outcome in ("snoozed", "released") and after in PENDING
        job.given_back += given_back
        self.expect(
            commit.attempt == job.attempt - given_back, "snooze and release cost nothing", key
        )
        self.expect(
            after in ENDED or commit.attempt < job.request.max_attempts, "the last is the last", key
        )
        if outcome == "lost":
            gone = job.claim.node in self.gone or record.ended_at >= job.claim.lease_until
            self.expect(gone, "a valid lease is not taken away", key, job.claim)

    def _completed(self, complete: Complete, reply: Completions) -> None:
        commits = complete.commits()
        self.expect(
            set(reply.refused) <= set(range(len(commits))),
            "what is refused has been told",
            reply.refused,
        )
        for position, commit in enumerate(commits):
            if position not in reply.refused:
                self._committed(commit)
                continue
            job = self.jobs[commit.job_id]
            held = job.claim is not None and job.claim.token == commit.version
            self.expect(not held, "a success under a valid lease is not refused", job.key)

    def _renewed(self, renew: Renew, reply: Renewed) -> None:
        for job_id, token in renew.leases:
            job = self.jobs[job_id]
            if job_id in reply.lost:
                continue
            claim = job.claim
            self.expect(claim is not None and claim.token == token, "who renews holds", job.key)
            if claim is not None and claim.token == token:
                self.expect(renew.now < claim.lease_until, "a passed lease is gone", job.key)
                claim.lease_until = max(claim.lease_until, renew.lease_until)


def _due(state: Any) -> int:
    """When a job falls due; one that waits or was skipped does not."""
    due: int = getattr(state, "due", 0)
    return due
