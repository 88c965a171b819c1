"""What scenarios and their callers may ask for: one check per kind of argument."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Collection
from datetime import datetime, timedelta
from typing import Any, cast

from ...app import Gusto
from ...model.errors import ArgumentError, OptionsError, StorageError
from ...model.facts import Fact
from ...model.instants import MICROSECONDS, to_duration
from ...options import values
from ...storage.storage import Storage

MOST_NODES = 100


# --- of `simulate` --------------------------------------------------------------------------------


def callable_scenario(scenario: object) -> None:
    """Something that can be called with a world."""
    if not callable(scenario):
        raise ArgumentError(
            f"simulate was given {scenario!r} as its scenario, which cannot be called with a world; "
            "give an async function itself, and do not call it"
        )


def awaitable_of(scenario: object, returned: object) -> Awaitable[object]:
    """What an async function returns when it is called."""
    if not inspect.isawaitable(returned):
        raise ArgumentError(
            f"the scenario {scenario!r} returned {returned!r}, so it could wait for nothing, and no time "
            "could pass; make it an async function"
        )
    return cast("Awaitable[object]", returned)


def app(given: object) -> None:
    """Something that has handlers."""
    if not isinstance(given, Gusto):
        raise ArgumentError(
            f"simulate was given {given!r} as its app, which has no handlers that nodes could run; "
            "give the Gusto object with which they are registered"
        )


def seed(given: object) -> None:
    """A number that a script can repeat."""
    if isinstance(given, bool) or not isinstance(given, int):
        raise OptionsError("seed", given, "give an integer")


def maker(make_storage: object) -> None:
    """Something that can be called for a storage."""
    if not callable(make_storage):
        raise OptionsError("make_storage", make_storage, "give a function or class that makes one")


def made(storage: object) -> Storage:
    """What ``make_storage`` has made."""
    if not isinstance(storage, Storage):
        raise OptionsError("make_storage", storage, "let it return a Storage")
    return storage


# --- of a world -----------------------------------------------------------------------------------


def node(given: str, known: Collection[str]) -> str:
    """The name of a node that there is."""
    if not isinstance(given, str) or given not in known:
        raise ArgumentError(f"there is no {given!r}; the nodes are {', '.join(known)}")
    return given


def instant(name: str, given: datetime) -> int:
    """The microseconds since 1970-01-01 UTC of an aware ``datetime``."""
    if not isinstance(given, datetime):
        raise OptionsError(name, given, "give an aware datetime")
    return values.instant(name, given)


def length(by: float | timedelta, **named: float) -> int:
    """Microseconds of ``by``, seconds or a timedelta, and of what is given in days and the like."""
    values.seconds("by", by, -values.LONGEST)
    for unit, number in named.items():
        if not _is_finite(number):
            raise OptionsError(unit, number, "give a finite number")
    try:
        total = to_duration(by) + to_duration(timedelta(**named))
    except OverflowError:
        total = None
    if total is None or abs(total) > values.LONGEST * MICROSECONDS:
        raise ArgumentError(
            "time cannot go that far, since instants are stored; give a century at most"
        )
    return total


def rate(given: float) -> float:
    """By how much a clock may go wrong."""
    if not _is_finite(given) or given <= -1:
        raise OptionsError("rate", given, "give a number, more than -1, or the clock would go back")
    return given


def kind_of_facts(predicate: object) -> None:
    """A kind of facts, or something that can be asked about each."""
    is_right = issubclass(predicate, Fact) if inspect.isclass(predicate) else callable(predicate)
    if not is_right:
        raise ArgumentError(
            f"no fact could ever fit {predicate!r}, so the law would forbid nothing; "
            "give a kind of facts, such as JobFinished, or a function that is called with each fact"
        )


def times(given: int) -> int:
    """How often something happens."""
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise OptionsError("times", given, "a failure happens at least once, so give 1 or more")
    return given


def failure(given: StorageError | None) -> None:
    """What a storage may raise."""
    if given is not None and not isinstance(given, StorageError):
        raise OptionsError(
            "error", given, "a storage raises StorageError or a kind of it, so give one"
        )


def _is_finite(number: Any) -> bool:
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return is_number and math.isfinite(number)
