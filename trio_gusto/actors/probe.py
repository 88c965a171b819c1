"""Where facts leave and barriers enter. Costs nothing while nobody listens.

Actors announce what happened; telemetry, event streams and tests subscribe. A subscriber that
raises is logged and forgotten: nobody who listens can harm the work.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..model.facts import Fact, JobEnqueued
from ..model.ids import JobId, to_uuid
from ..model.instants import to_datetime

if TYPE_CHECKING:
    from ..model.job import ClaimedJob, JobRequest
    from ..model.outcomes import AttemptOutcome
    from ..model.states import JobState, State

logger = logging.getLogger("trio_gusto")

Listener = Callable[[Fact], None]


def enqueued(request: JobRequest, state: State) -> JobEnqueued:
    """What is announced of a new job."""
    return JobEnqueued(
        at=to_datetime(request.created_at),
        job_id=to_uuid(request.id),
        name=request.name,
        queue=request.queue,
        state=state.word,
    )


class Gate(Protocol):
    """Points at which a test may hold an actor. ``record`` tells the test what passed."""

    def begin(self) -> None:
        """The app begins to run: forget what an earlier run left."""
        ...

    async def pass_through(self, point: str, record: object) -> None:
        """Note the passing, and wait for as long as somebody holds the point."""
        ...

    def note(self, point: str, record: object) -> None:
        """Note a passing where nobody can be held."""
        ...


class Observer(Protocol):
    """What telemetry hears on the hot path, without the price of a fact per call."""

    def batch_started(self, size: int) -> object:
        """A claim took ``size`` jobs; the answer is given back to `batch_ended`."""
        ...

    def batch_ended(self, batch: object) -> None:
        """All jobs of the claim have settled."""
        ...

    def job_started(
        self, context: contextvars.Context, claimed: ClaimedJob, job_type: str, method_name: str
    ) -> object:
        """A handler is about to be entered in ``context``; the answer goes to `job_ended`."""
        ...

    def job_ended(
        self, span: object, outcome: AttemptOutcome, state: JobState, error: BaseException | None
    ) -> None:
        """The attempt is over; ``state`` is what becomes of the job."""
        ...

    def renewal_failed(self) -> None:
        """Leases could not be renewed."""
        ...

    def loop_blocked(self, seconds: float) -> None:
        """The event loop stood still."""
        ...


class Probe:
    """The seam of one running app: listeners, the gate of its barriers, its observer."""

    __slots__ = ("_listeners", "gate", "listening", "observer")

    def __init__(self, gate: Gate | None = None, observer: Observer | None = None) -> None:
        self._listeners: list[Listener] = []
        self.listening = False
        self.gate = gate
        self.observer = observer

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every fact from now on; the answer unsubscribes it."""
        self._listeners.append(listener)
        self.listening = True

        def unsubscribe() -> None:
            self._listeners.remove(listener)
            self.listening = bool(self._listeners)

        return unsubscribe

    def announce(self, fact: Fact) -> None:
        """Tell every listener. Callers check `listening` first, to save building the fact."""
        for listener in tuple(self._listeners):
            try:
                listener(fact)
            except Exception:
                logger.exception("a listener failed on %s and was passed over", type(fact).__name__)


class BatchRecord:
    """One claim that took something: what the batch barriers hand to a test."""

    __slots__ = ("_end_taken", "job_ids", "outstanding", "span")

    def __init__(self, job_ids: tuple[JobId, ...], span: object = None) -> None:
        self.job_ids = job_ids
        self.outstanding = len(job_ids)
        self.span = span
        self._end_taken = False

    def take_end(self) -> bool:
        """Whether the caller is the one to announce the end of this batch."""
        taken, self._end_taken = self._end_taken, True
        return not taken
