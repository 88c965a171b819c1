"""Messages about jobs that have ended long ago."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..model.retention import Selection


@attrs.define
class Prune:
    """Delete up to ``limit`` jobs that ended before ``ended_before``, the oldest first.

    Left alone are jobs that somebody still needs: those that others wait for, or for whose batch
    others wait; those of a batch that has a job that has not ended; the newest job of a schedule.

    Batches made before then of which no job is left go with them.
    With ``only`` (`None`: all) and ``but``, deleted are jobs that the one selects and none of the
    others does. Then ``limit`` jobs are looked at at most, in an order of the storage's own, and
    ``mark``, if given, is where an earlier reply said that the next look should begin.
    A storage that has an archive moves the jobs there.

    Reply: `Pruned`.
    """

    ended_before: int
    limit: int
    only: Selection | None = None
    but: Sequence[Selection] = ()
    mark: tuple[int, ...] | None = None


@attrs.define
class Pruned:
    """``count`` jobs were deleted, and there may be ``more``.

    ``mark`` is where to go on, also for a later round when there are no more now: what lies before
    it has been looked at. ``None``: at the beginning.
    """

    count: int
    more: bool = False
    mark: tuple[int, ...] | None = attrs.field(default=None, eq=False)
