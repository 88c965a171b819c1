"""Barriers: named points at which a test looks over the actors' shoulders, or holds them.

Rules. They belong to one instance, given to ``app.running(barriers=…)``; nothing is global, and an
app that was given none pays nothing. Every passing is remembered until a test takes it with
`Barrier.wait`, so a test can ask for what has happened already. One hold stops one actor, at the
next passing that fits it; later passings go by. What is seen here are public records, not the
actors' own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import attrs
import trio

from ..actors.probe import BatchRecord
from ..model.errors import GustoError
from ..model.ids import JobId, to_uuid
from ..model.job import ClaimedJob, Job, StoredJob
from ..model.states import JobState
from ..queue.ref import JobRef
from ..storage.schedule_messages import Fire

# --- what a test is shown -------------------------------------------------------------------------


@attrs.frozen
class BatchPassed:
    """A claim that took something: its jobs, in claim order."""

    job_ids: tuple[UUID, ...]


@attrs.frozen
class JobPassed:
    """One attempt of a job. ``attempt`` is 1-based."""

    job_id: UUID
    name: str
    attempt: int

    @property
    def job_ids(self) -> tuple[UUID, ...]:
        """The one job, like in records of many."""
        return (self.job_id,)


@attrs.frozen
class JobSettled(JobPassed):
    """One attempt that is over. ``state`` is what it recorded of the job, ``None`` if nothing: its
    lease was lost."""

    state: JobState | None


@attrs.frozen
class SweepPassed:
    """What a sweep found: jobs whose lease was ``lost``, and jobs past their ``expire_on``."""

    lost: tuple[UUID, ...]
    overdue: tuple[UUID, ...]

    @property
    def job_ids(self) -> tuple[UUID, ...]:
        """All jobs that it found."""
        return self.lost + self.overdue


@attrs.frozen
class SchedulePassed:
    """A schedule that fired: the jobs stored for its instants, those recorded as skipped included."""

    name: str
    job_ids: tuple[UUID, ...]


@attrs.frozen
class ResolutionPassed:
    """Continuations that were ``released`` to run, and those that were ``cancelled`` since their
    condition can hold no more."""

    released: tuple[UUID, ...]
    cancelled: tuple[UUID, ...]

    @property
    def job_ids(self) -> tuple[UUID, ...]:
        """All of them."""
        return self.released + self.cancelled


Passing = TypeVar(
    "Passing", bound=BatchPassed | JobPassed | SweepPassed | SchedulePassed | ResolutionPassed
)

# --- holding and waiting --------------------------------------------------------------------------


class NotReached(GustoError, RuntimeError):
    """The record of a held actor was asked for, but no actor has come to the point."""

    def __init__(self, point: str) -> None:
        self.point = point
        super().__init__(
            f"no actor has reached {point} under this hold, so there is no record of it; "
            "await reached() first, inside the block"
        )


class Hold(Generic[Passing]):
    """What ``async with barrier.hold() as at`` gives: one actor, held while the block runs."""

    def __init__(self, barrier: Barrier[Passing], job_id: UUID | None) -> None:
        self._barrier = barrier
        self._job_id = job_id
        self._arrived: list[Passing] = []
        self._reached = trio.Event()
        self._released = trio.Event()

    async def __aenter__(self) -> Hold[Passing]:
        self._barrier.holds.append(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self in self._barrier.holds:
            self._barrier.holds.remove(self)
        self._released.set()
        self._reached.set()  # who still waits for it would wait for ever

    async def reached(self) -> Passing:
        """Wait until an actor stands at the point; returns its record.

        This looks, and takes nothing: `Barrier.wait` still returns the same passing. It waits as
        long as it takes; put a `trio.fail_after` around it.

        Raises:
            NotReached: the block has ended, and no actor had come.
        """
        await self._reached.wait()
        return self.record

    @property
    def record(self) -> Passing:
        """What the held actor was about.

        Raises:
            NotReached: no actor has come yet.
        """
        if not self._arrived:
            raise NotReached(self._barrier.name)
        return self._arrived[0]

    def fits(self, record: Passing) -> bool:
        """Whether this passing is one to stop."""
        return self._job_id is None or self._job_id in record.job_ids

    async def stop(self, record: Passing) -> None:
        """Hold the calling actor until the block is left."""
        self._arrived.append(record)
        self._reached.set()
        await self._released.wait()

    def __repr__(self) -> str:
        job = "" if self._job_id is None else f" for job {self._job_id}"
        state = f"reached by {self._arrived[0]}" if self._arrived else "not reached"
        return f"<Hold at {self._barrier.name}{job}: {state}>"


class Barrier(Generic[Passing]):
    """One named point of one running app."""

    def __init__(self, name: str, to_record: Callable[[object], Passing]) -> None:
        self.name = name
        self.holds: list[Hold[Passing]] = []
        """Holds that no actor has reached yet, oldest first."""
        self._to_record = to_record
        self._total = 0
        self.forget()

    def hold(self, job: JobRef[Any] | Job | UUID | None = None) -> Hold[Passing]:
        """Hold the next actor that comes to this point, for as long as the block runs.

        With ``job``, the next one that comes with that job. Of several holds the oldest that fits
        is the one to be reached.
        """
        return Hold(self, job if isinstance(job, UUID) or job is None else job.id)

    async def wait(self) -> Passing:
        """Take the oldest passing not yet taken, since the app began to run; returns its record.

        Waits for the next one when there is none. A passing counts from the actor's arrival, so one
        that is held may be taken.
        """
        return await self._passed.receive()

    def forget(self) -> None:
        """Forget passings that were not taken."""
        send, receive = trio.open_memory_channel[Passing](math.inf)
        self._pass, self._passed = send, receive

    def note(self, record: object) -> Passing:
        """Remember a passing of an actor's own ``record``."""
        passing = self._to_record(record)
        self._total += 1
        self._pass.send_nowait(passing)
        return passing

    async def pass_through(self, record: object) -> None:
        """Remember a passing, and stand still if it is held."""
        passing = self.note(record)
        for hold in self.holds:
            if hold.fits(passing):
                self.holds.remove(hold)
                await hold.stop(passing)
                return

    def __repr__(self) -> str:
        untaken = self._passed.statistics().current_buffer_used
        return (
            f"<Barrier {self.name}: {self._total} passed, {untaken} of them not taken, "
            f"{len(self.holds)} holds not reached>"
        )


