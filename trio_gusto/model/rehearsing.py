"""What is stored for later, as a new version of the code is tried on it."""

from __future__ import annotations

from uuid import UUID

import attrs

from .job import JobRequest
from .schedule import StoredSchedule


@attrs.frozen
class LiveJob:
    """A job that has not ended; without a ``request``, what is stored cannot be read (``fault``).

    ``has_returned``: its handler has, and it only waits for its callback. ``id`` is ``None`` where even that
    cannot be read.
    """

    id: UUID | None
    name: str
    request: JobRequest | None
    fault: str = ""
    has_returned: bool = False


@attrs.frozen
class KnownSchedule:
    """A schedule; without ``kept``, what is stored of it cannot be read (``fault``)."""

    name: str
    kept: StoredSchedule | None
    fault: str = ""
