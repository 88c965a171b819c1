"""How each option of a job is read: from what callers give to what a `JobRequest` wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import attrs

from ..model import retry
from ..model.errors import OptionsError
from ..model.uniqueness import OnConflict
from . import values as check


@attrs.define
class Moment:
    """An instant, or one that lies ``value`` microseconds after the enqueue."""

    value: int
    is_relative: bool

    def instant(self, now: int) -> int:
        """Microseconds since the epoch."""
        return now + self.value if self.is_relative else self.value


def _moment(key: str, value: object) -> Moment | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return Moment(check.instant(key, value), is_relative=False)
    return Moment(check.microseconds(key, value), is_relative=True)


def _timeout(key: str, value: object) -> int | None:
    return None if value is None else check.microseconds(key, value, 0.001)


def _priority(key: str, value: object) -> int:
    return check.integer(key, value, -(2**31), 2**31 - 1)


def _max_attempts(key: str, value: object) -> int:
    return check.integer(key, value, 1, 1_000_000)


def _concurrency_limit(key: str, value: object) -> int:
    return check.integer(key, value, 1, 1_000_000)


def _tenant(key: str, value: object) -> str:
    return check.text(key, value, may_be_empty=True)


def _optional_text(key: str, value: object) -> str | None:
    return None if value is None else check.text(key, value)


def _on_conflict(key: str, value: object) -> str:
    try:
        return OnConflict(value).value  # type: ignore[arg-type]  # that is what is found out
    except ValueError:
        raise OptionsError(key, value, 'use "raise", "return_existing" or "replace"') from None


def _metadata(key: str, value: object) -> Mapping[str, object] | None:
    return None if value is None else check.json_object(key, value)


def _rate_limit(key: str, value: object) -> object:
    return None if value is None else check.rate_limit(key, value)


def policy(key: str, value: object) -> object:
    if not callable(value):
        raise OptionsError(
            key, value, "give exponential(), fixed(), no_retry(), retry_on() or a callable"
        )
    return value


def _callback(key: str, value: object) -> object:
    """The function itself; which handler that is, the registry knows."""
    if value is not None and not callable(value):
        raise OptionsError(key, value, "give a handler of this app, or None")
    return value


def _stored_policy(key: str, value: Any) -> Mapping[str, object]:
    policy(key, value)
    return retry.to_wire(value)


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise OptionsError(key, value, "give True or False")
    return value


READERS: Mapping[str, Callable[[str, Any], object]] = {
    "execute_after": _moment,
    "expire_on": _moment,
    "queue": check.text,
    "priority": _priority,
    "tenant": _tenant,
    "worker": _optional_text,
    "concurrency_key": _optional_text,
    "concurrency_limit": _concurrency_limit,
    "rate_key": _optional_text,
    "rate_limit": _rate_limit,
    "max_attempts": _max_attempts,
    "retry": _stored_policy,
    "timeout": _timeout,
    "ref_id": _optional_text,
    "unique_key": _optional_text,
    "on_conflict": _on_conflict,
    "tags": check.texts,
    "created_by": _optional_text,
    "user_id": _optional_text,
    "metadata": _metadata,
    "callback": _callback,
    "durable": _flag,
}
NAMING: Mapping[str, Callable[[str, Any], object]] = {
    "name": check.text,
    "aliases": check.texts,
    "thread": _flag,
}
