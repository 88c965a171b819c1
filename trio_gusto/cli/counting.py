"""``trio-gusto stats``: how many jobs there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import trio
from cyclopts import Parameter
from cyclopts.validators import Number

from ..clock import SystemClock
from ..model.states import JobState
from ..queue.jobqueue import JobQueue
from ..queue.records import QueueStats
from .exits import OK
from .place import Place
from .showing import show_fields, show_json, show_table

Counts = Mapping[str, Mapping[JobState, int]]


def stats(
    *,
    watch: Annotated[bool, Parameter(negative="")] = False,
    every: Annotated[float, Parameter(validator=Number(gte=0.01, lte=3600))] = 2.0,
    place: Place | None = None,
) -> int:
    """Count the jobs by state, queue and tenant, and tell how long the oldest ready one waits.

    Parameters
    ----------
    watch
        Count again and again until Ctrl-C; with --json one line each time.
    every
        Seconds between two counts.
    """
    place = place or Place()

    async def count(queue: JobQueue) -> None:
        while True:
            _show(await queue.stats(), as_json=place.json)
            if not watch:
                return
            await trio.sleep(every)

    place.run(count)
    return OK


def _show(counted: QueueStats, *, as_json: bool) -> None:
    if as_json:
        show_json(counted)
        return
    fields: dict[str, object] = {"at": SystemClock().now()}
    fields |= {state.value: counted.by_state.get(state, 0) for state in JobState}
    show_fields(fields | {"oldest ready since": counted.oldest_ready_at})
    for of, counts in (("queue", counted.by_queue), ("tenant", counted.by_tenant)):
        if counts.keys() - {""}:
            print()
            show_counts(of, counts)
    print(flush=True)


def show_counts(of: str, counts: Counts) -> None:
    """A table of what is counted by state."""
    head = (of, *(state.value for state in JobState))
    rows = [(name, *(row.get(state, 0) for state in JobState)) for name, row in counts.items()]
    show_table(head, sorted(rows))
