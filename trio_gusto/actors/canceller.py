"""How a job that may be in any state is changed from outside: look, decide, compare, and try again.

No actor, but what the queue and the cron actor share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..clock import Clock
from ..model.errors import GustoError, UnknownJob
from ..model.facts import JobFinished, JobReleased, JobRetriedByHand
from ..model.happenings import CalledOff, ParentsEnded, RetriedByHand, Settlement
from ..model.ids import JobId, to_uuid
from ..model.instants import to_datetime
from ..model.job import StoredJob
from ..model.lanes import makes_others_wait
from ..model.lifecycle import advance, may
from ..model.states import AwaitingCallback, Processing, Ready, Scheduled
from ..storage.finding_messages import Get
from ..storage.lease_messages import RequestCancel
from ..storage.messages import Commit, Committed
from .desk import Heed, Reply, StorageDesk
from .probe import Probe
from .waiters import Waiters


class Canceller:
    """Calls jobs off.

    ``called_off`` is told of those whose holder has to stop them, ``awaited`` of those that have
    ended while others wait for them, ``vacated`` when one has left a lane in which others may stand behind it.
    """

    def __init__(
        self,
        desk: StorageDesk,
        waiters: Waiters,
        clock: Clock,
        called_off: Callable[[JobId, str], None],
        awaited: Callable[[Sequence[JobId]], None],
        vacated: Callable[[], None],
        probe: Probe,
    ) -> None:
        self._desk = desk
        self._waiters = waiters
        self._clock = clock
        self._called_off = called_off
        self._awaited = awaited
        self._vacated = vacated
        self._probe = probe

    async def cancel(self, job_id: JobId, reason: str) -> bool:
        """Call a job off. Returns whether it was; not, if it has ended already.

        Raises:
            UnknownJob: there is no such job.
            NotSupported: the storage cannot be asked for it.
        """
        while True:
            found = (await self._desk.read(Get([job_id]))).jobs
            if not found:
                raise UnknownJob(to_uuid(job_id))
            stored = found[0]
            if isinstance(stored.state, Processing):
                request = RequestCancel(job_id, stored.version, reason)
                then = partial(self._called_off, job_id, reason)
                if isinstance(await self._desk.ask(request, self._once_done(then)), Committed):
                    return True
            elif not may(stored.state, CalledOff):
                return False
            elif isinstance(stored.state, AwaitingCallback):
                if await self._cancel_with_callback(stored, reason):
                    return True
            else:
                then = partial(self._tell_gone, stored)
                if await self.change(stored, CalledOff(self._clock.instant(), reason), then):
                    return True

    async def _cancel_with_callback(self, stored: StoredJob, reason: str) -> bool:
        """In one transaction, so that no crash leaves a callback that nobody waits for any more."""
        now = self._clock.instant()
        jobs = [stored, *await self.callbacks_of([stored])]
        letters = [
            self._desk.post(calling_off(job, now, reason), self._once_done(telling))
            for job in jobs
            for telling in [partial(self.tell_called_off, job, now, reason)]
        ]
        for job, letter in zip(jobs, letters, strict=True):
            reply = await letter.answer()
            if isinstance(reply, GustoError):
                raise reply
            if isinstance(reply, Committed):
                continue
            if job is stored:
                return False
            await self.cancel_callback(job, reason)
        return True

    async def callbacks_of(self, jobs: Sequence[StoredJob]) -> Sequence[StoredJob]:
        """The callbacks that these jobs wait for, those that they wait for, and so on."""
        found: list[StoredJob] = []
        awaited = _callbacks(jobs)
        while awaited:
            callbacks = (await self._desk.read(Get(awaited))).jobs
            live = [job for job in callbacks if not job.state.word.is_ended]
            found += live
            awaited = _callbacks(live)
        return found

    async def cancel_callback(self, callback: StoredJob, reason: str) -> None:
        """Call off a callback that has changed while the job that waited for it was called off."""
        try:
            await self.cancel(callback.request.id, reason)
        except UnknownJob:
            pass  # retention was quicker

    def _tell_gone(self, job: StoredJob) -> None:
        self._waiters.notify(job.request.id)
        if makes_others_wait(job.request):
            self._vacated()

    def tell_called_off(self, job: StoredJob, now: int, reason: str) -> None:
        """Tell whom it concerns that a job was called off, whatever it was at."""
        if isinstance(job.state, Processing):  # who runs it tells of its end
            self._called_off(job.request.id, reason)
            return
        self._tell_gone(job)
        happening = CalledOff(now, reason)
        self.announce(job, advance(job, happening), happening)

    async def change(
        self,
        stored: StoredJob,
        happening: CalledOff | RetriedByHand | ParentsEnded,
        then: Callable[[], None],
    ) -> bool:
        """Record what becomes of a job, then tell; ``False`` when it has changed meanwhile."""
        settlement = advance(stored, happening)
        commit = Commit(
            stored.request.id,
            stored.version,
            settlement.state,
            settlement.attempt,
            forget_expiry=settlement.forget_expiry,
        )

        def tell() -> None:
            then()
            self.announce(stored, settlement, happening)

        return isinstance(await self._desk.ask(commit, self._once_done(tell)), Committed)

    def announce(
        self,
        stored: StoredJob,
        settlement: Settlement,
        happening: CalledOff | RetriedByHand | ParentsEnded,
    ) -> None:
        """Tell whoever listens what has become of a job."""
        if not self._probe.listening:
            return
        state, request = settlement.state, stored.request
        common: dict[str, Any] = {
            "at": to_datetime(happening.now),
            "job_id": to_uuid(request.id),
            "name": request.name,
            "queue": request.queue,
        }
        if isinstance(state, Ready | Scheduled):
            kind = JobRetriedByHand if isinstance(happening, RetriedByHand) else JobReleased
            self._probe.announce(kind(**common, due=to_datetime(state.due)))
            return
        common |= {"attempt": settlement.attempt, "state": state.word, "error": None}
        self._probe.announce(JobFinished(**common, reason=getattr(state, "reason", "")))

    def _once_done(self, then: Callable[[], None]) -> Heed:
        """Do ``then`` when a change is recorded, whether or not its caller has been cancelled."""

        def heed(reply: Reply) -> None:
            if isinstance(reply, Committed):
                then()
                if reply.awaited:
                    self._awaited(reply.awaited)

        return heed


def calling_off(job: StoredJob, now: int, reason: str) -> Commit | RequestCancel:
    """The message that calls off a job that has not ended."""
    if isinstance(job.state, Processing):
        return RequestCancel(job.request.id, job.version, reason)
    settlement = advance(job, CalledOff(now, reason))
    return Commit(job.request.id, job.version, settlement.state, settlement.attempt)


def _callbacks(jobs: Sequence[StoredJob]) -> list[JobId]:
    return [job.state.callback for job in jobs if isinstance(job.state, AwaitingCallback)]
