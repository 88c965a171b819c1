"""A job as a user's own record: eight fields that every record has, and whatever its user adds.

Records and the requests inside the queue are turned into each other here, and nowhere else. A
user's field that is named like something a job has (see `CARRIED`) is filled from the job when it
is stored, and read back when it is claimed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import attrs

from ...model.errors import OptionsError
from ...model.ids import to_job_id, to_uuid
from ...model.instants import MICROSECONDS, to_datetime, to_instant, to_optional_datetime
from ...model.job import Details, JobRequest

UNLIMITED_ATTEMPTS = 2**31 - 1
"""What a job of a provider has as ``max_attempts``: its provider decides when to give up."""


@attrs.define(kw_only=True)
class JobStorageRecord:
    """What a provider keeps of a job. Subclass it with ``@attrs.define`` to add fields of your own.

    Your fields need defaults, unless a ``fill`` given to `ProviderStorage` names them. The eight
    fields here are keyword-only and may be changed by the provider, so do not freeze your class.

    Attributes:
        tracking_id: the job's id; nothing else has it.
        created_on: when it was enqueued. Like all instants here an aware ``datetime``, in UTC.
        execute_after: not to be started before this; ``None``: at once.
        expire_on: not to be started from this instant on; ``None``: never too late.
        is_complete: whether the job is over, and is not to be started any more.
        job_type: the module or class of the handler; may be empty.
        method_name: the handler's function. With ``job_type`` it is the handler's name.
        arguments_json: the arguments, as JSON.

    Example:
        >>> @attrs.define
        ... class MyRecord(JobStorageRecord):
        ...     tenant: str = ""
    """

    tracking_id: UUID
    created_on: datetime
    execute_after: datetime | None = None
    expire_on: datetime | None = None
    is_complete: bool = False
    job_type: str
    method_name: str
    arguments_json: str


R = TypeVar("R", bound=JobStorageRecord)

Fill = Callable[[JobRequest], Mapping[str, object]]
"""Gives the values of a user's own fields, by name, for a job that is about to be stored."""

OWN_FIELDS = frozenset(field.name for field in attrs.fields(JobStorageRecord))

_TEXT = (str,)
_LISTS = (tuple, list, AbstractSet)

CARRIED: Mapping[str, tuple[type, ...]] = {
    "queue": _TEXT,
    "priority": (int,),
    "tenant": _TEXT,
    "timeout": (int, float),
    "ref_id": _TEXT,
    "tags": _LISTS,
    "created_by": _TEXT,
    "user_id": _TEXT,
    "metadata": (Mapping,),
    "carrier": (Mapping,),
}
"""Field names that are filled and read back by themselves, and the types taken when read back.

``timeout`` is in seconds. ``carrier`` is the trace context of the enqueuer. What has none of these
types is not read back, so that a field may hold something else under the same name, or ``None``.
"""

_DETAILS = frozenset(field.name for field in attrs.fields(Details))


def check_record_type(record_type: type[JobStorageRecord], fill: Fill | None) -> None:
    """Refuse a record class that could not be filled.

    Raises:
        OptionsError: it is no `JobStorageRecord`, lacks ``@attrs.define``, or has a field that
            nothing gives a value.
    """
    if not (isinstance(record_type, type) and issubclass(record_type, JobStorageRecord)):
        raise OptionsError("record_type", record_type, "give a subclass of JobStorageRecord")
    fields = attrs.fields_dict(record_type)
    for name, annotation in inspect.get_annotations(record_type).items():
        if name not in fields and "ClassVar" not in str(annotation):
            raise OptionsError(
                "record_type", record_type, f"its field {name!r} is lost without @attrs.define"
            )
    if fill is not None:
        return
    for name, field in fields.items():
        if name not in OWN_FIELDS and field.init and field.default is attrs.NOTHING:
            raise OptionsError(
                "record_type", record_type, f"give its field {name!r} a default, or pass fill=..."
            )


def record_of(request: JobRequest, record_type: type[R], fill: Fill | None) -> R:
    """The record to store for ``request``. What ``fill`` gives wins over what is carried."""
    job_type, method_name = _split(request)
    own: dict[str, Any] = {}
    fields = attrs.fields_dict(record_type)
    for name in CARRIED:
        if name in fields and fields[name].init:
            value = _carried(request, name)
            if value is not None:
                own[name] = value
    if fill is not None:
        own.update(fill(request))
    make: Callable[..., R] = record_type
    return make(
        tracking_id=to_uuid(request.id),
        created_on=to_datetime(request.created_at),
        execute_after=to_optional_datetime(request.execute_after),
        expire_on=to_optional_datetime(request.expire_on),
        job_type=job_type,
        method_name=method_name,
        arguments_json=request.args,
        **own,
    )


def request_of(record: JobStorageRecord, known: JobRequest | None = None) -> JobRequest:
    """The request that ``record`` stands for.

    ``known`` is the one that this process enqueued, if it did: what the record does not carry is
    taken from there.

    Raises:
        ValueError: an instant of the record has no time zone.
        TypeError: a field of the record has the wrong type.
    """
    name = f"{record.job_type}.{record.method_name}" if record.job_type else record.method_name
    request = JobRequest(
        id=to_job_id(record.tracking_id),
        name=name,
        args=record.arguments_json,
        created_at=to_instant(record.created_on),
        max_attempts=UNLIMITED_ATTEMPTS,
        execute_after=_optional_instant(record.execute_after),
        expire_on=_optional_instant(record.expire_on),
        job_type=record.job_type,
        method_name=record.method_name,
    )
    if known is not None:
        request.job_type, request.method_name = known.job_type, known.method_name
        request.queue, request.priority, request.tenant = known.queue, known.priority, known.tenant
        request.timeout = known.timeout
        request.details = None if known.details is None else attrs.evolve(known.details)
    _read_back(record, request)
    return request


def _split(request: JobRequest) -> tuple[str, str]:
    """The two words from which the handler's name can be put together again."""
    given = f"{request.job_type}.{request.method_name}"
    if request.job_type and given == request.name:
        return request.job_type, request.method_name
    job_type, _, method_name = request.name.rpartition(".")
    return job_type, method_name


def _carried(request: JobRequest, name: str) -> object:
    if name == "timeout":
        return None if request.timeout is None else request.timeout / MICROSECONDS
    if name not in _DETAILS:
        return getattr(request, name)
    return None if request.details is None else getattr(request.details, name)


def _read_back(record: JobStorageRecord, request: JobRequest) -> None:
    details: dict[str, Any] = {}
    for name, types in CARRIED.items():
        if not isinstance(getattr(record, name, None), types):
            continue
        value: Any = getattr(record, name)
        if name == "timeout":
            request.timeout = round(value * MICROSECONDS)
        elif name == "tags":
            details[name] = tuple(value)
        elif name in _DETAILS:
            details[name] = value
        else:
            setattr(request, name, value)
    if any(details.values()):
        request.details = attrs.evolve(request.details or Details(), **details)


def _optional_instant(moment: datetime | None) -> int | None:
    return None if moment is None else to_instant(moment)
