"""The verbs of `JobQueue` for schedules.

What can be wrong with a schedule comes out here, at the caller. A change is made to the version that
was looked at; when somebody else was quicker, it is looked at again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Unpack, overload

from ..model.errors import ScheduleError, UnknownSchedule
from ..model.ids import to_uuid
from ..model.lifecycle import admit as admit_job
from ..model.occurrence import request_by_hand
from ..model.schedule import Schedule, StoredSchedule, admit, edit, pause, resume, view
from ..model.schedule_options import schedule_request
from ..storage.messages import Committed, Insert
from ..storage.schedule_messages import FindSchedules, KeptSchedule, PutSchedule, Schedules
from .part import QueuePart
from .ref import JobRef
from .schedule_keywords import OF_SCHEDULES, ScheduleOptions
from .signatures import AnyMethod, Method, R, Ts
from .storing import store

PAGE = 500
"""Schedules read in one go."""


class ScheduleVerbs(QueuePart):
    """The part of a `JobQueue` that is about schedules."""

    @overload
    async def schedule(
        self,
        name: str,
        fn: Callable[[*Ts], Awaitable[R]],
        /,
        *args: *Ts,
        **options: Unpack[ScheduleOptions[R]],
    ) -> Schedule: ...
    @overload
    async def schedule(
        self,
        name: str,
        fn: Callable[[Any, *Ts], Coroutine[Any, Any, R]],
        /,
        *args: *Ts,
        **options: Unpack[ScheduleOptions[R]],
    ) -> Schedule: ...
    @overload
    async def schedule(
        self,
        name: str,
        fn: Callable[[*Ts], R],
        /,
        *args: *Ts,
        **options: Unpack[ScheduleOptions[R]],
    ) -> Schedule: ...
    @overload
    async def schedule(
        self,
        name: str,
        fn: Method[*Ts, R],
        /,
        *args: *Ts,
        **options: Unpack[ScheduleOptions[R]],
    ) -> Schedule: ...
    @overload
    async def schedule(
        self,
        name: str,
        fn: AnyMethod[*Ts, R],
        /,
        *args: *Ts,
        **options: Unpack[ScheduleOptions[R]],
    ) -> Schedule: ...
    async def schedule(
        self, name: str, fn: Callable[..., Any], /, *args: object, **options: Any
    ) -> Schedule:
        """Have ``fn(*args)`` called again and again; see `ScheduleOptions` for the keywords.

        It may be repeated at every start: the same registration changes nothing. With another
        trigger, time zone or start, the next instant is one after now; anything else takes effect
        from the next job on. A schedule that is paused stays paused.

        Raises:
            ScheduleError: an option of the schedule is wrong, or the trigger can never happen.
            UnknownHandler, ArgumentError, OptionsError: as for `enqueue`.
            NotSupported: the storage keeps no schedules.
            StorageError: the storage failed; nothing was changed.
        """
        if "trigger" not in options:
            raise ScheduleError(
                "there is none",
                "give trigger='0 2 * * *', trigger=timedelta(hours=1), or every_after(...)",
                field="trigger",
            )
        trigger = options.pop("trigger")
        own = {key: options.pop(key) for key in OF_SCHEDULES & options.keys()}
        template = self._drafter.template(fn, args, options)
        now = self._clock.instant()
        request = schedule_request(name, trigger, template, now=now, **own)
        while True:
            before = await self._stored(name)
            after = admit(request, now) if before is None else edit(before, request, now)
            if after is before or await self._put(name, before, after):
                return view(after)

    async def pause_schedule(self, name: str) -> Schedule:
        """Fire nothing until the schedule is resumed. Jobs that it has made run on.

        Raises:
            UnknownSchedule: there is none of this name.
        """
        return await self._change(name, pause)

    async def resume_schedule(self, name: str, *, catch_up: bool = False) -> Schedule:
        """Go on with a paused schedule.

        What fell into the pause is neither fired nor recorded; with ``catch_up`` it counts as missed,
        and ``coalesce`` and ``misfire_grace_time`` say what becomes of it.

        Raises:
            UnknownSchedule: there is none of this name.
        """
        now = self._clock.instant()
        return await self._change(name, lambda before: resume(before, now, catch_up=catch_up))

    async def remove_schedule(self, name: str) -> None:
        """Fire no more, and forget the schedule. Jobs that it has made stay.

        Raises:
            UnknownSchedule: there is none of this name.
        """
        while not await self._put(name, await self._known(name), None):
            pass

    async def trigger_schedule(self, name: str) -> JobRef[Any]:
        """Run a job of the schedule now, besides those of its instants, whatever ``overlap`` says.

        Raises:
            UnknownSchedule: there is none of this name.
        """
        asked = (await self._known(name)).request
        request = request_by_hand(asked, self._drafter.make_id(), self._clock.instant())
        state = admit_job(request)
        await store(self._desk, self._waiters, self._ears, Insert((request,), (state,)))
        self._announce_if_heard(request, state)
        return self.ref(to_uuid(request.id))

    async def get_schedule(self, name: str) -> Schedule | None:
        """A snapshot of the schedule of this name, or ``None``."""
        stored = await self._stored(name)
        return None if stored is None else view(stored)

    async def schedules(self) -> tuple[Schedule, ...]:
        """Snapshots of all schedules, by name."""
        found: list[Schedule] = []
        after: str | None = None
        while True:
            page = _all_of(await self._desk.read(FindSchedules(PAGE, after=after)))
            found += [view(kept.schedule) for kept in page]
            if len(page) < PAGE:
                return tuple(found)
            after = page[-1].schedule.request.name

    # --- inside ---

    async def _change(
        self, name: str, change: Callable[[StoredSchedule], StoredSchedule]
    ) -> Schedule:
        while True:
            before = await self._known(name)
            after = change(before)
            if after is before or await self._put(name, before, after):
                return view(after)

    async def _put(
        self, name: str, before: StoredSchedule | None, after: StoredSchedule | None
    ) -> bool:
        """Keep what has become of a schedule; ``False`` when somebody else has changed it."""
        version = None if before is None else before.version
        if not isinstance(await self._desk.ask(PutSchedule(name, version, after)), Committed):
            return False
        self._ears.rescheduled()
        return True

    async def _known(self, name: str) -> StoredSchedule:
        stored = await self._stored(name)
        if stored is None:
            raise UnknownSchedule(name)
        return stored

    async def _stored(self, name: str) -> StoredSchedule | None:
        found = _all_of(await self._desk.read(FindSchedules(1, name=name)))
        return found[0].schedule if found else None


def _all_of(page: Schedules) -> Sequence[KeptSchedule]:
    """What was asked for; nothing is left out in silence.

    Raises:
        UnreadableRecord: some of it cannot be read.
    """
    if page.unreadable:
        raise page.unreadable[0]
    return page.found