class Barriers:
    """The points of one app, each a `Barrier`; give it to ``app.running(barriers=…)``.

    ``batch_start`` is passed after a claim that took something and before its jobs reach executors,
    ``batch_completed`` when all of them have settled; a poll that found nothing passes neither.
    ``job_claimed``, ``job_started`` (before the handler is entered) and ``job_settled`` (after the
    outcome is recorded) are passed once per attempt, ``sweep_done`` after each sweep, the first
    one at the start included, ``schedule_fired`` after the jobs of a schedule's instants, or the
    records of skipped ones, were stored by this app, and ``continuations_resolved`` after a look that
    released or cancelled a continuation.
    An attempt that was given back without having been entered is noted at ``job_settled`` and
    ``batch_completed`` too, but nobody can be held there: no executor has it.

    >>> from trio_gusto import Gusto
    >>> app, barriers = Gusto(), Barriers()
    >>> @app.job
    ... async def greet(name: str) -> str:
    ...     return f"hello {name}"
    >>> async def main() -> None:
    ...     async with app.running(barriers=barriers) as queue:
    ...         async with barriers.batch_start.hold() as at:
    ...             ref = await queue.enqueue(greet, "Ann")
    ...             await at.reached()
    ...             print(await ref.status())
    ...         await barriers.batch_completed.wait()
    ...         print(await ref.status())
    >>> trio.run(main)
    processing
    completed
    """

    def __init__(self) -> None:
        self.batch_start = Barrier("batch_start", _batch)
        self.batch_completed = Barrier("batch_completed", _batch)
        self.job_claimed = Barrier("job_claimed", _job)
        self.job_started = Barrier("job_started", _job)
        self.job_settled = Barrier("job_settled", _settled)
        self.sweep_done = Barrier("sweep_done", _sweep)
        self.schedule_fired = Barrier("schedule_fired", _firing)
        self.continuations_resolved = Barrier("continuations_resolved", _resolved)
        points: list[Barrier[Any]] = [
            self.batch_start,
            self.batch_completed,
            self.job_claimed,
            self.job_started,
            self.job_settled,
            self.sweep_done,
            self.schedule_fired,
            self.continuations_resolved,
        ]
        self._points = {point.name: point for point in points}

    # --- what the app calls: see `trio_gusto.actors.probe.Gate` ---

    def begin(self) -> None:
        """An app begins to run: what an earlier run left is forgotten."""
        for point in self._points.values():
            point.forget()

    async def pass_through(self, point: str, record: object) -> None:
        """An actor comes to ``point``; it goes on when nobody holds it there."""
        await self._points[point].pass_through(record)

    def note(self, point: str, record: object) -> None:
        """Something passed ``point`` where no actor can be held."""
        self._points[point].note(record)

    def __repr__(self) -> str:
        return f"<Barriers {', '.join(map(repr, self._points.values()))}>"


# --- from the actors' records ---------------------------------------------------------------------


def _batch(record: object) -> BatchPassed:
    assert isinstance(record, BatchRecord)
    return BatchPassed(tuple(map(to_uuid, record.job_ids)))


def _job(record: object) -> JobPassed:
    assert isinstance(record, ClaimedJob)
    return JobPassed(to_uuid(record.request.id), record.request.name, record.attempt)


def _settled(record: object) -> JobSettled:
    claimed, state = cast("tuple[ClaimedJob, JobState | None]", record)
    return JobSettled(to_uuid(claimed.request.id), claimed.request.name, claimed.attempt, state)


def _sweep(record: object) -> SweepPassed:
    lost, overdue = cast("tuple[Sequence[StoredJob], Sequence[StoredJob]]", record)
    return SweepPassed(_ids(lost), _ids(overdue))


def _firing(record: object) -> SchedulePassed:
    assert isinstance(record, Fire)
    job_ids = tuple(to_uuid(request.id) for request in record.requests)
    return SchedulePassed(record.schedule.request.name, job_ids)


def _resolved(record: object) -> ResolutionPassed:
    released, cancelled = cast("tuple[Sequence[JobId], Sequence[JobId]]", record)
    return ResolutionPassed(tuple(map(to_uuid, released)), tuple(map(to_uuid, cancelled)))


def _ids(jobs: Sequence[StoredJob]) -> tuple[UUID, ...]:
    return tuple(to_uuid(job.request.id) for job in jobs)
