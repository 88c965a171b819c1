"""What came out of a handler: which outcome that is, and whether there is another attempt."""

from __future__ import annotations

import logging
import math
from typing import Any

import trio

from ..model.failure import is_a, leaves
from ..model.instants import to_duration
from ..model.job import ClaimedJob
from ..model.outcomes import (
    AttemptCancelled,
    AttemptFailed,
    Outcome,
    Released,
    TimedOut,
    classify,
)
from ..model.retry import RetryPolicy, RetryState, from_wire
from ..serialization.calls import DecodeError
from ..serialization.handler import Handler
from .isolation import is_real_interrupt
from .lease import Cause, Lease, Slot
from .workplace import Workplace

logger = logging.getLogger("trio_gusto")


class Judge:
    """Tells a handler's failure from its cancellation, and asks retry policies."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace

    def outcome_of(self, slot: Slot, lease: Lease, error: BaseException) -> Outcome:
        """The outcome of an attempt out of which ``error`` came.

        Where the slot's scope was cancelled, the cause decides, whatever the handler made of it.
        """
        members = leaves(error)
        if any(is_real_interrupt(leaf) for leaf in members):
            return Released(entered=True)
        cancelled = any(is_a(leaf, trio.Cancelled) for leaf in members)
        own = None if all(is_a(leaf, trio.Cancelled) for leaf in members) else error
        if slot.scope.cancel_called:
            match lease.cause:
                case Cause.TIMEOUT:
                    timeout = lease.claimed.request.timeout
                    assert timeout is not None
                    return TimedOut(timeout, own)
                case Cause.CANCEL:
                    return AttemptCancelled(lease.cancel_reason or "")
                case _:
                    return Released(entered=True)
        if cancelled and trio.current_effective_deadline() == -math.inf:
            return Released(entered=True)  # the pool itself is being cancelled
        if is_a(error, DecodeError):
            return AttemptFailed(error, final=True, reason="its arguments could not be decoded")
        return classify(error)

    def retry_delay(
        self, handler: Handler[..., Any], claimed: ClaimedJob, outcome: Outcome
    ) -> int | None:
        """Microseconds by the job's retry policy; ``None`` for "no more attempts".

        A policy that breaks counts as that too.
        """
        match outcome:
            case AttemptFailed(exception=error, final=False, after=None):
                pass
            case TimedOut(exception=error):
                error = error or TimeoutError("the attempt timed out")
            case _:
                return None
        if claimed.attempt >= claimed.request.max_attempts:
            return None
        try:
            policy = self._policy(handler, claimed)
            state = RetryState(
                claimed.attempt,
                claimed.request.max_attempts,
                error,
                self._workplace.view(claimed),
            )
            delay = policy(state)
            return None if delay is None else max(0, to_duration(delay))
        except Exception:
            logger.exception(
                "the retry policy of %s failed, so the job is not retried", claimed.request.name
            )
            return None

    def _policy(self, handler: Handler[..., Any], claimed: ClaimedJob) -> RetryPolicy:
        details = claimed.request.details
        if details is not None and details.retry is not None:
            return from_wire(details.retry)
        return self._workplace.retry_of(handler)
