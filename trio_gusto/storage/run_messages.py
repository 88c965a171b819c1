"""What storages are asked about earlier runs: a query, part of the language of `messages`."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


@attrs.define
class PastRuns:
    """How long the newest completed jobs of a handler took, ``limit`` of them at most.

    Looked at are the ``look`` jobs that ended last (by ``ended_at``, then sequence); with ``schedule``
    the ``look`` jobs that it made last. Of these, the completed ones of the handler ``name`` whose named
    worker is ``worker`` (``None``: that have none). Jobs in an archive are not looked at. Reply: `RunsFound`.
    """

    name: str
    worker: str | None
    limit: int
    look: int
    schedule: str | None = None


@attrs.define
class RunsFound:
    """From the start of the handler to its end, in microseconds, newest first."""

    durations: Sequence[int]
