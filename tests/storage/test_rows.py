"""The texts that storages keep of jobs, errors and schedules: what is stored must stay readable for good."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from trio_gusto.model.failure import JobError
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.schedule import Coalesce, Overlap, ScheduleRequest
from trio_gusto.model.triggers import Trigger, cron, every, every_after
from trio_gusto.storage.rows import (
    details_from_json,
    details_to_json,
    error_from_json,
    error_to_json,
    rate_from_json,
    rate_to_json,
)
from trio_gusto.storage.schedule_rows import schedule_from_json, schedule_to_json

ONE, TWO = JobId(bytes(range(16))), JobId(bytes(range(16, 32)))
ONE_HEX, TWO_HEX = "000102030405060708090a0b0c0d0e0f", "101112131415161718191a1b1c1d1e1f"

KEPT = [
    (Details(), "{}"),
    (Details(tags=("b", "a")), '{"tags":["b","a"]}'),
    (Details(created_by="ann"), '{"created_by":"ann"}'),
    (Details(user_id="u1"), '{"user_id":"u1"}'),
    (Details(metadata={"z": [1, None], "a": 2.5}), '{"metadata":{"a":2.5,"z":[1,null]}}'),
    (Details(metadata={}), '{"metadata":{}}'),
    (Details(retry={"fixed": [1.0]}), '{"retry":{"fixed":[1.0]}}'),
    (Details(carrier={"traceparent": "00"}), '{"carrier":{"traceparent":"00"}}'),
    (Details(unique_key="k"), '{"unique_key":"k"}'),
    (Details(on_conflict="replace"), '{"on_conflict":"replace"}'),
    (Details(worker="smtp"), '{"worker":"smtp"}'),
    (Details(context={"lang": "it"}), '{"context":{"lang":"it"}}'),
    (Details(callback="done"), '{"callback":"done"}'),
    (Details(concurrency_key="acme"), '{"concurrency_key":"acme"}'),
    (Details(concurrency_limit=2), '{"concurrency_limit":2}'),
    (Details(rate_key="api"), '{"rate_key":"api"}'),
    (Details(rate_limit=RateLimit(3, per=60, burst=2)), '{"rate_limit":[3,60000000,2]}'),
    (Details(schedule_name="ledger"), '{"schedule_name":"ledger"}'),
    (Details(fire_time=0), '{"fire_time":0}'),
    (Details(parents=(TWO, ONE)), f'{{"parents":["{TWO_HEX}","{ONE_HEX}"]}}'),
    (Details(batch=ONE), f'{{"batch":"{ONE_HEX}"}}'),
    (
        Details(worker="smtp", tags=("x",), created_by="ann", batch=ONE, concurrency_limit=3),
        f'{{"batch":"{ONE_HEX}","concurrency_limit":3,"created_by":"ann","tags":["x"],"worker":"smtp"}}',
    ),
]


@pytest.mark.parametrize(("details", "text"), KEPT, ids=[text for _, text in KEPT])
def test_details_are_kept_as_this_text(details: Details, text: str) -> None:
    assert details_to_json(details) == text
    read = details_from_json(text, None)
    assert read == details
    assert type(read.tags) is tuple
    assert type(read.parents) is tuple


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"worker":5}', "the detail 'worker' cannot be 5"),
        ('{"fire_time":true}', "the detail 'fire_time' cannot be True"),
        ('{"batch":"00ff"}', "'00ff' is no id"),
        ('{"tags":["a",1]}', "these are no tags: ['a', 1]"),
    ],
)
def test_details_that_are_none_are_refused_and_say_what_is_wrong(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(fault)}$"):
        details_from_json(text, None)


def test_the_ref_id_stands_apart() -> None:
    assert details_to_json(Details(ref_id="order-7")) == "{}"
    assert details_from_json("{}", "order-7") == Details(ref_id="order-7")


def test_what_lives_in_a_process_only_is_not_kept() -> None:
    assert details_to_json(Details(durable=False)) == "{}"


@pytest.mark.parametrize("value", [{1, 2}, 2**64, object()])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        details_to_json(Details(metadata={"key": value}))


def test_a_rate_limit_is_kept_as_three_integers() -> None:
    limit = RateLimit(3, timedelta(microseconds=7), burst=5)
    assert rate_to_json(limit) == [3, 7, 5]
    assert rate_from_json([3, 7, 5]) == limit


def test_an_error_is_kept_with_its_children() -> None:
    child = JobError("ValueError", "no", "at line 1", ())
    error = JobError("ExceptionGroup", "two", "at line 9", (child, child))
    text = error_to_json(error)
    assert text is not None
    plain = {"type": "ValueError", "message": "no", "traceback": "at line 1", "children": []}
    assert json.loads(text) == {
        "type": "ExceptionGroup",
        "message": "two",
        "traceback": "at line 9",
        "children": [plain, plain],
    }
    assert error_from_json(text) == error


def test_no_error_is_no_text() -> None:
    assert (error_to_json(None), error_from_json(None)) == (None, None)


TEMPLATE = JobRequest(
    ONE,
    "ledger.close",
    "[[],{}]",
    1,
    2,
    timeout=3,
    execute_after=4,
    expire_on=5,
    queue="mail",
    priority=6,
    tenant="acme",
    job_type="ledger",
    method_name="close",
)
OF_JOB = {
    "id": ONE_HEX,
    "name": "ledger.close",
    "args": "[[],{}]",
    "created_at": 1,
    "max_attempts": 2,
    "timeout": 3,
    "execute_after": 4,
    "expire_on": 5,
    "queue": "mail",
    "priority": 6,
    "tenant": "acme",
    "job_type": "ledger",
    "method_name": "close",
}


def test_a_schedule_is_kept_as_this_text() -> None:
    request = ScheduleRequest(
        "full",
        every(60.0),
        TEMPLATE,
        "Europe/Rome",
        Overlap.BUFFER_ONE,
        Coalesce.ALL,
        misfire_grace_time=7,
        max_catchup=8,
        jitter=9,
        start=10,
        end=11,
    )
    text = schedule_to_json(request)
    assert json.loads(text) == {
        "trigger": {"every": [60_000_000, None]},
        "timezone": "Europe/Rome",
        "overlap": "buffer_one",
        "coalesce": "all",
        "misfire_grace_time": 7,
        "max_catchup": 8,
        "jitter": 9,
        "start": 10,
        "end": 11,
        "job": OF_JOB,
    }
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert schedule_from_json("full", text) == request


@pytest.mark.parametrize(
    "trigger", [every(1.5), every_after(2), cron("0 2 * * MON").named("nightly")], ids=str
)
def test_a_schedule_is_read_back_with_its_trigger(trigger: Trigger) -> None:
    request = ScheduleRequest("ledger", trigger, TEMPLATE)
    assert schedule_from_json("ledger", schedule_to_json(request)) == request


def test_a_schedule_is_read_back_with_the_details_of_its_jobs() -> None:
    details = Details(ref_id="order-7", tags=("b", "a"), worker="smtp")
    template = JobRequest(ONE, "close", "[]", 0, 3, details=details)
    text = schedule_to_json(ScheduleRequest("ledger", every(1), template))
    job = json.loads(text)["job"]
    assert (json.loads(job["details"]), job["ref_id"]) == (
        {"tags": ["b", "a"], "worker": "smtp"},
        "order-7",
    )
    assert schedule_from_json("ledger", text).template == template


def test_a_schedule_of_jobs_that_are_no_json_is_refused() -> None:
    template = JobRequest(ONE, "close", "[]", 0, 3, details=Details(metadata={"a": {1}}))
    with pytest.raises(TypeError):
        schedule_to_json(ScheduleRequest("ledger", every(1), template))


def test_a_schedule_that_cannot_be_is_refused_and_says_what_is_wrong() -> None:
    kept = json.loads(schedule_to_json(ScheduleRequest("ledger", every(1), TEMPLATE)))
    with pytest.raises(ValueError, match=r"^jitter is -1, which is no whole number from 0 on$"):
        schedule_from_json("ledger", json.dumps({**kept, "jitter": -1}))
