"""``trio-gusto queues``: look at the queues, pause and resume them."""

from __future__ import annotations

from collections.abc import Sequence

import cyclopts

from ..model.errors import OptionsError
from ..model.pauses import Pause
from ..queue.jobqueue import JobQueue
from .counting import Counts, show_counts
from .exits import OK, WRONG, Unusable
from .place import Place
from .showing import in_one_line, show_json, show_table

commands = cyclopts.App(name="queues", help="Look at the queues, pause and resume them.")


@commands.command(name="list")
def list_queues(*, place: Place | None = None) -> int:
    """List the queues that have jobs, with how many are in which state, and what is paused."""
    place = place or Place()

    async def look(queue: JobQueue) -> tuple[Counts, Sequence[Pause]]:
        return (await queue.stats()).by_queue, await queue.paused()

    counts, pauses = place.run(look)
    if place.json:
        show_json({"queues": counts, "pauses": pauses})
        return OK
    show_counts("queue", counts)
    if pauses:
        print()
        head = ("paused queue", "tenant", "since", "reason")
        show_table(head, [(one.queue, one.tenant, one.since, one.reason) for one in pauses])
    return OK


@commands.command
def pause(
    queue: str | None = None,
    /,
    *,
    tenant: str | None = None,
    reason: str = "",
    place: Place | None = None,
) -> int:
    """Start no more jobs of a queue, of a tenant, of both together, or, without either, at all.

    It holds until it is resumed, also when workers are started anew. This returns when every process
    that holds such jobs has heard of it; Ctrl-C ends the waiting, not the pause. Jobs that run
    already run on. What is paused already stays so, with its first reason.

    Exit codes: 0, it is paused; 1, the database failed; 2, the command line is wrong; 130,
    interrupted, and it is paused.

    Parameters
    ----------
    queue
        The name of the queue.
    tenant
        The tenant; with a queue, its jobs in that queue only.
    reason
        Why; it is kept with the pause.
    """
    place = place or Place()

    async def pause_it(jobs: JobQueue) -> Pause:
        await jobs.pause(queue=queue, tenant=tenant, reason=reason)
        return next(one for one in await jobs.paused() if _is_for(one, queue, tenant))

    try:
        found = place.run(pause_it)
    except OptionsError as error:
        raise Unusable(str(error)) from error
    if place.json:
        show_json(found)
    else:
        print(f"{_what(queue, tenant)} paused{_why(found)}")
    return OK


@commands.command
def resume(
    queue: str | None = None, /, *, tenant: str | None = None, place: Place | None = None
) -> int:
    """Lift the pause of exactly this queue and tenant; without either, all pauses there are.

    Exit codes: 0, it is not paused any more; 1, it was not paused, or the database failed; 2, the
    command line is wrong; 130, interrupted.

    Parameters
    ----------
    queue
        The name of the queue.
    tenant
        The tenant.
    """
    place = place or Place()
    everything = queue is None and tenant is None

    async def resume_it(jobs: JobQueue) -> tuple[list[Pause], Sequence[Pause]]:
        before = await jobs.paused()
        lifted = [one for one in before if everything or _is_for(one, queue, tenant)]
        await jobs.resume(queue=queue, tenant=tenant)
        return lifted, await jobs.paused()

    try:
        lifted, left = place.run(resume_it)
    except OptionsError as error:
        raise Unusable(str(error)) from error
    if place.json:
        show_json({"resumed": lifted, "paused": left})
    else:
        for one in lifted:
            print(f"{_what(one.queue, one.tenant)} resumed")
        if not lifted:
            print("nothing was paused" if everything else f"{_what(queue, tenant)} was not paused")
    return OK if lifted or everything else WRONG


def _is_for(pause: Pause, queue: str | None, tenant: str | None) -> bool:
    return (pause.queue, pause.tenant) == (queue, tenant)


def _what(queue: str | None, tenant: str | None) -> str:
    names = [
        f"{kind} {in_one_line(repr(name))}"
        for kind, name in (("queue", queue), ("tenant", tenant))
        if name is not None
    ]
    return ", ".join(names) or "everything"


def _why(pause: Pause) -> str:
    return f": {in_one_line(pause.reason)}" if pause.reason else ""
