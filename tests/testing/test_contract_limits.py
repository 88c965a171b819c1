"""The play of extremes tells all that there is to keep, and as much as callers can ask for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, get_args, get_type_hints

import attrs
import pytest

from trio_gusto import MemoryStorage
from trio_gusto.model.errors import OptionsError
from trio_gusto.model.failure import JobError
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import ClaimedJob, Details, Errand, JobRequest
from trio_gusto.model.pauses import StoredPause
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.retention import Selection
from trio_gusto.model.states import Processing
from trio_gusto.model.triggers import Trigger
from trio_gusto.options.job_values import READERS
from trio_gusto.storage import messages
from trio_gusto.storage.messages import Write
from trio_gusto.storage.report_messages import Saying
from trio_gusto.storage.storage import Storage
from trio_gusto.testing.storage_contract.plays import PLAYS
from trio_gusto.testing.storage_contract.plays.extremes import KEYS
from trio_gusto.testing.storage_contract.plays.limits import GIVEN, INSTANT, LIMITS, limits
from trio_gusto.testing.storage_contract.plays.play import record
from trio_gusto.testing.storage_contract.plays.seen import difference

NOT_STORED = {"durable", "errand"}

AS_VALUES = {JobError, RateLimit, Trigger}
"""What stands in the table as a value."""

NOT_KEPT = {ClaimedJob, Errand, Processing, Selection}
"""What storages are told and do not keep, and what they make themselves of what they are told."""


def parts_of(kind: Any) -> Iterator[type]:
    """The classes in an annotation."""
    if isinstance(kind, type):
        yield kind
    for argument in get_args(kind):
        yield from parts_of(argument)


def told() -> set[type]:
    """All classes of the model that a storage is told of."""
    found: set[type] = set()
    waiting: list[type] = [*get_args(Write), Saying]
    while waiting:
        kind = waiting.pop()
        if kind in found or not attrs.has(kind):
            continue
        found.add(kind)
        names = vars(messages) | vars(sys.modules[kind.__module__])
        for hint in get_type_hints(kind, names).values():
            waiting += parts_of(hint)
    return {kind for kind in found if ".model." in kind.__module__}


def test_all_that_storages_are_told_of_has_limits() -> None:
    assert told() - AS_VALUES - NOT_KEPT == set(LIMITS) - {Saying, StoredPause}


@pytest.mark.parametrize("kind", LIMITS, ids=lambda kind: kind.__name__)
def test_no_field_is_without_limits(kind: type) -> None:
    fields = set(attrs.fields_dict(kind))
    assert fields - LIMITS[kind].keys() <= GIVEN | NOT_STORED
    assert LIMITS[kind].keys() <= fields


def test_the_smallest_and_the_largest_differ_in_every_field() -> None:
    for pairs in LIMITS.values():
        for field, (least, most) in pairs.items():
            assert least != most, field


@pytest.mark.parametrize("end", [0, 1], ids=["smallest", "largest"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (JobRequest, "priority"),
        (JobRequest, "max_attempts"),
        (Details, "concurrency_limit"),
    ],
    ids=lambda it: getattr(it, "__name__", it),
)
def test_numbers_go_as_far_as_callers_may(kind: type, name: str, end: int) -> None:
    value = LIMITS[kind][name][end]
    READERS[name](name, value)
    with pytest.raises(OptionsError):
        READERS[name](name, value + (-1, 1)[end])


@pytest.mark.parametrize("end", [0, 1], ids=["smallest", "largest"])
def test_durations_and_instants_go_as_far_as_callers_may(end: int) -> None:
    value = timedelta(microseconds=LIMITS[JobRequest]["timeout"][end])
    beyond = timedelta(microseconds=(-1, 1)[end])
    READERS["timeout"]("timeout", value)
    with pytest.raises(OptionsError):
        READERS["timeout"]("timeout", value + beyond)
    READERS["execute_after"]("execute_after", to_datetime(INSTANT[end]))
    with pytest.raises(OverflowError):
        to_datetime(INSTANT[end] + (-1, 1)[end])


def test_what_is_given_is_alike_in_both() -> None:
    least, most = limits(JobRequest, id=b"one", queue="mail")
    assert (least.id, least.queue) == (most.id, most.queue) == (b"one", "mail")
    assert least.priority < 0 < most.priority


async def test_the_play_of_extremes_shows_every_limit() -> None:
    """But for keys that no two jobs may have, and for what comes with a report, which is seen elsewhere."""
    shown: dict[str, list[Any]] = {}
    waiting: list[Any] = [
        one.seen for one in await record(PLAYS["in a play of extremes"], MemoryStorage())
    ]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif attrs.has(type(value)):
            for name in attrs.fields_dict(type(value)):
                shown.setdefault(f"{type(value).__name__}.{name}", []).append(getattr(value, name))
                waiting.append(getattr(value, name))
    for kind, pairs in LIMITS.items():
        for name, pair in pairs.items():
            if kind is not Saying and name not in KEYS:
                values = shown[f"{kind.__name__}.{name}"]
                assert all(limit in values for limit in pair), (kind, name)


async def test_the_play_of_extremes_leaves_out_what_a_storage_does_not_keep() -> None:
    class Bare(MemoryStorage):
        keeps_reports = keeps_children = keeps_rates = False

    bare: Storage = Bare()
    assert await record(PLAYS["in a play of extremes"], bare)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("ä" * 255, "at character 255 of 1000 should go on with 'ääääääääääääääääääää', but is ''"),
        ("ä" * 300 + "?" * 700, "at character 300 of 1000 should go on with 'ääää"),
    ],
    ids=["cut", "other"],
)
def test_a_long_text_is_told_from_where_it_differs(found: str, told: str) -> None:
    assert difference(found, "ä" * 1_000).startswith(told)
