"""Every error that trio-gusto raises, each saying what happened, why not, and what to do instead.

Fields are typed, for programs; messages are sentences, for people. Who is to blame shows in the
class: the caller (`ArgumentError`, `OptionsError` …), the storage (`StorageError` and its kin), or
a job (`JobFailed` and its kin, raised by ``result()``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from .failure import JobError


class GustoError(Exception):
    """The root of every error raised by trio-gusto."""


class ArgumentError(GustoError, ValueError):
    """The arguments of a call do not fit the handler, or cannot be stored.

    ``handler`` is the name of the handler, ``path`` leads to the bad value (``$.customer.born``).
    """

    def __init__(self, message: str, *, handler: str = "", path: str = "") -> None:
        self.handler = handler
        self.path = path
        super().__init__(message)


class OptionsError(GustoError, ValueError):
    """An option is unknown, of the wrong type, or out of range.

    ``key`` names the option, ``value`` is what was given, ``allowed`` says what may be given.
    """

    def __init__(self, key: str, value: object, allowed: str) -> None:
        self.key = key
        self.value = value
        self.allowed = allowed
        super().__init__(f"the option {key!r} cannot be {value!r}; {allowed}")


class ScheduleError(GustoError, ValueError):
    """A schedule cannot be kept: its cron expression, its trigger or one of its options is wrong.

    ``reason`` says what is wrong, ``field`` where: a field of the cron expression, or an option of
    the schedule. ``expression`` is the cron expression and ``position`` the index of the character
    in it (from 0) where the mistake begins; both are ``None`` when the mistake is not there.
    """

    def __init__(
        self,
        reason: str,
        instead: str,
        *,
        field: str = "",
        expression: str | None = None,
        position: int | None = None,
    ) -> None:
        self.reason = reason
        self.field = field
        self.expression = expression
        self.position = position
        if expression is None:
            what = f"this {field} cannot be used for a schedule"
        else:
            where = "" if position is None else f" from character {position + 1} ({field})"
            what = f"the cron expression {expression!r} cannot be followed{where}"
        super().__init__(f"{what}: {reason}; {instead}")


class UnknownHandler(GustoError, LookupError):
    """No handler is registered for this function or name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        self.known = tuple(sorted(known))
        names = ", ".join(self.known) or "none"
        super().__init__(
            f"no handler is registered as {name!r}, so no worker could run it; "
            f"decorate the function with @app.job (registered: {names})"
        )


class DuplicateHandler(GustoError):
    """Two handlers claim one name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"a handler named {name!r} is registered already, and a stored job could not tell "
            "the two apart; give one of them another name with @app.job(name=...)"
        )


class DuplicateJob(GustoError):
    """A job with this key exists. ``existing_id`` is its id.

    ``key`` is ``"id"``, ``"ref_id"``, or ``"unique_key"`` when that job has not ended.
    """

    def __init__(self, key: str, value: object, existing_id: UUID) -> None:
        self.key = key
        self.value = value
        self.existing_id = existing_id
        happened = f"a job with the {key} {value!r} exists already ({existing_id})"
        advice = "look at that job with queue.get(existing_id), or use another key"
        if key == "unique_key":
            happened = f"the live job {existing_id} has the {key} {value!r}"
            advice = (
                'wait for its end, or say on_conflict="return_existing" or, for a job that has not '
                'begun, on_conflict="replace"'
            )
        super().__init__(f"{happened}, and nothing was stored; {advice}")


class UnknownJob(GustoError, LookupError):
    """No job has this id: it never existed, or retention removed it."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        super().__init__(
            f"no job has the id {job_id}; it never existed, or retention removed it "
            "(see Options.retention)"
        )


