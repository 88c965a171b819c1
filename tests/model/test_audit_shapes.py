"""What an audit says of values that no reader could take: each is named, shown and told what it should be."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from trio_gusto.model.audit.shapes import (
    FIRST_INSTANT,
    arguments_fault,
    details_fault,
    error_fault,
    retry_fault,
    schedule_fault,
)
from trio_gusto.model.audit.words import moment, named
from trio_gusto.model.failure import JobError
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.retry import fixed, to_wire
from trio_gusto.model.schedule import ScheduleRequest
from trio_gusto.model.triggers import LAST_INSTANT, every

ID = JobId(bytes(range(16)))
DATES = "instant of the years 1 to 9999"
STORED = "value of something stored"
BAD_DETAILS: list[tuple[str, Any, str]] = [
    *((key, 5, "text") for key in ("ref_id", "created_by", "user_id", "schedule_name", "worker")),
    *((key, b"", "text") for key in ("unique_key", "callback", "concurrency_key", "rate_key")),
    *((key, [], "JSON object") for key in ("metadata", "retry", "context")),
    *(("tags", value, "array of texts") for value in (["a"], ("a", 1), "a")),
    ("carrier", [], "JSON object of texts"),
    ("carrier", {"a": "b", "c": 1}, "JSON object of texts"),
    *(("parents", value, "array of ids") for value in ([ID], (ID, b"1"), (ID, "x" * 9))),
    *(("batch", value, "id") for value in (b"", ID + b"0", "x" * 16)),
    *(("fire_time", value, DATES) for value in (FIRST_INSTANT - 1, LAST_INSTANT + 1, True, 1.0)),
    *(("concurrency_limit", value, "whole number from 1 on") for value in (0, True, 2**63)),
    *(("on_conflict", value, "word for a conflict") for value in ("ignore", 5)),
    *(("durable", value, STORED) for value in (False, 1)),
    ("errand", print, STORED),
    ("rate_limit", [1, 1, 1], "rate limit"),
]
BAD_TEMPLATES: list[tuple[str, Any, str]] = [
    ("id", b"7", "id"),
    *((key, None, "text") for key in ("name", "args", "queue", "tenant")),
    *((key, 5, "text") for key in ("job_type", "method_name")),
    ("created_at", LAST_INSTANT + 1, DATES),
    ("created_at", None, DATES),
    *((key, FIRST_INSTANT - 1, DATES) for key in ("execute_after", "expire_on")),
    *((key, 0, "whole number from 1 on") for key in ("max_attempts", "timeout")),
    *(("priority", value, "whole number") for value in (None, 2**63, -(2**63) - 1, True)),
]
BAD_SCHEDULES: list[tuple[str, Any, str]] = [
    ("timezone", None, "text"),
    *((key, -1, "whole number from 0 on") for key in ("misfire_grace_time", "jitter")),
    ("jitter", None, "whole number from 0 on"),
    ("max_catchup", 0, "whole number from 1 on"),
    *((key, LAST_INSTANT + 1, DATES) for key in ("start", "end")),
]


def template(**changes: object) -> JobRequest:
    job = JobRequest(ID, "close", "[]", 0, 3)
    for key, value in changes.items():
        setattr(job, key, value)
    return job


def schedule(template: JobRequest, **changes: Any) -> ScheduleRequest:
    return attrs.evolve(ScheduleRequest("ledger", every(1), template), **changes)


def details(**changes: object) -> Details:
    given = Details()
    for key, value in changes.items():
        setattr(given, key, value)
    return given


@pytest.mark.parametrize(("key", "value", "noun"), BAD_DETAILS)
def test_a_detail_that_is_none_is_named_with_its_value(key: str, value: object, noun: str) -> None:
    fault = f"{key} is {value!r}, which is no {noun}"
    assert details_fault(details(**{key: value})) == fault
    assert schedule_fault(schedule(template(details=details(**{key: value})))) == fault


@pytest.mark.parametrize(("key", "value", "noun"), BAD_TEMPLATES)
def test_a_template_that_is_none_is_told_of(key: str, value: object, noun: str) -> None:
    fault = schedule_fault(schedule(template(**{key: value})))
    assert fault == f"{key} is {value!r}, which is no {noun}"


@pytest.mark.parametrize(("key", "value", "noun"), BAD_SCHEDULES)
def test_a_schedule_that_is_none_is_told_of(key: str, value: object, noun: str) -> None:
    """Before its template, which is wrong as well."""
    fault = schedule_fault(schedule(template(queue=5), **{key: value}))
    assert fault == f"{key} is {value!r}, which is no {noun}"


def test_what_lies_at_the_limits_is_sound() -> None:
    everything = Details(
        ref_id="",
        tags=("", "a"),
        metadata={},
        retry={},
        carrier={"a": "b"},
        fire_time=FIRST_INSTANT,
        parents=(ID, ID),
        batch=ID,
        on_conflict="replace",
        concurrency_limit=1,
        rate_key="k",
        rate_limit=RateLimit(1, per=1),
    )
    assert FIRST_INSTANT == -62_135_596_800_000_000
    assert details_fault(everything) is None
    assert details_fault(Details(fire_time=LAST_INSTANT)) is None
    assert details_fault(Details()) is None
    job = template(
        created_at=FIRST_INSTANT,
        max_attempts=1,
        timeout=1,
        execute_after=LAST_INSTANT,
        expire_on=LAST_INSTANT,
        priority=-(2**63),
    )
    assert schedule_fault(schedule(job, misfire_grace_time=0, jitter=0, max_catchup=1)) is None
    at_its_ends = schedule(template(priority=2**63 - 1), start=FIRST_INSTANT, end=LAST_INSTANT)
    assert schedule_fault(at_its_ends) is None


@pytest.mark.parametrize("half", [{"rate_key": "k"}, {"rate_limit": RateLimit(1, per=1)}])
def test_a_rate_is_of_a_key_and_a_limit(half: dict[str, object]) -> None:
    fault = "it has a rate_key without its rate_limit, or a rate_limit without its key"
    assert details_fault(details(**half)) == fault


def test_a_retry_policy_that_is_none_is_told_of() -> None:
    assert retry_fault(Details()) is None
    assert retry_fault(Details(retry=to_wire(fixed(1)))) is None
    fault = retry_fault(Details(retry={"often": [1.0]}))
    assert fault is not None
    assert "often" in fault


@pytest.mark.parametrize("sound", [[], [1], {"args": [1], "kwargs": {"a": 1}}])
def test_arguments_are_an_array_or_an_object_of_both(sound: object) -> None:
    assert arguments_fault(sound) is None


@pytest.mark.parametrize(
    "wrong",
    [
        *("x", None, 5, {}, {"args": []}, {"kwargs": {}}),
        {"args": {}, "kwargs": {}},
        {"args": [], "kwargs": []},
        {"args": [], "kwargs": {}, "more": 1},
    ],
)
def test_arguments_that_are_none_are_shown(wrong: object) -> None:
    fault = f"args is {wrong!r}, which is no array or object of args and kwargs"
    assert arguments_fault(wrong) == fault


def test_a_long_value_is_shown_to_its_eightieth_character() -> None:
    assert arguments_fault("x" * 78) == (
        f"args is '{'x' * 78}', which is no array or object of args and kwargs"
    )
    assert arguments_fault("x" * 79) == (
        f"args is '{'x' * 79}…, which is no array or object of args and kwargs"
    )


@pytest.mark.parametrize("key", ["type", "message", "traceback"])
def test_an_error_that_is_none_is_told_of_however_deep_it_is(key: str) -> None:
    sound = JobError("ValueError", "", "")
    changed: dict[str, Any] = {key: 5}
    wrong = attrs.evolve(sound, **changed)
    assert error_fault(sound) is None
    assert error_fault(wrong) == f"{key} is 5, which is no text"
    around = attrs.evolve(sound, children=(sound, attrs.evolve(sound, children=(sound, wrong))))
    assert error_fault(around) == f"{key} is 5, which is no text"
    assert error_fault(attrs.evolve(sound, children=(sound, sound))) is None


def test_instants_and_ids_are_told_whatever_they_are() -> None:
    assert moment(1) == "1970-01-01 00:00:00.000001 UTC"
    assert moment(LAST_INSTANT + 1) == f"{LAST_INSTANT + 1} µs"
    assert named(ID) == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert named(JobId(b"")) == "0x"
    assert named(JobId(bytes(40))) == f"0x{'00' * 32}"
