"""The parts of a job that every storage keeps as JSON text, and how they are written and read.

What is stored must be readable by every later version: a key may be added here, and none may ever
change its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypedDict, cast

import orjson

from ..model.failure import JobError
from ..model.ids import JobId
from ..model.job import Details
from ..model.rates import RateLimit


class StoredError(TypedDict):
    """A `JobError` as JSON."""

    type: str
    message: str
    traceback: str
    children: list[StoredError]


def details_to_json(details: Details) -> str:
    """Everything but ``ref_id``, which storages keep apart because it is unique.

    Keys are sorted, so that equal values are equal texts.

    Raises:
        TypeError: a value is no JSON, or an integer of more than 64 bits.
    """
    kept: dict[str, object] = {}
    if details.tags:
        kept["tags"] = details.tags
    for key in (
        "created_by",
        "user_id",
        "metadata",
        "retry",
        "carrier",
        "unique_key",
        "worker",
        "context",
        "callback",
        "concurrency_key",
        "rate_key",
    ):
        value: object = getattr(details, key)
        if value is not None:
            kept[key] = value
    if details.schedule_name is not None:
        kept["schedule_name"] = details.schedule_name
    if details.fire_time is not None:
        kept["fire_time"] = details.fire_time
    if details.parents:
        kept["parents"] = [parent.hex() for parent in details.parents]
    if details.batch is not None:
        kept["batch"] = details.batch.hex()
    if details.on_conflict != "raise":
        kept["on_conflict"] = details.on_conflict
    if details.concurrency_limit != 1:
        kept["concurrency_limit"] = details.concurrency_limit
    if details.rate_limit is not None:
        kept["rate_limit"] = rate_to_json(details.rate_limit)
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode()


def details_from_json(text: str, ref_id: str | None) -> Details:
    """The inverse of `details_to_json`.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, OverflowError: it is none.
    """
    details = Details(ref_id)
    for key, value in orjson.loads(text).items():
        if type(value) is not _KINDS[key]:
            raise ValueError(f"the detail {key!r} cannot be {value!r}")
        read = _READ.get(key)
        setattr(details, key, value if read is None else read(value))
    return details


def _job_id(text: str) -> JobId:
    value = bytes.fromhex(text)
    if len(value) != 16:
        raise ValueError(f"{text!r} is no id")
    return JobId(value)


def tags_of(texts: Sequence[str]) -> tuple[str, ...]:
    """The tags in a JSON array.

    Raises:
        ValueError, TypeError: it is none of tags.
    """
    if not all(type(text) is str for text in texts):
        raise ValueError(f"these are no tags: {texts!r}")
    return tuple(texts)


def rate_to_json(limit: RateLimit) -> list[int]:
    """A rate limit as three integers, the period in microseconds."""
    return [limit.count, limit.period, limit.burst]


def rate_from_json(values: Sequence[int]) -> RateLimit:
    """The inverse of `rate_to_json`."""
    return _rate_limit(*values)


@lru_cache  # a claim reads few different ones often
def _rate_limit(count: int, period: int, burst: int) -> RateLimit:
    return RateLimit(count, timedelta(microseconds=period), burst)


_KINDS: Mapping[str, type] = {
    "tags": list,
    "created_by": str,
    "user_id": str,
    "metadata": dict,
    "retry": dict,
    "carrier": dict,
    "unique_key": str,
    "worker": str,
    "context": dict,
    "callback": str,
    "concurrency_key": str,
    "rate_key": str,
    "schedule_name": str,
    "fire_time": int,
    "parents": list,
    "batch": str,
    "on_conflict": str,
    "concurrency_limit": int,
    "rate_limit": list,
}
"""What each of the details is in JSON."""

_READ: Mapping[str, Callable[[Any], object]] = {
    "tags": tags_of,
    "batch": _job_id,
    "rate_limit": rate_from_json,
    "parents": lambda texts: tuple(map(_job_id, texts)),
}
"""How what JSON has no type for is read."""


def error_to_json(error: JobError | None) -> str | None:
    """An error with its children."""
    return None if error is None else orjson.dumps(_plain(error)).decode()


def error_from_json(text: str | None) -> JobError | None:
    """The inverse of `error_to_json`."""
    return None if text is None else _error(cast(StoredError, orjson.loads(text)))


def _plain(error: JobError) -> StoredError:
    return {
        "type": error.type,
        "message": error.message,
        "traceback": error.traceback,
        "children": [_plain(child) for child in error.children],
    }


def _error(plain: StoredError) -> JobError:
    children = tuple(_error(child) for child in plain["children"])
    return JobError(plain["type"], plain["message"], plain["traceback"], children)
