"""A machine that drives two storages side by side, with jobs that bring others and have callbacks.

It has few verbs besides, so that successes with children meet what refuses them often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from property_tests.bringing import HARMLESS, HOPELESS, Bringing, kinds
from property_tests.recount import ALL, claimable
from trio_gusto.model.batch import BatchRequest
from trio_gusto.model.dependencies import Dependent, resolve
from trio_gusto.model.errors import DuplicateJob, UnknownJob
from trio_gusto.model.happenings import CalledOff, Ending, RetriedByHand
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import AttemptRecord, ClaimedJob, Details, JobRequest, StoredJob
from trio_gusto.model.lifecycle import admit, advance, may, settle
from trio_gusto.model.outcomes import AttemptOutcome, Succeeded
from trio_gusto.model.states import (
    AwaitingCallback,
    Completed,
    Failed,
    JobState,
    Processing,
    Ready,
    State,
    Waiting,
)
from trio_gusto.model.uniqueness import key_of
from trio_gusto.storage.batch_messages import InsertBatch
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.finding_messages import Tally
from trio_gusto.storage.lease_messages import RequestCancel, Stranded
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Conflict,
    Insert,
    Inserted,
    Write,
)
from trio_gusto.storage.retention_messages import Prune

picks = st.integers(0, 30)
keys = st.sampled_from([None, None, None, "k", "l"])


class CallbackAgreement(Bringing):
    """Children are there when the state is that they came with, and only then."""

    # --- jobs of other kinds ------------------------------------------------------------------

    @rule(key=keys, worker=st.sampled_from([None, None, "w"]), life=st.sampled_from([None, 9]))
    def enqueue(self, key: str | None, worker: str | None, life: int | None) -> None:
        details = Details(unique_key=key, worker=worker) if key or worker else None
        expire_on = None if life is None else self.now + life
        request = self.request(details, expire_on=expire_on)
        (reply,) = self.tell(Insert([request], [admit(request)]))
        assert (reply == Inserted()) is (request.id in self.jobs)

    @rule()
    def enqueue_a_batch_that_is_awaited(self) -> None:
        self.made += 1
        batch = BatchRequest(uuid7(self.now * 1000, self.made), self.now)
        self.batches.append(batch.id)
        members = [self.request(Details(batch=batch.id)) for _ in range(2)]
        follower = self.request(Details(parents=(batch.id,)))
        states: list[State] = [*map(admit, members), Waiting((batch.id,))]
        assert self.tell(InsertBatch(batch, Insert([*members, follower], states))) == [Inserted()]

    @rule()
    def claim(self) -> None:
        claim = ClaimDue(self.nodes[0], self.now, self.now + 8, ALL, ALL)
        due = claimable(self.jobs, claim)
        self.claims.update(due)
        self.ever_claimed.update(due)
        (reply,) = self.tell(claim)
        assert isinstance(reply, ClaimReply)
        assert [job.request.id for job in reply.jobs] == due
        self.leases += reply.jobs

    @rule(by=st.sampled_from([1, 3, 9]))
    def wait(self, by: int) -> None:
        self.now += by

    def recent(self, pick: int) -> ClaimedJob:
        """A lease, the most recent one for zero; it may be over."""
        return self.leases[-1 - pick % len(self.leases)]

    @precondition(lambda self: self.leases)
    @rule(pick=picks, is_final=st.booleans())
    def fail(self, pick: int, is_final: bool) -> None:
        lease = self.recent(pick)
        at = lease.claimed_at
        token, node = lease.token, lease.node
        record = AttemptRecord(lease.attempt, token, node, at, at, self.now, AttemptOutcome.FAILED)
        state = Failed(self.now, "all attempts failed") if is_final else Ready(self.now)
        self.tell(Commit(lease.request.id, token, state, lease.attempt, record))

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def ask_to_cancel(self, pick: int) -> None:
        lease = self.recent(pick)
        self.tell(RequestCancel(lease.request.id, lease.token, "no more"))

    @precondition(lambda self: self.jobs)
    @rule(pick=picks, happening=st.sampled_from([CalledOff, CalledOff, RetriedByHand]))
    def change_by_hand(self, pick: int, happening: type[CalledOff | RetriedByHand]) -> None:
        able = [job for job in self.jobs.values() if may(job.state, happening)]
        if not able:
            return
        job = able[-1 - pick % len(able)]
        what = RetriedByHand(self.now) if happening is RetriedByHand else CalledOff(self.now, "no")
        settlement = advance(job, what)
        key = key_of(job.request)
        is_free = key is None or all(
            key_of(other.request) != key or other.state.word.is_ended or other is job
            for other in self.jobs.values()
        )
        if happening is RetriedByHand and is_free:
            del self.claims[job.request.id]  # counted from here
        forget = settlement.forget_expiry
        job_id, version = job.request.id, job.version
        (reply,) = self.tell(
            Commit(job_id, version, settlement.state, settlement.attempt, forget_expiry=forget)
        )
        assert isinstance(reply, Committed if is_free else DuplicateJob)

    # --- successes --------------------------------------------------------------------------------

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        pick=picks,
        has_callback=st.booleans(),
        drawn=st.lists(kinds, max_size=3),
        neighbours=st.integers(0, 3),
    )
    def succeed(
        self,
        data: st.DataObject,
        pick: int,
        has_callback: bool,
        drawn: list[str],
        neighbours: int,
    ) -> None:
        """With whatever children; perhaps in a group with inserts before and behind."""
        lease = self.recent(pick)
        children = self.children(data.draw, lease, drawn)
        callback = self.request() if has_callback else None
        if callback is not None:
            children.append((callback, admit(callback)))
        commit = self.success(lease, callback, children)
        group: list[Write] = [commit]
        others = [self.request() for _ in range(neighbours)]
        for number, other in enumerate(others):
            group.insert(number % 2 * len(group), Insert([other], [admit(other)]))
        before = self.jobs
        replies = self.tell(*group)
        reply = replies[group.index(commit)]
        assert all(other.id in self.jobs for other in others), "a neighbour was refused"
        self.check_success(lease, commit, children, drawn, reply, before)

    @precondition(lambda self: self.leases)
    @rule(first=picks, second=picks, has_callback=st.booleans())
    def succeed_among_others(self, first: int, second: int, has_callback: bool) -> None:
        """A job that brings nothing, in the message for many, and one that does."""
        alone, lease = self.recent(first), self.recent(second)
        callback = self.request()
        children: list[tuple[JobRequest, State]] = [(callback, admit(callback))]
        commit = self.success(lease, callback if has_callback else None, children)
        done = Completed(self.now, alone.claimed_at, alone.claimed_at, alone.node)
        before = self.jobs
        _, reply = self.tell(Complete([alone], [done]), commit)
        if alone.request.id != lease.request.id:
            self.check_success(lease, commit, children, ["plain"], reply, before)

    def success(
        self,
        lease: ClaimedJob,
        callback: JobRequest | None,
        children: Sequence[tuple[JobRequest, State]],
    ) -> Commit:
        called = None if callback is None else callback.id
        outcome = Succeeded(f'"{self.made}"')
        settled = settle(lease, Ending(outcome, self.now, lease.claimed_at, callback=called))
        return Commit(
            lease.request.id,
            lease.token,
            settled.state,
            settled.attempt,
            settled.record,
            settled.forget_expiry,
            children=Insert([new for new, _ in children], [state for _, state in children])
            if children
            else None,
        )

    def check_success(
        self,
        lease: ClaimedJob,
        commit: Commit,
        children: Sequence[tuple[JobRequest, State]],
        drawn: Sequence[str],
        reply: object,
        before: dict[JobId, StoredJob],
    ) -> None:
        """Exactly with the success: all of them, as they were asked for, or none."""
        job = before.get(lease.request.id)
        holds = job is not None and job.version == lease.token
        if (
            job is not None
            and holds
            and isinstance(job.state, Processing)
            and job.state.cancel_reason is not None
        ):
            holds = commit.state.word.is_ended
        if not holds:
            assert isinstance(reply, Conflict), "a lease that is over settled its job"
        elif set(drawn) & set(HOPELESS):
            assert isinstance(reply, DuplicateJob | UnknownJob), "a child was not refused"
        elif set(drawn) <= set(HARMLESS):
            assert isinstance(reply, Committed), "a child was refused that was harmless"
        kept = self.jobs.get(lease.request.id)
        if not isinstance(reply, Committed):
            assert kept == job, "a success that was refused changed its job"
            new = [request.id for request, _ in children if request.id not in before]
            assert not any(job_id in self.jobs for job_id in new), (
                "a child came without its success"
            )
            return
        assert kept is not None
        assert kept.state == commit.state
        inserted = reply.inserted or Inserted()
        stored = [
            (self.jobs[request.id], state)
            for position, (request, state) in enumerate(children)
            if position not in inserted.existing
        ]
        sequences = [job.sequence for job, _ in stored]
        assert sequences == sorted(sequences), "children came in another order"
        for child, state in stored:
            if child.request.id not in inserted.replaced:
                assert child.state == state, "a child is not as it was asked for"
        self.check_awaited(lease, reply, before)

    def check_awaited(
        self, lease: ClaimedJob, reply: Committed, before: dict[JobId, StoredJob]
    ) -> None:
        """Whoever waited for the job before is named."""
        kept = self.jobs[lease.request.id]
        waited = {
            parent
            for job in before.values()
            if isinstance(job.state, Waiting | AwaitingCallback)
            for parent in job.state.parents
        }
        is_named = lease.request.id in reply.awaited
        assert is_named is (kept.state.word.is_ended and lease.request.id in waited)

    # --- what follows -----------------------------------------------------------------------------

    @rule(most=st.sampled_from([1, ALL]))
    def resolve_what_waits(self, most: int) -> None:
        found = self.ask(Dependents(ALL))
        assert isinstance(found, DependentJobs)
        for dependent in list(found.jobs)[:most]:
            self.resolve_one(dependent)

    def resolve_one(self, dependent: Dependent) -> None:
        job = dependent.job
        settlement = resolve(dependent, self.now)
        assert settlement is not None, "a wait was said to be over that is not"
        state = job.state
        end = self.jobs[state.callback].state if isinstance(state, AwaitingCallback) else None
        (reply,) = self.tell(
            Commit(job.request.id, job.version, settlement.state, settlement.attempt)
        )
        assert isinstance(reply, Committed)
        if end is None:
            return
        assert isinstance(state, AwaitingCallback)
        kept = self.jobs[job.request.id].state
        if end.word is JobState.COMPLETED:
            assert isinstance(kept, Completed)
            assert kept.result == state.result, "a job lost its result while it waited"
        else:
            assert isinstance(kept, Failed), "a job completed without its callback"

    @rule()
    def delete_what_has_ended(self) -> None:
        """Below a job that stays: a storage may give the highest sequences of all once more."""
        self.enqueue(None, None, None)
        self.now += 1
        self.tell(Prune(self.now, ALL))

    @rule()
    def look(self) -> None:
        self.ask(Stranded(self.nodes[0], self.now, ALL))
        self.ask(Tally())

    # --- what holds always ------------------------------------------------------------------------

    @invariant()
    def whoever_waits_for_a_callback_has_one(self) -> None:
        for job in self.jobs.values():
            if isinstance(job.state, AwaitingCallback):
                assert job.state.callback in self.jobs, "a job waits for nobody"
                assert job.history[-1].outcome is AttemptOutcome.SUCCEEDED
                assert job.request.expire_on is None

    @invariant()
    def no_key_has_two_live_jobs(self) -> None:
        held = Counter(
            key
            for job in self.jobs.values()
            if not job.state.word.is_ended and (key := key_of(job.request)) is not None
        )
        assert all(count == 1 for count in held.values())

    @invariant()
    def a_wait_for_a_callback_is_over_when_that_has_ended(self) -> None:
        found = self.ask(Dependents(ALL))
        assert isinstance(found, DependentJobs)
        over = [
            each.job.request.id
            for each in found.jobs
            if isinstance(each.job.state, AwaitingCallback)
        ]
        assert over == [
            job.request.id
            for job in self.jobs.values()
            if isinstance(job.state, AwaitingCallback)
            and self.jobs[job.state.callback].state.word.is_ended
        ]
