"""``trio-gusto schedules``: look at schedules, pause, resume, trigger and remove them."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from ..model.schedule import Schedule
from ..queue.jobqueue import JobQueue
from .exits import OK
from .place import Place
from .showing import show_json, show_table

commands = cyclopts.App(
    name="schedules", help="Look at schedules, pause, resume, trigger and remove them."
)


@commands.command(name="list")
def list_schedules(*, place: Place | None = None) -> int:
    """List all schedules, by name."""
    place = place or Place()
    found = place.run(lambda queue: queue.schedules())
    if place.json:
        show_json({"schedules": found})
    else:
        head = ("name", "trigger", "timezone", "next", "last", "paused")
        show_table(head, map(_row, found))
    return OK


@commands.command
def pause(name: str, /, *, place: Place | None = None) -> int:
    """Fire nothing until the schedule is resumed. Jobs that it has made run on.

    Parameters
    ----------
    name
        The name of the schedule.
    """
    place = place or Place()
    return _told(place, place.run(lambda queue: queue.pause_schedule(name)), "paused")


@commands.command
def resume(
    name: str,
    /,
    *,
    catch_up: Annotated[bool, Parameter(negative="")] = False,
    place: Place | None = None,
) -> int:
    """Go on with a paused schedule.

    Parameters
    ----------
    name
        The name of the schedule.
    catch_up
        What fell into the pause counts as missed, instead of as never meant to fire.
    """
    place = place or Place()
    resumed = place.run(lambda queue: queue.resume_schedule(name, catch_up=catch_up))
    return _told(place, resumed, "resumed")


@commands.command
def trigger(name: str, /, *, place: Place | None = None) -> int:
    """Run a job of the schedule now, besides those of its instants.

    Parameters
    ----------
    name
        The name of the schedule.
    """
    place = place or Place()

    async def trigger_it(queue: JobQueue) -> str:
        return str((await queue.trigger_schedule(name)).id)

    job = place.run(trigger_it)
    if place.json:
        show_json({"schedule": name, "job": job})
    else:
        print(f"{name} triggered: job {job}")
    return OK


@commands.command
def remove(name: str, /, *, place: Place | None = None) -> int:
    """Forget a schedule. Jobs that it has made stay; code that registers it again brings it back.

    Parameters
    ----------
    name
        The name of the schedule.
    """
    place = place or Place()
    place.run(lambda queue: queue.remove_schedule(name))
    if place.json:
        show_json({"removed": name})
    else:
        print(f"{name} removed")
    return OK


def _told(place: Place, schedule: Schedule, done: str) -> int:
    if place.json:
        show_json(schedule)
    else:
        print(f"{schedule.name} {done}")
    return OK


def _row(schedule: Schedule) -> tuple[object, ...]:
    paused = "paused" if schedule.paused else ""
    last = (schedule.next_at, schedule.last_at, paused)
    return (schedule.name, schedule.trigger, schedule.timezone, *last)
