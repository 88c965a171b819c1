"""Laws of a job's life that hold whatever happens to it, in whatever order."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from property_tests.strategies import (
    durations,
    endings,
    happenings,
    looked_at,
    outcomes,
    pending_jobs,
    policies,
    reasons,
    requests,
)
from trio_gusto.model.attempts import claimed_again
from trio_gusto.model.errors import IllegalTransition
from trio_gusto.model.happenings import CalledOff, Claimed, Ending, RetriedByHand, Settlement
from trio_gusto.model.job import ClaimedJob, JobRequest, StoredJob
from trio_gusto.model.lifecycle import TRANSITIONS, admit, advance, may, settle, within_reach
from trio_gusto.model.outcomes import Lost, Outcome, Released, Snoozed, Succeeded
from trio_gusto.model.queues import shares
from trio_gusto.model.retry import Exponential, Fixed, RetryState
from trio_gusto.model.states import Cancelled, Completed, Processing, Ready, Scheduled

Settle = Callable[[ClaimedJob, Ending], Settlement]
Rewrite = Callable[[StoredJob, object], Settlement | None]


@attrs.define
class Step:
    """One entry of the table taken: the job before, what happened, what became of it."""

    before: StoredJob
    happening: type
    settlement: Settlement
    after: StoredJob


def live(draw: st.DrawFn, settle_by: Settle, rewrite: Rewrite | None = None) -> list[Step]:
    """A life: whatever the table lists, again and again.

    ``rewrite`` may know better than the table what becomes of a job that does not run.
    """
    request = draw(requests())
    job = StoredJob(request, 1, admit(request))
    now = request.created_at
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, 12))):
        now += draw(durations)
        if isinstance(job.state, Processing):
            ending = draw(endings(job.state.claimed_at, now))
            happening: type = type(ending.outcome)
            settlement = settle_by(claimed_again(job), ending)
        else:
            event = draw(happenings(now))
            happening = type(event)
            rewritten = rewrite(job, event) if rewrite else None
            if rewritten is None and not may(job.state, happening):
                with pytest.raises(IllegalTransition):
                    advance(job, event)
                continue
            settlement = rewritten or advance(job, event)
        after = StoredJob(
            attrs.evolve(job.request, expire_on=None) if settlement.forget_expiry else job.request,
            1,
            settlement.state,
            settlement.attempt,
            job.version + 1,
            (*job.history, settlement.record) if settlement.record else job.history,
        )
        steps.append(Step(job, happening, settlement, after))
        job = after
    return steps


@st.composite
def lives(draw: st.DrawFn) -> list[Step]:
    return live(draw, settle)


# --- the laws, each a function of one step --------------------------------------------------------


def the_table_is_honest(step: Step) -> None:
    """A rule leads where the table says it may, and nowhere else."""
    targets = TRANSITIONS[type(step.before.state), step.happening][1]
    assert isinstance(step.after.state, targets)


def the_end_is_the_end(step: Step) -> None:
    """What has ended changes by hand only, and what has succeeded not even so."""
    if step.before.state.word.is_ended:
        assert step.happening is RetriedByHand
        assert not isinstance(step.before.state, Completed)


def attempts_keep_their_budget(step: Step) -> None:
    """Never more than the budget; one is spent while it runs; what will run again has one left."""
    budget = step.after.request.max_attempts
    assert 0 <= step.after.attempt <= budget
    if isinstance(step.after.state, Processing):
        assert step.after.attempt >= 1
    elif not step.after.state.word.is_ended:
        assert step.after.attempt < budget


def attempts_are_spent_at_the_claim(step: Step) -> None:
    """And given back by a snooze and a release, but by nothing else."""
    spent = step.after.attempt - step.before.attempt
    if step.happening is Claimed:
        assert spent == 1
    elif step.happening in (Snoozed, Released) and not step.after.state.word.is_ended:
        assert spent == -1
    elif step.happening is not RetriedByHand:
        assert spent == 0


def nobody_waits_for_a_start_that_cannot_come(step: Step) -> None:
    """Put back after an attempt, a job is never due at or after its deadline.

    Except that a release puts it back where it was: it is for the sweep to say that it is late.
    """
    expire_on, state = step.after.request.expire_on, step.after.state
    was_running = isinstance(step.before.state, Processing) and step.happening is not Released
    if was_running and expire_on is not None and isinstance(state, Scheduled | Ready):
        assert state.due < expire_on


def history_is_kept(step: Step) -> None:
    """Every attempt that is over leaves one record, except the one that its state records."""
    before, after = step.before.history, step.after.history
    assert list(after[: len(before)]) == list(before)
    over = isinstance(step.before.state, Processing) and step.happening is not Succeeded
    assert len(after) == len(before) + over
    if over:
        record = after[-1]
        assert record.token == step.before.version
        assert record.number == step.before.attempt
        assert record.claimed_at <= (record.started_at or record.claimed_at) <= record.ended_at


LAWS = (
    the_table_is_honest,
    the_end_is_the_end,
    attempts_keep_their_budget,
    attempts_are_spent_at_the_claim,
    nobody_waits_for_a_start_that_cannot_come,
    history_is_kept,
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(life=lives())
def test_at_every_step_of_every_life(law: Callable[[Step], None], life: list[Step]) -> None:
    for step in life:
        law(step)


# --- planted faults: the laws can fail ------------------------------------------------------------


def keeps_lost_attempts_for_free(job: ClaimedJob, ending: Ending) -> Settlement:
    settlement = settle(job, ending)
    if isinstance(ending.outcome, Lost):
        settlement.attempt -= 1
    return settlement


def forgets_the_deadline(job: ClaimedJob, ending: Ending) -> Settlement:
    request = attrs.evolve(job.request, expire_on=None)
    return settle(attrs.evolve(job, request=request), ending)


def forgets_the_record(job: ClaimedJob, ending: Ending) -> Settlement:
    settlement = settle(job, ending)
    settlement.record = None
    return settlement


def retries_for_ever(job: ClaimedJob, ending: Ending) -> Settlement:
    request = attrs.evolve(job.request, max_attempts=99)
    return settle(attrs.evolve(job, request=request), ending)


def skips_what_is_snoozed(job: ClaimedJob, ending: Ending) -> Settlement:
    if isinstance(ending.outcome, Snoozed):
        return Settlement(Completed(ending.now, ending.now, job.claimed_at, job.node), job.attempt)
    return settle(job, ending)


def eats_the_attempt_of_a_snooze(job: ClaimedJob, ending: Ending) -> Settlement:
    settlement = settle(job, ending)
    if isinstance(ending.outcome, Snoozed) and not settlement.state.word.is_ended:
        settlement.attempt = job.attempt
    return settlement


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        (eats_the_attempt_of_a_snooze, attempts_are_spent_at_the_claim),
        (keeps_lost_attempts_for_free, attempts_are_spent_at_the_claim),
        (forgets_the_deadline, nobody_waits_for_a_start_that_cannot_come),
        (forgets_the_record, history_is_kept),
        (retries_for_ever, attempts_keep_their_budget),
        (skips_what_is_snoozed, the_table_is_honest),
    ],
    ids=lambda value: value.__name__,
)
def test_a_planted_fault_breaks_its_law(fault: Settle, law: Callable[[Step], None]) -> None:
    @st.composite
    def faulty_lives(draw: st.DrawFn) -> list[Step]:
        return live(draw, fault)

    check_is_broken(law, faulty_lives())


def runs_what_has_completed_again(job: StoredJob, event: object) -> Settlement | None:
    if isinstance(job.state, Completed) and isinstance(event, RetriedByHand):
        return Settlement(Ready(event.now), 0)
    return None


def calls_off_what_has_ended(job: StoredJob, event: object) -> Settlement | None:
    if job.state.word.is_ended and isinstance(event, CalledOff):
        return Settlement(Cancelled(event.now, event.reason), job.attempt)
    return None


@pytest.mark.parametrize("fault", [runs_what_has_completed_again, calls_off_what_has_ended])
def test_an_end_that_is_none_breaks_its_law(fault: Rewrite) -> None:
    @st.composite
    def faulty_lives(draw: st.DrawFn) -> list[Step]:
        return live(draw, settle, fault)

    check_is_broken(the_end_is_the_end, faulty_lives())


def check_is_broken(
    law: Callable[[Step], None], faulty_lives: st.SearchStrategy[list[Step]]
) -> None:
    """See that the law does not hold for all of these lives."""

    def is_broken(life: list[Step]) -> bool:
        try:
            for step in life:
                law(step)
        except AssertionError:
            return True
        return False

    found = find(
        faulty_lives,
        is_broken,
        settings=settings(max_examples=20_000, derandomize=True, phases=[Phase.generate]),
    )
    assert is_broken(found)


# --- laws of single rules -------------------------------------------------------------------------


@given(job=pending_jobs(), outcome=outcomes, reason=reasons, delay=st.none() | durations)
def test_a_request_to_cancel_beats_all_but_an_end(
    job: StoredJob, outcome: Outcome, reason: str, delay: int | None
) -> None:
    now = job.request.created_at
    claim = ClaimedJob(job.request, job.attempt + 1, 1, now, "node-0", now)
    state = settle(claim, Ending(outcome, now, now, delay, cancel_reason=reason)).state
    assert state.word.is_ended
    if not isinstance(outcome, Succeeded):
        assert isinstance(state, Cancelled)


Delay = Callable[[Exponential | Fixed, RetryState], float]


def delay_of(policy: Exponential | Fixed, state: RetryState) -> float:
    return policy(state).total_seconds()


def check_delays(
    delay_of: Delay, policy: Exponential | Fixed, request: JobRequest, attempts: int
) -> None:
    last = 0.0
    for attempt in range(1, attempts + 1):
        state = RetryState(attempt, 99, ValueError(), looked_at(request, attempt))
        bare = delay_of(attrs.evolve(policy, jitter=0.0), state)
        delay = delay_of(policy, state)
        assert bare - 1e-6 <= delay <= bare * (1 + policy.jitter) + 1e-6
        assert bare >= last - 1e-6
        assert delay_of(policy, state) == delay
        if isinstance(policy, Exponential):
            assert bare <= policy.cap + 1e-6
        last = bare


attempts_made = st.integers(1, 60)


@given(policy=policies, request=requests(), attempts=attempts_made)
def test_delays_stay_between_the_policy_and_its_jitter(
    policy: Exponential | Fixed, request: JobRequest, attempts: int
) -> None:
    check_delays(delay_of, policy, request, attempts)


def jitters_to_both_sides(policy: Exponential | Fixed, state: RetryState) -> float:
    bare = delay_of(attrs.evolve(policy, jitter=0.0), state)
    return 2 * bare - delay_of(policy, state)


def shrinks(policy: Exponential | Fixed, state: RetryState) -> float:
    return delay_of(policy, state) / state.attempt


def knows_no_cap(policy: Exponential | Fixed, state: RetryState) -> float:
    return delay_of(policy, state) * (2 if state.attempt > 9 else 1)


@pytest.mark.parametrize("fault", [jitters_to_both_sides, shrinks, knows_no_cap])
def test_the_law_of_delays_catches(fault: Delay) -> None:
    @settings(max_examples=1000, derandomize=True, database=None, phases=[Phase.generate])
    @given(policy=policies, request=requests(), attempts=attempts_made)
    def law(policy: Exponential | Fixed, request: JobRequest, attempts: int) -> None:
        check_delays(fault, policy, request, attempts)

    with pytest.raises(AssertionError):
        law()


@given(
    spent=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4))),
    free=st.integers(0, 8),
)
def test_what_is_within_reach_leaves_no_last_attempt_waiting(
    spent: list[tuple[int, int]], free: int
) -> None:
    reach = within_reach(spent, free)
    waiting = spent[min(free, reach) : reach]
    assert all(attempt + 1 < most for attempt, most in waiting)
    if reach < len(spent):
        attempt, most = spent[reach]
        assert attempt + 1 >= most
        assert reach >= free


weights_of_queues = st.dictionaries(st.text(max_size=3), st.integers(1, 9), min_size=1, max_size=5)


@given(weights=weights_of_queues, limits=st.lists(st.integers(0, 50), max_size=9))
def test_shares_give_out_exactly_the_limit_and_to_each_its_part(
    weights: dict[str, int], limits: list[int]
) -> None:
    total = sum(weights.values())
    before = 0
    given_out = dict.fromkeys(weights, 0)
    for limit in limits:
        found = shares(weights, limit, before)
        assert sorted(name for name, _ in found) == sorted(weights)
        assert sum(share for _, share in found) == limit
        for name, share in found:
            given_out[name] += share
        before += limit
    for name, weight in weights.items():
        assert abs(given_out[name] - before * weight / total) < weight


@given(weights=weights_of_queues, limit=st.integers(1, 9), start=st.integers(0, 10**6))
def test_no_queue_starves(weights: dict[str, int], limit: int, start: int) -> None:
    claims = [shares(weights, limit, start + n * limit) for n in range(sum(weights.values()))]
    assert {name for claim in claims for name, share in claim if share} == set(weights)
