"""Whether what was read from JSON has the types and ranges on which its readers rely.

Decoders take what they are given: a key is known to them, and not whether its value makes sense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import cast

from ..failure import JobError
from ..instants import to_instant
from ..job import Details, JobRequest
from ..rates import RateLimit
from ..retry import from_wire
from ..schedule import ScheduleRequest
from ..triggers import LAST_INSTANT
from ..uniqueness import OnConflict
from .words import ID_SIZE

FIRST_INSTANT = to_instant(datetime.min.replace(tzinfo=UTC))
"""Microseconds: the begin of the year 1, before which there are no datetimes."""

SHOWN = 80
"""Characters of a value that is told."""

_Check = tuple[Callable[[object], bool], str]
"""Whether a value may stand there, and what may."""


def _is_whole(value: object, low: int = -(2**63), high: int = 2**63 - 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_id(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == ID_SIZE


def _are_ids(value: object) -> bool:
    return isinstance(value, tuple) and all(map(_is_id, cast("tuple[object, ...]", value)))


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(text, str) for text in cast("tuple[object, ...]", value)
    )


def _maps_texts(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(text, str) for text in cast("dict[str, object]", value).values()
    )


def _are_arguments(value: object) -> bool:
    if not isinstance(value, dict):
        return isinstance(value, list)
    call = cast("dict[str, object]", value)
    is_call = call.keys() == {"args", "kwargs"}
    return is_call and isinstance(call["args"], list) and isinstance(call["kwargs"], dict)


_TEXT: _Check = (lambda value: isinstance(value, str), "text")
_OBJECT: _Check = (lambda value: isinstance(value, dict), "JSON object")
_INSTANT: _Check = (
    lambda value: _is_whole(value, FIRST_INSTANT, LAST_INSTANT),
    "instant of the years 1 to 9999",
)
_NUMBER: _Check = (lambda value: _is_whole(value, 1), "whole number from 1 on")
_LENGTH: _Check = (lambda value: _is_whole(value, 0), "whole number from 0 on")
_NOTHING: _Check = (lambda _: False, "value of something stored")

_WORDS = frozenset(OnConflict)

_OF_DETAILS: Mapping[str, _Check] = {
    "ref_id": _TEXT,
    "tags": (_are_texts, "array of texts"),
    "created_by": _TEXT,
    "user_id": _TEXT,
    "metadata": _OBJECT,
    "retry": _OBJECT,
    "carrier": (_maps_texts, "JSON object of texts"),
    "schedule_name": _TEXT,
    "fire_time": _INSTANT,
    "parents": (_are_ids, "array of ids"),
    "batch": (_is_id, "id"),
    "unique_key": _TEXT,
    "on_conflict": (
        lambda value: isinstance(value, str) and value in _WORDS,
        "word for a conflict",
    ),
    "worker": _TEXT,
    "context": _OBJECT,
    "callback": _TEXT,
    "durable": (lambda value: value is True, "value of something stored"),
    "errand": _NOTHING,
    "concurrency_key": _TEXT,
    "concurrency_limit": _NUMBER,
    "rate_key": _TEXT,
    "rate_limit": (lambda value: isinstance(value, RateLimit), "rate limit"),
}
_OF_TEMPLATE: Mapping[str, _Check] = {
    "id": (_is_id, "id"),
    "name": _TEXT,
    "args": _TEXT,
    "created_at": _INSTANT,
    "max_attempts": _NUMBER,
    "timeout": _NUMBER,
    "execute_after": _INSTANT,
    "expire_on": _INSTANT,
    "queue": _TEXT,
    "priority": (_is_whole, "whole number"),
    "tenant": _TEXT,
    "job_type": _TEXT,
    "method_name": _TEXT,
}
_OF_SCHEDULE: Mapping[str, _Check] = {
    "timezone": _TEXT,
    "misfire_grace_time": _LENGTH,
    "max_catchup": _NUMBER,
    "jitter": _LENGTH,
    "start": _INSTANT,
    "end": _INSTANT,
}
_OPTIONAL = frozenset(
    {"timeout", "execute_after", "expire_on", "misfire_grace_time", "start", "end"}
)
"""Of a template and of a schedule; every one of the details is."""

_OF_ERROR = ("type", "message", "traceback")


def details_fault(details: Details) -> str | None:
    """What is wrong with the details of a job, in words."""
    for key, (is_fit, noun) in _OF_DETAILS.items():
        value: object = getattr(details, key)
        if value is not None and not is_fit(value):
            return _unfit(key, value, noun)
    if (details.rate_key is None) != (details.rate_limit is None):
        return "it has a rate_key without its rate_limit, or a rate_limit without its key"
    return None


def retry_fault(details: Details) -> str | None:
    """What is wrong with the retry policy of a job, in words."""
    if details.retry is None:
        return None
    try:
        from_wire(details.retry)
    except ValueError as error:
        return str(error)
    return None


def schedule_fault(request: ScheduleRequest) -> str | None:
    """What is wrong with what was asked for of a schedule, in words."""
    template = request.template
    found = _first(request, _OF_SCHEDULE) or _first(template, _OF_TEMPLATE)
    return found or (None if template.details is None else details_fault(template.details))


def arguments_fault(arguments: object) -> str | None:
    """What is wrong with the arguments of a call, read from their wire form, in words."""
    if _are_arguments(arguments):
        return None
    return _unfit("args", arguments, "array or object of args and kwargs")


def error_fault(error: JobError) -> str | None:
    """What is wrong with a stored error, in words."""
    for key in _OF_ERROR:
        value: object = getattr(error, key)
        if not isinstance(value, str):
            return _unfit(key, value, "text")
    return next(filter(None, map(error_fault, error.children)), None)


def _first(record: ScheduleRequest | JobRequest, checks: Mapping[str, _Check]) -> str | None:
    for key, (is_fit, noun) in checks.items():
        value: object = getattr(record, key)
        if not is_fit(value) and not (value is None and key in _OPTIONAL):
            return _unfit(key, value, noun)
    return None


def _unfit(key: str, value: object, noun: str) -> str:
    told = repr(value)
    shown = told if len(told) <= SHOWN else f"{told[:SHOWN]}…"
    return f"{key} is {shown}, which is no {noun}"
