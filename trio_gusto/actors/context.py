"""What a running job sees of itself: the part of `current_job` that needs no queue."""

from __future__ import annotations

import contextvars
import logging
import math
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import TypeVar
from uuid import UUID

from ..model.dependencies import Parent
from ..model.errors import ArgumentError, NoCurrentJob, NotSupported
from ..model.ids import to_uuid
from ..model.instants import to_datetime
from ..model.job import Job
from .joblog import JobLogger, Note
from .lease import Lease
from .reports import Reports
from .roster import Roster
from .workplace import Workplace

J = TypeVar("J", bound="RunningJob")

_lease: contextvars.ContextVar[Lease] = contextvars.ContextVar("trio_gusto.lease")
_node: contextvars.ContextVar[tuple[Roster, Workplace, Reports]] = contextvars.ContextVar(
    "trio_gusto.node"
)

_user: contextvars.ContextVar[object] = contextvars.ContextVar("trio_gusto.user")

set_user = _user.set
"""Set what `JobContext.user` is in the current context."""

make_current = _lease.set
"""Make the job under a lease the current one, in the current context."""


class RunningJob:
    """The job that runs here."""

    __slots__ = ("_lease", "_reports", "_roster", "_workplace")

    def __init__(
        self, lease: Lease, roster: Roster, workplace: Workplace, reports: Reports
    ) -> None:
        self._lease = lease
        self._roster = roster
        self._workplace = workplace
        self._reports = reports

    @property
    def id(self) -> UUID:
        """The job's tracking id; the same in every attempt, so it serves as idempotency key."""
        return to_uuid(self._lease.claimed.request.id)

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._lease.claimed.attempt

    @property
    def job(self) -> Job:
        """A snapshot of the job, taken as it was claimed."""
        return self._workplace.view(self._lease.claimed)

    @property
    def parents(self) -> tuple[Parent, ...]:
        """The jobs that this one waited for, with their results, in the order they were given.

        For a batch, its jobs. Read before the handler was entered; one that retention has removed is left out. Empty for a
        job that is no continuation.
        """
        return self._lease.parents

    @property
    def deadline(self) -> datetime | None:
        """When this attempt times out; ``None`` if it has no timeout."""
        timeout = self._lease.claimed.request.timeout
        started_at = self._lease.started_at
        if timeout is None or started_at is None:
            return None
        return to_datetime(started_at + timeout)

    @property
    def user_id(self) -> str | None:
        """The ``user_id`` that the job was enqueued with."""
        details = self._lease.claimed.request.details
        return None if details is None else details.user_id

    @property
    def user(self) -> object:
        """Whom `LoadUser` has found by this job's ``user_id``; ``None`` if there is nobody."""
        return _user.get(None)

    @property
    def carried(self) -> Mapping[str, object]:
        """What middleware had this job carry from where it was enqueued (`Call.carried`)."""
        details = self._lease.claimed.request.details
        return MappingProxyType(dict((details and details.context) or {}))

    @property
    def shutting_down(self) -> bool:
        """Whether this node is going down, so that a long job does well to come to an end."""
        return self._roster.stopping

    @property
    def cancel_requested(self) -> bool:
        """Whether this attempt has been cancelled, timed out or lost its lease.

        Async handlers need not ask: they are cancelled. Plain ones in threads may ask, or call
        ``trio.from_thread.check_cancelled()``.
        """
        return self._lease.cause is not None

    def progress(self, percent: float, message: str = "") -> None:
        """Say how far this job is, for `Job.progress`.

        Costs little and waits for nothing: of many reports the last one is written, after
        `Options.progress_flush_interval` seconds, or with `Options.progress_flush_batch_size` others,
        and in any case before the outcome. Works from threads. What is said once the attempt has
        ended, or has lost its lease, is left out.

        Args:
            percent: 0 to 100; may go down as well.
            message: what is being done, for people; what is longer than 4 KiB is cut.

        Raises:
            ArgumentError: ``percent`` is no number between 0 and 100, or the message no text.
            NotSupported: the storage keeps no progress.

        >>> from trio_gusto import Gusto, current_job
        >>> app = Gusto()
        >>> @app.job
        ... async def pack(boxes: int) -> None:
        ...     for done in range(boxes):
        ...         current_job().progress(100 * done / boxes, f"box {done}")
        """
        if isinstance(percent, bool) or not isinstance(percent, int | float):
            raise ArgumentError(f"a percentage cannot be {percent!r}; give a number from 0 to 100")
        if not math.isfinite(percent) or not 0 <= percent <= 100:
            raise ArgumentError(f"a job cannot be {percent!r} per cent done; give 0 to 100")
        self._kept("progress").progress(self._lease, float(percent), _text(message))

    def log(self, message: str, level: str = "info") -> None:
        """Add an entry to this job's own log, for `JobQueue.logs`.

        It is written as `progress` is. The newest `Options.max_log_entries` entries of a job are
        kept, with `Options.max_log_bytes` of messages at most.

        Args:
            message: the text.
            level: ``"debug"``, ``"info"``, ``"warning"``, ``"error"`` or ``"critical"``.

        Raises:
            ArgumentError: the level is none of these, or the message no text.
            NotSupported: the storage keeps no logs.
        """
        if level not in _LEVELS:
            raise ArgumentError(f"there is no level {level!r}; give one of {', '.join(_LEVELS)}")
        self._kept("a log").log(self._lease, level, _text(message))

    @property
    def logger(self) -> logging.Logger:
        """A logger at level ``INFO`` that writes to this job's log, and to the normal one.

        There it is ``trio_gusto.job``. Where the storage keeps no logs it writes to that only.
        """
        return JobLogger(self._note if self._reports.is_kept else None)

    def _note(self, level: str, message: str) -> None:
        self._reports.log(self._lease, level, message)

    def _kept(self, what: str) -> Reports:
        if not self._reports.is_kept:
            raise NotSupported(what, "SupportsReports")
        return self._reports


_LEVELS = ("debug", "info", "warning", "error", "critical")


def _text(message: str) -> str:
    if not isinstance(message, str):
        raise ArgumentError(f"a message cannot be {message!r}; give a text")
    return message


def running_job(kind: type[J]) -> J:
    """The job that the calling code runs in, as a ``kind``.

    Raises:
        NoCurrentJob: no job runs here.
    """
    try:
        return kind(_lease.get(), *_node.get())
    except LookupError:
        raise NoCurrentJob from None


def is_in_job() -> bool:
    """Whether the calling code runs in a job."""
    return _lease.get(None) is not None


def job_log() -> Note | None:
    """Where the job that the calling code runs in keeps its log, if it does."""
    lease = _lease.get(None)
    if lease is None:
        return None
    _, _, reports = _node.get()
    return partial(reports.log, lease) if reports.is_kept else None


def node_context(roster: Roster, workplace: Workplace, reports: Reports) -> contextvars.Context:
    """What the host has set up for the current task, as every job of this node may see it."""
    context = contextvars.copy_context()
    context.run(_node.set, (roster, workplace, reports))
    return context
