"""Pauses: what is not to be started until further notice.

A pause covers everything, a queue, a tenant, or what a queue holds for a tenant. It lasts until it is
lifted, whatever is restarted meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import attrs

from .instants import to_datetime
from .job import JobRequest


@attrs.define
class StoredPause:
    """A pause as it is kept. ``None`` for ``queue`` or ``tenant`` means any.

    ``since`` is an instant in microseconds. ``number`` is given by the storage, rises, and is never used
    again, so that a node can say which pauses it has heard of.
    """

    queue: str | None
    tenant: str | None
    reason: str
    since: int
    number: int = 0

    def covers(self, queue: str, tenant: str) -> bool:
        """Whether jobs of this queue and tenant are not to be started while this holds."""
        return self.queue in (None, queue) and self.tenant in (None, tenant)


@attrs.frozen(kw_only=True)
class Pause:
    """A pause that holds: of everything, of a ``queue``, of a ``tenant``, or of both together.

    ``None`` means any. ``since`` is when it was asked for first.
    """

    queue: str | None
    tenant: str | None
    reason: str
    since: datetime


def covered(pauses: Iterable[StoredPause], request: JobRequest) -> bool:
    """Whether a job is not to be started now."""
    return any(pause.covers(request.queue, request.tenant) for pause in pauses)


def unheard(
    pauses: Iterable[StoredPause],
    running: Sequence[tuple[str, str, str]],
    heard: Mapping[str, int],
) -> tuple[str, ...]:
    """Nodes that may still start something that a pause covers, by name.

    ``running`` are node, queue and tenant of the leases that hold; ``heard`` says up to which number each
    node has heard of pauses, and has let go of what it had not begun.
    """
    return tuple(
        sorted(
            {
                node
                for pause in pauses
                for node, queue, tenant in running
                if pause.number > heard.get(node, 0) and pause.covers(queue, tenant)
            }
        )
    )


def view(pause: StoredPause) -> Pause:
    """What users look at."""
    return Pause(
        queue=pause.queue,
        tenant=pause.tenant,
        reason=pause.reason,
        since=to_datetime(pause.since),
    )
