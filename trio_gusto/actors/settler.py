"""The end of an attempt: judge it, record it, tell the world.

Executors, the poller (for what it gives back) and the heart (for what is called off before it
began) all end attempts, and all through `Settler.settle`: it asks the law book what becomes of the
job, commits that under the lease's token, and when the storage has answered lets go of the lease
and announces what happened. It never waits; the storekeeper calls it back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..clock import Clock
from ..model.errors import GustoError
from ..model.happenings import Ending
from ..model.ids import JobId, to_uuid
from ..model.lifecycle import complete, settle
from ..model.outcomes import (
    RETURNED,
    AttemptCancelled,
    AttemptFailed,
    Outcome,
    Released,
    Succeeded,
    TimedOut,
)
from ..model.states import AwaitingCallback, Completed, Ready, Scheduled, State
from ..storage.messages import (
    Commit,
    Committed,
    Completions,
    Conflict,
    Insert,
    Inserted,
)
from .announcements import attempt_over, lease_refused
from .desk import Reply, StorageDesk
from .lease import Cause, Lease, NewJob
from .probe import Probe
from .reports import Reports
from .roster import Roster
from .settlement_letters import SettlementLetter, SuccessLetter
from .waiters import Waiters

logger = logging.getLogger("trio_gusto")

_COMMITTED = Committed()


def _nobody_cares(_due: int) -> None:
    """Where there is no poller to tell."""


def _nobody_waits(_parents: Sequence[JobId]) -> None:
    """Where there is no resolver to tell."""


def _nobody_hears(_insert: Insert, _inserted: Inserted) -> None:
    """Where there is nobody to tell of new jobs."""


class Settler:
    """Ends attempts. ``on_due`` is told when a job becomes due again, and when."""

    def __init__(
        self,
        desk: StorageDesk,
        roster: Roster,
        waiters: Waiters,
        probe: Probe,
        clock: Clock,
        reports: Reports,
    ) -> None:
        self._desk = desk
        self._roster = roster
        self._waiters = waiters
        self._probe = probe
        self._clock = clock
        self._reports = reports
        """What running jobs have said, which goes before their outcomes."""
        self.on_due: Callable[[int], None] = _nobody_cares
        self.on_awaited: Callable[[Sequence[JobId]], None] = _nobody_waits
        """Told of jobs that have ended and that others wait for."""
        self.on_children: Callable[[Insert, Inserted], None] = _nobody_hears
        """Told of jobs that were stored with a success."""
        self._successes: SuccessLetter | None = None
        """The letter that takes up successes until it is on its way."""

    def settle(
        self,
        lease: Lease,
        outcome: Outcome,
        *,
        now: int | None = None,
        delay: int | None = None,
        callback: NewJob | None = None,
    ) -> State:
        """Record that the attempt under ``lease`` ended with ``outcome``; returns the new state.

        ``delay`` (microseconds) is what the retry policy allowed. A success is recorded with the jobs
        that its handler has enqueued, and with its ``callback``, if it has one.
        """
        if now is None:
            now = self._clock.instant()
        claimed = lease.claimed
        called = None if callback is None else callback[0].id
        ending = Ending(outcome, now, lease.started_at, delay, lease.cancel_reason, called)
        settlement = settle(claimed, ending)
        commit = Commit(
            claimed.request.id,
            claimed.token,
            settlement.state,
            settlement.attempt,
            settlement.record,
            exception=(
                outcome.exception if isinstance(outcome, AttemptFailed | TimedOut) else None
            ),
            forget_expiry=settlement.forget_expiry,
        )
        if isinstance(settlement.state, Completed | AwaitingCallback):
            commit.children = _children(lease, callback)
        lease.over = True
        if lease.line is not None:
            self._roster.step_out(lease)
            self._roster.backlog.wake(1)
        self._reports.go_before()
        self._desk.tell(SettlementLetter(commit, self, lease, outcome, now))
        return settlement.state

    def succeed(self, lease: Lease, outcome: Succeeded, started_at: int, now: int) -> None:
        """`settle` for a handler that returned: the short cut that most jobs take."""
        lease.over = True
        letter = self._successes
        if letter is None:
            self._reports.go_before()
            letter = self._successes = SuccessLetter(self)
            self._desk.tell(letter)
        if lease.line is not None and self._roster.step_out(lease):
            letter.frees_lanes = True
        letter.leases.append(lease)
        letter.states.append(complete(lease.claimed, outcome, started_at, now))

    def sealed(self) -> None:
        """What succeeds from now on needs a new letter."""
        self._successes = None

    def succeeded(self, letter: SuccessLetter, reply: Reply) -> None:
        """The storage has answered a letter of successes."""
        if isinstance(reply, Completions) and reply.awaited:
            self.on_awaited(reply.awaited)
        if isinstance(reply, Completions) and not reply.refused and not self._is_watched():
            self._roster.let_go_all(letter.leases, frees_lanes=letter.frees_lanes)
            if self._waiters.are_there():
                for lease in letter.leases:
                    self._waiters.notify(lease.claimed.request.id)
            return
        for position, (lease, state) in enumerate(zip(letter.leases, letter.states, strict=True)):
            answer = reply
            if isinstance(reply, Completions):
                answer = reply.refused.get(position, _COMMITTED)
            self.recorded(lease, RETURNED, state.ended_at, state, answer)

    def _is_watched(self) -> bool:
        probe = self._probe
        return probe.listening or probe.gate is not None or probe.observer is not None

    def recorded(
        self, lease: Lease, outcome: Outcome, now: int, state: State, reply: Reply
    ) -> None:
        """The storage has answered."""
        if type(reply) is Committed:
            lease.state = state.word
            if reply.awaited:
                self.on_awaited(reply.awaited)
            self._let_go(lease)
            self._tell_the_world(lease, outcome, now, state)
        elif isinstance(reply, Conflict) and reply.cancel_reason is not None:
            # Called off from elsewhere before we heard of it: the attempt ends as cancelled.
            lease.cancel_reason = reply.cancel_reason
            self.settle(lease, AttemptCancelled(reply.cancel_reason), now=now)
        elif isinstance(reply, Conflict):
            self._let_go(lease)
            self._refused(lease)
        else:
            assert isinstance(reply, GustoError)
            logger.error(
                "the outcome of job %s was refused: %s", to_uuid(lease.claimed.request.id), reply
            )
            self._let_go(lease)

    def refused(self, lease: Lease, now: int, error: GustoError) -> None:
        """What the handler has enqueued could not be stored, so its success could not either.

        It would be refused again, so there is no other attempt; nothing is lost, for the job can be
        retried by hand.
        """
        reason = f"what it enqueued was refused: {error}"
        self.settle(lease, AttemptFailed(error, final=True, reason=reason), now=now)

    def _let_go(self, lease: Lease) -> None:
        self._roster.let_go(lease)
        batch = lease.batch
        if batch.outstanding == 0 and self._probe.observer is not None:
            self._probe.observer.batch_ended(batch.span)
        if lease.recorded is not None:
            lease.recorded.set()  # its executor stands at the barriers
        elif self._probe.gate is not None:
            self._probe.gate.note("job_settled", lease.settled())
            if batch.outstanding == 0 and batch.take_end():
                self._probe.gate.note("batch_completed", batch)

    def _tell_the_world(self, lease: Lease, outcome: Outcome, now: int, state: State) -> None:
        if isinstance(state, Scheduled | Ready):
            self.on_due(state.due)
        elif not isinstance(state, AwaitingCallback):
            self._waiters.notify(lease.claimed.request.id)
        if self._probe.listening:
            self._probe.announce(attempt_over(lease.claimed, outcome, now, state))

    def _refused(self, lease: Lease) -> None:
        request = lease.claimed.request
        # Either somebody else decided about the job, or we did and the reply was lost on its way.
        self._waiters.notify(request.id)
        self.on_due(self._clock.instant())
        logger.warning(
            "job %s (%s) came too late with its outcome: its lease was no longer valid",
            to_uuid(request.id),
            request.name,
        )
        if self._probe.listening:
            self._probe.announce(lease_refused(lease.claimed, self._clock.now()))

    def call_off(self, lease: Lease, reason: str) -> None:
        """Somebody cancelled the job: at once if its handler was not entered, in its scope if so."""
        if lease.over or lease.cause is not None:
            return
        lease.cancel(reason)
        if lease.started_at is None:
            self.give_back(lease)

    def give_back(self, lease: Lease) -> None:
        """Settle an attempt whose handler was never entered: this node will not run it."""
        if lease.over:
            return  # called off while it waited its turn
        if lease.cause is None:  # it may have come to the backlog, and must not be entered
            lease.cause = Cause.GIVEN_BACK
        if lease.cancel_reason is not None:
            self.settle(lease, AttemptCancelled(lease.cancel_reason))
        else:
            self.settle(lease, Released(entered=False))


def _children(lease: Lease, callback: NewJob | None) -> Insert | None:
    """The jobs to be stored with a success, if there are any; the callback is the last."""
    new = [*(lease.children or ()), *(() if callback is None else (callback,))]
    if not new:
        return None
    return Insert([request for request, _ in new], [state for _, state in new])
