"""The law book of a job's life.

Rule 1: every change of a job's state is listed in `TRANSITIONS`; what is not listed is forbidden.
Rule 2: a rule is a pure function of the job and of what happened to it. Time is an argument.
Rule 3: only a holder of the lease may settle an attempt. Storages compare the token, and this file
        never sees a stale one.
Rule 4: an attempt is spent at the claim. Snoozed and released attempts are given back, lost ones
        are not.

This file knows no storage, no actor and no handler. `docs/explanation/lifecycle.md` is drawn from
its table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import quarantine
from .errors import IllegalTransition
from .happenings import (
    CallbackFailed,
    CalledOff,
    Claimed,
    Ending,
    FellDue,
    Overdue,
    ParentsEnded,
    RetriedByHand,
    Settlement,
)
from .ids import JobId
from .job import AttemptRecord, ClaimedJob, JobRequest, StoredJob
from .outcomes import (
    AttemptCancelled,
    AttemptFailed,
    Lost,
    Released,
    Snoozed,
    Succeeded,
    TimedOut,
    describe,
)
from .states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobState,
    Processing,
    Ready,
    Scheduled,
    State,
    Waiting,
)

# --- a job begins ---------------------------------------------------------------------------------


def admit(request: JobRequest) -> Scheduled | Ready:
    """The first state of a job: scheduled when it is not due yet, ready otherwise."""
    after = request.execute_after
    if after is not None and after > request.created_at:
        return Scheduled(after)
    return Ready(request.created_at if after is None else after)


def within_reach(spent: Iterable[tuple[int, int]], free: int) -> int:
    """How many of the jobs found, in claim order, may be claimed at once.

    ``spent`` pairs each job's attempts spent with its ``max_attempts``, ``free`` is the number of
    free executors. A claim that spends a last attempt is made for a free executor only, never
    ahead of one, so that no job fails without its last attempt having been given to an executor.
    """
    taken = 0
    for attempt, max_attempts in spent:
        if taken >= free and attempt + 1 >= max_attempts:
            break
        taken += 1
    return taken


# --- rules: one function per entry of the table ---------------------------------------------------


def _fall_due(job: StoredJob, _happening: FellDue) -> Settlement:
    assert isinstance(job.state, Scheduled)
    return Settlement(Ready(job.state.due), job.attempt)


def _release(job: StoredJob, happening: ParentsEnded) -> Settlement:
    after = job.request.execute_after
    if after is not None and after > happening.now:
        return Settlement(Scheduled(after), job.attempt)
    return Settlement(Ready(happening.now), job.attempt)


def _claim(job: StoredJob, happening: Claimed) -> Settlement:
    lease = Processing(happening.node, happening.now, happening.lease_until)
    return Settlement(lease, job.attempt + 1)


def _call_off(job: StoredJob, happening: CalledOff) -> Settlement:
    return Settlement(Cancelled(happening.now, happening.reason), job.attempt)


def _expire(job: StoredJob, happening: Overdue) -> Settlement:
    """A job that was never started has expired; one that was has failed to make it in time."""
    if job.attempt == 0:
        return Settlement(Expired(happening.now, "not started in time"), job.attempt)
    return Settlement(Failed(happening.now, "expired"), job.attempt)


def _begin_again(_job: StoredJob, happening: RetriedByHand) -> Settlement:
    return Settlement(Ready(happening.now), 0, forget_expiry=True)


def _complete(job: ClaimedJob, ending: Ending) -> Settlement:
    outcome = ending.outcome
    assert isinstance(outcome, Succeeded)
    assert ending.started_at is not None
    if ending.callback is not None:
        return _await_callback(job, ending, ending.callback, outcome)
    return Settlement(complete(job, outcome, ending.started_at, ending.now), job.attempt)


def _await_callback(
    job: ClaimedJob, ending: Ending, callback: JobId, outcome: Succeeded
) -> Settlement:
    """Its ``expire_on`` holds no more: it has been started in time."""
    if outcome.result_error is not None:
        reason = f"its result could not be stored for its callback: {outcome.result_error}"
        return _end(job, ending, Failed(ending.now, reason))
    assert ending.started_at is not None
    state = AwaitingCallback(callback, ending.started_at, job.claimed_at, job.node, outcome.result)
    return Settlement(state, job.attempt, _record(job, ending), forget_expiry=True)


def _called_back(job: StoredJob, happening: ParentsEnded) -> Settlement:
    state = job.state
    assert isinstance(state, AwaitingCallback)
    completed = Completed(
        happening.now, state.started_at, state.claimed_at, state.node, state.result
    )
    return Settlement(completed, job.attempt)


_HOW = {
    JobState.FAILED: "failed",
    JobState.CANCELLED: "was cancelled",
    JobState.SKIPPED: "was skipped",
    JobState.EXPIRED: "expired",
}


def _miss_callback(job: StoredJob, happening: CallbackFailed) -> Settlement:
    reason = f"its callback {_HOW[happening.word]}"
    return Settlement(Failed(happening.now, reason), job.attempt)


def complete(job: ClaimedJob, outcome: Succeeded, started_at: int, now: int) -> Completed:
    """The end of a job whose handler returned: the rule of most jobs, so it has a short cut."""
    return Completed(
        now, started_at, job.claimed_at, job.node, outcome.result, outcome.result_error
    )


def _fail(job: ClaimedJob, ending: Ending) -> Settlement:
    outcome = ending.outcome
    assert isinstance(outcome, AttemptFailed)
    if ending.cancel_reason is not None:
        return _end(job, ending, Cancelled(ending.now, ending.cancel_reason))
    if outcome.final:
        return _end(job, ending, Failed(ending.now, outcome.reason))
    delay = ending.delay if outcome.after is None else outcome.after
    return _try_again(job, ending, delay)


def _time_out(job: ClaimedJob, ending: Ending) -> Settlement:
    if ending.cancel_reason is not None:
        return _end(job, ending, Cancelled(ending.now, ending.cancel_reason))
    return _try_again(job, ending, ending.delay)


def _try_again(job: ClaimedJob, ending: Ending, delay: int | None) -> Settlement:
    if job.attempt >= job.request.max_attempts:
        return _end(job, ending, Failed(ending.now, "all attempts failed"))
    if delay is None:
        return _end(job, ending, Failed(ending.now, "the retry policy allows no more attempts"))
    return _put_back(job, ending, ending.now + delay, job.attempt)


def _snooze(job: ClaimedJob, ending: Ending) -> Settlement:
    outcome = ending.outcome
    assert isinstance(outcome, Snoozed)
    if ending.cancel_reason is not None:
        return _end(job, ending, Cancelled(ending.now, ending.cancel_reason))
    return _put_back(job, ending, ending.now + outcome.delay, job.attempt - 1)


def _give_back(job: ClaimedJob, ending: Ending) -> Settlement:
    """A stop is no failure: the attempt is given back, and the job keeps its place in the order.

    Except with ``max_attempts=1``: its caller wants the handler entered once at most.
    """
    outcome = ending.outcome
    assert isinstance(outcome, Released)
    if ending.cancel_reason is not None:
        return _end(job, ending, Cancelled(ending.now, ending.cancel_reason))
    if outcome.entered and job.request.max_attempts == 1:
        return _end(job, ending, Failed(ending.now, "interrupted"))
    state = Ready(job.due)
    return Settlement(state, job.attempt - 1, _record(job, ending))


def _cancel(job: ClaimedJob, ending: Ending) -> Settlement:
    outcome = ending.outcome
    assert isinstance(outcome, AttemptCancelled)
    return _end(job, ending, Cancelled(ending.now, outcome.reason))


def _lose(job: ClaimedJob, ending: Ending) -> Settlement:
    """Nobody knows how far it got, so the attempt stays spent: a job that kills its process ends.

    It keeps its place in the order, so that it runs again at once and not behind a backlog. Not so if it was
    lost before: then it may be what kills processes, and `quarantine` has its rules.
    """
    outcome = ending.outcome
    assert isinstance(outcome, Lost)
    if ending.cancel_reason is not None:
        return _end(job, ending, Cancelled(ending.now, ending.cancel_reason))
    if job.attempt >= job.request.max_attempts:
        return _end(job, ending, Failed(ending.now, "lost in its last attempt"))
    if outcome.quarantine_after is not None and outcome.in_a_row >= outcome.quarantine_after:
        return _end(job, ending, Failed(ending.now, quarantine.reason(outcome)))
    pause = quarantine.pause_after(outcome, job.request.id)
    if pause:
        return _put_back(job, ending, ending.now + pause, job.attempt)
    expire_on = job.request.expire_on
    if expire_on is not None and ending.now >= expire_on:
        return _end(job, ending, Failed(ending.now, "expired"))
    return Settlement(Ready(job.due), job.attempt, _record(job, ending))


def _put_back(job: ClaimedJob, ending: Ending, due: int, attempt: int) -> Settlement:
    expire_on = job.request.expire_on
    if expire_on is not None and due >= expire_on:
        # Nobody should wait for a start that can not come any more.
        return _end(job, ending, Failed(ending.now, "expired"))
    state = Scheduled(due) if due > ending.now else Ready(due)
    return Settlement(state, attempt, _record(job, ending))


def _end(job: ClaimedJob, ending: Ending, state: State) -> Settlement:
    return Settlement(state, job.attempt, _record(job, ending))


def _record(job: ClaimedJob, ending: Ending) -> AttemptRecord:
    return AttemptRecord(
        job.attempt,
        job.token,
        job.node,
        job.claimed_at,
        ending.started_at,
        ending.now,
        ending.outcome.word,
        describe(ending.outcome),
    )


Rule = Callable[..., Settlement]  # type: ignore[explicit-any]  # each entry its own arguments
"""A rule takes the job and what happened; `advance` and `settle` give it the right ones."""

PENDING = (Waiting, Scheduled, Ready)

TRANSITIONS: dict[tuple[type, type], tuple[Rule, tuple[type, ...]]] = {
    (Waiting, ParentsEnded): (_release, (Ready, Scheduled)),
    (Scheduled, FellDue): (_fall_due, (Ready,)),
    (Ready, Claimed): (_claim, (Processing,)),
    **{(state, CalledOff): (_call_off, (Cancelled,)) for state in PENDING},
    **{(state, Overdue): (_expire, (Expired, Failed)) for state in PENDING},
    (AwaitingCallback, ParentsEnded): (_called_back, (Completed,)),
    (AwaitingCallback, CallbackFailed): (_miss_callback, (Failed,)),
    (AwaitingCallback, CalledOff): (_call_off, (Cancelled,)),
    (Processing, Succeeded): (_complete, (Completed, AwaitingCallback, Failed)),
    (Processing, AttemptFailed): (_fail, (Scheduled, Ready, Failed, Cancelled)),
    (Processing, TimedOut): (_time_out, (Scheduled, Ready, Failed, Cancelled)),
    (Processing, Snoozed): (_snooze, (Scheduled, Ready, Failed, Cancelled)),
    (Processing, Released): (_give_back, (Ready, Failed, Cancelled)),
    (Processing, AttemptCancelled): (_cancel, (Cancelled,)),
    (Processing, Lost): (_lose, (Scheduled, Ready, Failed, Cancelled)),
    **{(state, RetriedByHand): (_begin_again, (Ready,)) for state in (Failed, Cancelled, Expired)},
}
"""(state, what happened) → (the rule, the states it may lead to). Absent means forbidden."""


# --- asking the table -----------------------------------------------------------------------------


def advance(
    job: StoredJob,
    happening: FellDue
    | ParentsEnded
    | CallbackFailed
    | Claimed
    | CalledOff
    | Overdue
    | RetriedByHand,
) -> Settlement:
    """What becomes of a job that is not running.

    Raises:
        IllegalTransition: the table does not list it.
    """
    rule = TRANSITIONS.get((type(job.state), type(happening)))
    if rule is None:
        raise IllegalTransition(job.state.word.value, type(happening).__name__)
    return rule[0](job, happening)


def settle(job: ClaimedJob, ending: Ending) -> Settlement:
    """What becomes of a job whose attempt is over."""
    return TRANSITIONS[Processing, type(ending.outcome)][0](job, ending)


def may(state: State, happening: type) -> bool:
    """Whether the table lists ``happening`` for a job in ``state``."""
    return (type(state), happening) in TRANSITIONS