class UnknownSchedule(GustoError, LookupError):
    """No schedule has this name: it was never registered, or it was removed."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"no schedule has the name {name!r}; it was never registered, or it was removed, so "
            "register it with queue.schedule(...), or see queue.schedules() for those there are"
        )


class BatchError(GustoError):
    """A batch cannot take these jobs. ``batch_id`` is its id."""

    def __init__(self, message: str, batch_id: UUID) -> None:
        self.batch_id = batch_id
        super().__init__(message)

    @classmethod
    def unknown(cls, batch_id: UUID) -> BatchError:
        """There is no such batch."""
        return cls(
            f"no batch has the id {batch_id}, so nothing can be appended to it; it never existed, "
            "or retention removed it with its jobs (see Options.retention)",
            batch_id,
        )

    @classmethod
    def exists(cls, batch_id: UUID) -> BatchError:
        """A new batch has an id that is taken."""
        return cls(
            f"a batch with the id {batch_id} exists already, and nothing was stored; "
            "append to that one, or make another",
            batch_id,
        )

    @classmethod
    def finished(cls, batch_id: UUID) -> BatchError:
        """All its jobs have ended."""
        return cls(
            f"batch {batch_id} is finished, and who waited for that was told; nothing was stored; "
            "make another batch, or open this one again with append_to(batch_id, reopen=True)",
            batch_id,
        )

    @classmethod
    def incomplete(cls, batch_id: UUID) -> BatchError:
        """An `enqueue_many` of its block failed."""
        return cls(
            f"an enqueue_many of batch {batch_id} did not come to its end, so jobs are missing, and "
            "nothing was stored; let what it raised leave the block, and begin again with a new one",
            batch_id,
        )

    @classmethod
    def unstaged(cls, batch_id: UUID, staged: int, found: int) -> BatchError:
        """Of what was staged for it, not everything is there."""
        return cls(
            f"of the {staged} jobs that were put by for batch {batch_id} the storage has {found}, so "
            "nothing was stored; a sweep removes what gets no more jobs for a day, or whose node is "
            "gone; begin again with a new block, and pour the jobs in without such a pause",
            batch_id,
        )

    @classmethod
    def closed(cls, batch_id: UUID) -> BatchError:
        """Its block is not open."""
        return cls(
            f"batch {batch_id} takes jobs only inside its block, since the end of the block stores "
            "them; use `async with queue.append_to(batch_id)` for more",
            batch_id,
        )


class NotSupported(GustoError):
    """The storage cannot do this. ``protocol`` names what it would have to implement."""

    def __init__(self, what: str, protocol: str, instead: str = "") -> None:
        self.what = what
        self.protocol = protocol
        super().__init__(
            f"this storage does not support {what}; "
            + (instead or f"implement {protocol} in its provider, or use another storage")
        )


class BackendError(GustoError, RuntimeError):
    """The program runs on another event loop than Trio."""


class NoCurrentJob(GustoError, RuntimeError):
    """`current_job()` was called outside a job."""

    def __init__(self) -> None:
        super().__init__(
            "current_job() was called where no job runs; call it inside a handler, "
            "in the handler's own task or one started by it"
        )


class AlreadyRunning(GustoError, RuntimeError):
    """The same `Gusto` was started twice at once."""

    def __init__(self) -> None:
        super().__init__(
            "this app is running already, and its actors would meet themselves; "
            "leave the first block, or make a second Gusto object on the same storage"
        )


class IllegalTransition(GustoError):
    """A change of state that the table in `trio_gusto.model.lifecycle` does not list."""

    def __init__(self, state: str, happening: str) -> None:
        self.state = state
        self.happening = happening
        super().__init__(
            f"a job that is {state} cannot take {happening}; "
            "the table of allowed transitions is in the documentation under 'A job's life'"
        )


class StorageError(GustoError):
    """The storage failed; nothing of the request was stored."""


class StorageBusy(StorageError):
    """Another process kept the storage locked for longer than its busy timeout."""


class StorageFull(StorageError):
    """The disk or quota under the storage is full."""


class StorageReadOnly(StorageError):
    """The storage may be read but not written."""


class UnreadableRecord(StorageError):
    """A job, a schedule or a batch is stored, and its record cannot be read.

    ``kind`` says which of them, ``key`` is its id or name, and ``fault`` what is wrong.
    """

    def __init__(self, kind: str, key: str, fault: str) -> None:
        self.kind = kind
        self.key = key
        self.fault = fault
        super().__init__(
            f"the record of {kind} {key} cannot be read ({fault}), so nothing can be said of it; "
            "`trio-gusto audit` tells more, and a backup may have it as it was"
        )


class SchemaTooNew(StorageError):
    """The storage was written by a newer version of trio-gusto."""

    def __init__(self, found: int, supported: int) -> None:
        self.found = found
        self.supported = supported
        super().__init__(
            f"the storage has schema version {found}, and this version of trio-gusto knows "
            f"{supported} at most; it could damage what it does not know, so upgrade trio-gusto"
        )


class NotOurDatabase(StorageError):
    """The file is no database, or one that belongs to another program."""


class JobEndedBadly(GustoError):
    """What ``result()`` raises for a job that ended without a result."""

    def __init__(self, message: str, *, job_id: UUID, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(message)


class JobFailed(JobEndedBadly):
    """The job failed; ``error`` is the exception of its last attempt, as it was stored."""

    def __init__(self, job_id: UUID, reason: str, error: JobError | None) -> None:
        self.error = error
        shown = f": {error.type}: {error.message}" if error is not None else ""
        super().__init__(f"job {job_id} failed ({reason}){shown}", job_id=job_id, reason=reason)


class JobCancelled(JobEndedBadly):
    """The job was cancelled."""

    def __init__(self, job_id: UUID, reason: str) -> None:
        super().__init__(f"job {job_id} was cancelled: {reason}", job_id=job_id, reason=reason)


class JobExpired(JobEndedBadly):
    """The job was not started before its ``expire_on``."""

    def __init__(self, job_id: UUID, reason: str) -> None:
        super().__init__(f"job {job_id} expired: {reason}", job_id=job_id, reason=reason)


class JobSkipped(JobEndedBadly):
    """The job was recorded, but skipped."""

    def __init__(self, job_id: UUID, reason: str) -> None:
        super().__init__(f"job {job_id} was skipped: {reason}", job_id=job_id, reason=reason)


class ResultError(JobEndedBadly):
    """The job is completed, but what its handler returned could not be stored."""

    def __init__(self, job_id: UUID, reason: str) -> None:
        super().__init__(
            f"job {job_id} completed, but its result could not be stored: {reason}",
            job_id=job_id,
            reason=reason,
        )


class StuckHandler(GustoError):
    """A handler ignored its cancellation for longer than a stopping worker may wait."""
