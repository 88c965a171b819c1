"""Schedules that live through whatever may happen: late looks, clocks set back, pauses, edits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from hypothesis import strategies as st

from property_tests.strategies import NOW, SECOND
from trio_gusto.model.firing import Firing, fire
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import JobRequest
from trio_gusto.model.occurrence import Occurrence, Skip
from trio_gusto.model.schedule import (
    Coalesce,
    Overlap,
    ScheduleRequest,
    StoredSchedule,
    admit,
    edit,
    following,
    pause,
    recomputed,
    resume,
)
from trio_gusto.model.triggers import Trigger, cron, every

Fire = Callable[[StoredSchedule, int, Sequence[JobId], int | None], Firing]

TEMPLATE = JobRequest(JobId(bytes(16)), "close_day", "[[],{}]", 0, 10)

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

triggers: st.SearchStrategy[Trigger] = st.one_of(
    st.sampled_from(
        ["*/10 * * * *", "30 * * * *", "0 1,2 * * *", "0 2 L * *", "30 */5 * * * *"]
    ).map(cron),
    st.sampled_from([97, 600, 3600, 7200]).map(every),
)

lengths = st.builds(
    lambda unit, number: unit * number,
    st.sampled_from([1, SECOND, MINUTE, 10 * MINUTE, HOUR]),
    st.integers(0, 30),
)
"""Microseconds: of all the orders of magnitude that matter to the triggers above."""


@st.composite
def schedule_requests(draw: st.DrawFn) -> ScheduleRequest:
    """A schedule as it would pass the checks."""
    start = draw(st.none() | st.none() | st.builds(lambda gap: NOW + gap - HOUR, lengths))
    end = draw(st.none() | st.none() | st.builds(lambda gap: (start or NOW) + 1 + gap, lengths))
    return ScheduleRequest(
        "ledger",
        draw(triggers),
        TEMPLATE,
        draw(st.sampled_from(["UTC", "Europe/Rome", "Australia/Lord_Howe"])),
        draw(st.sampled_from(Overlap)),
        draw(st.sampled_from(Coalesce)),
        draw(st.none() | st.none() | lengths.map(lambda length: length + 1)),
        draw(st.integers(1, 5)),
        draw(st.sampled_from([0, SECOND])),
        start,
        end,
    )


@attrs.define
class Look:
    """One look at a schedule: how it was, what was known, what came of it."""

    before: StoredSchedule
    now: int
    unfinished: tuple[JobId, ...]
    firing: Firing

    def records(self) -> list[Occurrence | Skip]:
        """What became a job, or the record of none."""
        return [*self.firing.jobs, *self.firing.skipped]

    def instants(self) -> list[int]:
        """All instants that the look had to judge, one after the other."""
        request, anchor = self.before.request, self.before.anchor
        found: list[int] = []
        since = self.before.since
        if self.before.next_at is None:
            return []
        while (instant := following(request, anchor, since)) is not None and instant <= self.now:
            found.append(instant)
            since = instant
        return found


@st.composite
def lives(draw: st.DrawFn, fire_by: Fire = fire) -> list[Look]:
    """Some looks at one schedule, and between them anything that can happen to it."""
    now = NOW + draw(lengths)
    schedule = admit(draw(schedule_requests()), now)
    unfinished: tuple[JobId, ...] = ()
    looks: list[Look] = []
    for _ in range(draw(st.integers(1, 8))):
        match draw(
            st.sampled_from(["look"] * 8 + ["back", "pause", "resume", "edit", "recompute"])
        ):
            case "look":
                now = draw(times_to_look(schedule, now))
                unfinished = draw(st.sampled_from([unfinished, unfinished[1:], ()]))
                firing = fire_by(schedule, now, unfinished, None)
                looks.append(Look(schedule, now, unfinished, firing))
                schedule = firing.schedule
                unfinished += tuple(job.job_id for job in firing.jobs)
            case "back":
                now -= draw(lengths)
            case "pause":
                schedule = pause(schedule)
            case "resume":
                schedule = resume(schedule, now, catch_up=draw(st.booleans()))
            case "edit":
                schedule = edit(schedule, draw(schedule_requests()), now)
            case _:
                schedule = recomputed(schedule)
    return looks


def times_to_look(schedule: StoredSchedule, now: int) -> st.SearchStrategy[int]:
    later = lengths.map(lambda length: now + length)
    if schedule.next_at is None or schedule.next_at < now:
        return later
    next_at = schedule.next_at
    return (
        st.sampled_from([next_at, next_at - 1]) | lengths.map(lambda late: next_at + late) | later
    )
