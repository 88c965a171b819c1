"""Nodes at work, for the machine of `agreement`: they claim, settle and renew, also under leases that are lost."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.batch_agreement import few, picks, queue_names
from property_tests.producer_agreement import ProducerAgreement
from property_tests.recount import (
    claimable,
)
from property_tests.strategies import outcomes
from trio_gusto.model.happenings import Ending
from trio_gusto.model.job import ClaimedJob
from trio_gusto.model.lifecycle import settle
from trio_gusto.model.outcomes import Outcome
from trio_gusto.model.states import (
    Completed,
    Processing,
)
from trio_gusto.storage.lease_messages import Renew, Renewed
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Complete,
    Completions,
    Conflict,
)

LEASE = 8

texts = st.none() | st.sampled_from(["", "null", "1"])
shares = st.none() | st.lists(st.tuples(queue_names, few), unique_by=lambda pair: pair[0])
skipped = st.sampled_from([(), (), (), ("g",)])


class WorkerAgreement(ProducerAgreement):
    """A stale lease changes nothing, and what is claimed is what a plain recount finds."""

    def claiming(self, draw: Any) -> ClaimDue:
        node = draw(st.sampled_from(self.nodes))
        queues, skip = draw(shares), draw(skipped)
        return ClaimDue(node, self.now, self.now + LEASE, draw(few), draw(few), queues, skip)

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        claim, before = self.claiming(data.draw), self.jobs
        expected = claimable(before, claim, self.pauses)
        self.claims.update(expected)
        self.ever_claimed.update(expected)
        (reply,) = self.tell(claim)
        assert isinstance(reply, ClaimReply)
        self.leases += reply.jobs
        self.count_claims(claim, reply, before)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, outcome=outcomes, delay=st.none() | few, entered=st.booleans())
    def settle(self, pick: int, outcome: Outcome, delay: int | None, entered: bool) -> None:
        """Also with leases that are settled, lost, or somebody else's by now."""
        lease = self.recent(pick)
        ending = Ending(outcome, self.now, lease.claimed_at if entered else None, delay)
        if outcome.word == "succeeded":
            ending.started_at = lease.claimed_at
        self.settle_with(lease, ending)

    def recent(self, pick: int) -> ClaimedJob:
        """A lease, the most recent one for zero."""
        return self.leases[-1 - pick % len(self.leases)]

    def settle_with(self, lease: ClaimedJob, ending: Ending) -> None:
        job = self.jobs.get(lease.request.id)
        is_held = job is not None and job.version == lease.token
        settlement = settle(lease, ending)
        asked = job.state.cancel_reason if job and isinstance(job.state, Processing) else None
        is_refused = is_held and asked is not None and not settlement.state.word.is_ended
        gives_back = settlement.attempt < lease.attempt
        if is_held and gives_back and not is_refused:
            self.given_back[lease.request.id] += 1
        (reply,) = self.tell(
            Commit(
                lease.request.id,
                lease.token,
                settlement.state,
                settlement.attempt,
                settlement.record,
            )
        )
        if not is_held:
            assert reply == Conflict(), "a stale lease was accepted"
        elif is_refused:
            assert reply == Conflict(asked)
            ending.cancel_reason = asked
            self.settle_with(lease, ending)
        else:
            self.check_awaited(reply, [lease.request.id])

    def successes(self, draw: Any) -> Complete:
        """Under leases of any nodes: held ones, stale ones, and some twice; or under none."""
        picked = draw(st.lists(st.integers(0, 5), max_size=5)) if self.leases else []
        claims = [self.recent(pick) for pick in picked]
        return Complete(claims, [self.completed(claim, draw) for claim in claims])

    def completed(self, claim: ClaimedJob, draw: Any) -> Completed:
        """Usually by the node that claimed it, and since then."""
        started_at = claim.claimed_at + draw(few)
        node = draw(st.sampled_from([*[claim.node] * 5, "elsewhere"]))
        return Completed(
            self.now,
            started_at,
            claim.claimed_at,
            node,
            result=draw(texts),
            result_error=draw(texts),
        )

    def refused_of(self, complete: Complete) -> set[int]:
        """The positions that should be refused, if nothing is done to the jobs before."""
        versions = {job_id: job.version for job_id, job in self.jobs.items()}
        refused: set[int] = set()
        for position, claim in enumerate(complete.claims):
            if versions.get(claim.request.id) == claim.token:
                versions[claim.request.id] += 1
            else:
                refused.add(position)
        return refused

    @rule(data=st.data())
    def settle_successes(self, data: st.DataObject) -> None:
        complete = self.successes(data.draw)
        refused = self.refused_of(complete)
        (reply,) = self.tell(complete)
        assert isinstance(reply, Completions)
        assert reply.refused == dict.fromkeys(refused, Conflict())
        self.check_awaited(
            reply,
            [
                claim.request.id
                for position, claim in enumerate(complete.claims)
                if position not in refused
            ],
        )
        for position, (claim, state) in enumerate(
            zip(complete.claims, complete.states, strict=True)
        ):
            if position not in refused:
                job = self.jobs[claim.request.id]
                assert (job.state, job.attempt) == (state, claim.attempt)
                assert job.version == claim.token + 1

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def succeed_under_a_wrong_token(self, pick: int) -> None:
        claim = self.recent(pick)
        state = Completed(self.now, claim.claimed_at, claim.claimed_at, claim.node)
        job = self.jobs.get(claim.request.id)
        stale = attrs.evolve(claim, token=(claim.token if job is None else job.version) - 1)
        (reply,) = self.tell(Complete([stale], [state]))
        assert reply == Completions({0: Conflict()})

    @precondition(lambda self: self.leases)
    @rule(pick=picks, is_foreign=st.integers(0, 9), late_by=st.sampled_from([0, 0, LEASE]))
    def renew(self, pick: int, is_foreign: int, late_by: int) -> None:
        """All leases of a node, also those that it holds no more; perhaps too late."""
        self.now += late_by
        node = self.recent(pick).node
        before = self.jobs
        pairs = list({job.request.id: job.token for job in self.leases if job.node == node}.items())
        node = "nobody" if is_foreign == 9 else node
        (reply,) = self.tell(Renew(node, self.now, self.now + LEASE, pairs))
        assert isinstance(reply, Renewed)
        for job_id, token in pairs:
            job = before.get(job_id)
            state = None if job is None or job.version != token else job.state
            holds = (
                isinstance(state, Processing)
                and state.node == node
                and self.now < state.lease_until
            )
            assert (job_id in reply.lost) is not holds
            if holds:
                renewed = self.jobs[job_id].state
                assert isinstance(state, Processing)
                assert isinstance(renewed, Processing)
                # It gets no shorter, though this clock may have been set back.
                assert renewed.lease_until == max(state.lease_until, self.now + LEASE)
