"""The options of a job: three levels, and what each option may be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest

from trio_gusto.job_options import Callee, Resolver
from trio_gusto.model.errors import NotSupported, OptionsError
from trio_gusto.model.ids import JobId
from trio_gusto.model.instants import to_instant
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.retry import RetryState, fixed, from_wire
from trio_gusto.options import Options

NOW = datetime(2030, 5, 1, 12, tzinfo=UTC)
SECOND = 1_000_000
ID = JobId(b"0123456789abcdef")
CALLEE = cast(Callee, SimpleNamespace(name="mail.send", job_type="mail", method_name="send"))


def request(
    options: Mapping[str, Any] | None = None,
    *,
    declared: Mapping[str, Any] | None = None,
    app: Options | None = None,
    carrier: Mapping[str, str] | None = None,
) -> JobRequest:
    """What comes of a call with ``options``, of a handler ``declared`` with others."""
    resolver = Resolver(app or Options())
    _, defaults = resolver.split(declared or {})
    resolved = resolver.resolve(defaults)
    if options:
        resolved = resolver.override(resolved, options)
    return resolved.request(ID, CALLEE, "[]", to_instant(NOW), carrier)


# --- levels ---------------------------------------------------------------------------------------


def test_a_call_without_options_gets_the_defaults_of_the_app() -> None:
    app = Options(default_max_attempts=3, default_timeout=2.5)

    assert request(app=app) == JobRequest(
        ID,
        "mail.send",
        "[]",
        to_instant(NOW),
        max_attempts=3,
        timeout=2_500_000,
        job_type="mail",
        method_name="send",
    )


def test_the_handler_wins_over_the_app_and_the_call_over_the_handler() -> None:
    declared = {"max_attempts": 4, "timeout": 30, "queue": "mail", "priority": 1, "tags": ["a"]}
    found = request({"max_attempts": 2, "queue": "urgent"}, declared=declared)

    assert (found.max_attempts, found.timeout, found.queue) == (2, 30 * SECOND, "urgent")
    assert found.priority == 1
    assert found.details == Details(tags=("a",))


def test_none_in_a_call_takes_back_what_the_handler_declared() -> None:
    declared = {"timeout": 30, "expire_on": 60, "execute_after": 5, "user_id": "7", "metadata": {}}
    given = dict.fromkeys(declared)

    found = request(given, declared=declared)

    assert (found.timeout, found.expire_on, found.execute_after) == (None, None, None)
    assert found.details is None


def test_calls_do_not_change_what_the_handler_declared() -> None:
    resolver = Resolver(Options())
    declared = resolver.resolve({"tags": ["a"], "queue": "mail"})
    resolver.override(declared, {"tags": ["b"], "queue": "x", "user_id": "7"})

    assert declared == resolver.resolve({"tags": ["a"], "queue": "mail"})


def test_a_handler_may_be_declared_with_an_iterator_of_tags() -> None:
    declared = {"tags": iter(["a", "b"])}

    assert request(declared=declared).details == Details(tags=("a", "b"))


def test_split_tells_how_the_handler_is_known_from_what_its_jobs_get() -> None:
    naming, defaults = Resolver(Options()).split(
        {"name": "send", "aliases": ["old"], "thread": False, "queue": "mail"}
    )

    assert naming == {"name": "send", "aliases": ("old",), "thread": False}
    assert defaults == {"queue": "mail"}


def test_the_trace_context_is_of_one_request_only() -> None:
    resolver = Resolver(Options())
    resolved = resolver.resolve({"tags": ["a"]})
    first = resolved.request(ID, CALLEE, "[]", 0, {"traceparent": "1"})
    second = resolved.request(ID, CALLEE, "[]", 0, None)

    assert first.details == Details(tags=("a",), carrier={"traceparent": "1"})
    assert second.details == Details(tags=("a",))


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        (0, 0),
        (timedelta(hours=1), 3600),
        (NOW + timedelta(seconds=7), 7),
        ((NOW + timedelta(seconds=7)).astimezone(timezone(timedelta(hours=9))), 7),
        (NOW - timedelta(days=1), -86400),
    ],
)
def test_execute_after_is_an_instant_or_a_duration_from_now(given: Any, seconds: float) -> None:
    found = request({"execute_after": given}).execute_after

    assert found == to_instant(NOW) + round(seconds * SECOND)


def test_a_duration_that_the_handler_declared_counts_from_the_enqueue() -> None:
    assert request(declared={"execute_after": 60}).execute_after == to_instant(NOW) + 60 * SECOND


@pytest.mark.parametrize("given", [0, timedelta(0), NOW, NOW - timedelta(seconds=1)])
def test_an_expiry_that_is_not_later_than_now_is_refused(given: Any) -> None:
    with pytest.raises(OptionsError, match="not later than now") as caught:
        request({"expire_on": given})

    assert caught.value.key == "expire_on"


@pytest.mark.parametrize("after", [60, 61, NOW + timedelta(seconds=60)])
def test_a_job_that_could_not_start_before_it_expires_is_refused(after: Any) -> None:
    with pytest.raises(OptionsError, match="could never start") as caught:
        request({"execute_after": after, "expire_on": 60})

    assert caught.value.key == "execute_after"


def test_a_job_that_can_start_before_it_expires_is_accepted() -> None:
    found = request({"execute_after": 59.999999, "expire_on": 60})

    assert (found.execute_after, found.expire_on) == (
        to_instant(NOW) + 60 * SECOND - 1,
        to_instant(NOW) + 60 * SECOND,
    )


@pytest.mark.parametrize("key", ["execute_after", "expire_on"])
def test_a_datetime_without_time_zone_is_refused(key: str) -> None:
    with pytest.raises(OptionsError, match="aware datetime"):
        request({key: datetime(2031, 1, 1)})  # noqa: DTZ001 - that is what is refused


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("execute_after", -1),
        ("execute_after", "1h"),
        ("execute_after", True),
        ("execute_after", timedelta.max),
        ("execute_after", float("inf")),
        ("execute_after", datetime.min.replace(tzinfo=timezone(timedelta(hours=3)))),
        ("expire_on", 10**30),
        ("queue", ""),
        ("queue", None),
        ("queue", 3),
        ("queue", "q" * 256),
        ("queue", "a\0b"),
        ("priority", 2**31),
        ("priority", -(2**31) - 1),
        ("priority", True),
        ("priority", 1.0),
        ("tenant", None),
        ("tenant", "\ud800"),
        ("max_attempts", 0),
        ("max_attempts", 1_000_001),
        ("max_attempts", "3"),
        ("max_attempts", None),
        ("timeout", 0),
        ("timeout", -5),
        ("timeout", "30"),
        ("retry", None),
        ("retry", 3),
        ("ref_id", ""),
        ("ref_id", 7),
        ("tags", "urgent"),
        ("tags", {"a": 1}),
        ("tags", 3),
        ("tags", [""]),
        ("tags", [1]),
        ("tags", [str(number) for number in range(101)]),
        ("created_by", ""),
        ("user_id", 7),
        ("metadata", ["a"]),
        ("metadata", {1: "a"}),
        ("metadata", {"at": NOW}),
        ("metadata", {"raw": b"x"}),
        ("metadata", {"set": {1}}),
        ("metadata", {"nan": float("nan")}),
        ("metadata", {"big": 2**63}),
        ("metadata", {"nul": "\0"}),
        ("metadata", {"lone": "\ud800"}),
        ("metadata", {"long": "x" * 65_536}),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_may_be_given(key: str, value: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        request({key: value})

    assert caught.value.key == key
    assert "give" in caught.value.allowed


def test_metadata_that_contains_itself_is_refused() -> None:
    endless: dict[str, object] = {}
    endless["self"] = endless

    with pytest.raises(OptionsError, match="deep"):
        request({"metadata": endless})


def test_an_error_in_metadata_names_the_place() -> None:
    with pytest.raises(OptionsError, match=r"\$\.customer\.orders\[1\]"):
        request({"metadata": {"customer": {"orders": [1, object()]}}})


def test_everything_that_may_be_stored_is_stored() -> None:
    found = request(
        {
            "queue": "mail",
            "priority": -(2**31),
            "tenant": "acme",
            "ref_id": "invoice-7",
            "tags": ["b", "a", "b"],
            "created_by": "ann",
            "user_id": "7",
            "metadata": {"a": [1, None, True, 1.5, {"ü": "☃"}], "t": (1, 2)},
            "retry": fixed(3),
        }
    )

    assert (found.queue, found.priority, found.tenant) == ("mail", -(2**31), "acme")
    assert found.details is not None
    assert found.details.tags == ("b", "a")
    assert found.details.metadata == {"a": [1, None, True, 1.5, {"ü": "☃"}], "t": [1, 2]}
    assert found.details.retry is not None
    assert from_wire(found.details.retry) == fixed(3)
    assert (found.details.ref_id, found.details.created_by) == ("invoice-7", "ann")


def test_tags_of_a_set_are_stored_in_one_order() -> None:
    assert request({"tags": {"c", "a", "b"}}).details == Details(tags=("a", "b", "c"))


def test_changing_metadata_after_the_call_changes_no_job() -> None:
    metadata: dict[str, Any] = {"a": [1]}
    found = request({"metadata": metadata})
    metadata["a"].append(2)

    assert found.details == Details(metadata={"a": [1]})


def test_an_unknown_option_is_refused_with_the_name_that_was_meant() -> None:
    with pytest.raises(OptionsError, match=r"did you mean 'priority'\?") as caught:
        request({"prioritty": 3})

    assert (caught.value.key, caught.value.value) == ("prioritty", 3)


def test_an_unknown_option_of_a_handler_is_refused_at_its_declaration() -> None:
    with pytest.raises(OptionsError, match=r"did you mean 'aliases'\?"):
        request(declared={"alias": ["a"]})


@pytest.mark.parametrize(
    "declared",
    [{"name": ""}, {"aliases": "old"}, {"thread": 1}, {"queue": ""}, {"retry": 3}, {"ref_id": "a"}],
)
def test_wrong_options_of_a_handler_are_refused_at_its_declaration(declared: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        Resolver(Options()).split(declared)

    assert caught.value.key in declared


# --- retries --------------------------------------------------------------------------------------


def own_policy(state: RetryState) -> timedelta | None:
    return None


def test_a_handler_may_have_any_callable_as_its_policy_and_it_is_not_stored() -> None:
    _, defaults = Resolver(Options()).split({"retry": own_policy})

    assert defaults["retry"] is own_policy
    assert request(declared={"retry": own_policy}).details is None


def test_a_call_may_not_have_code_as_its_policy() -> None:
    with pytest.raises(OptionsError, match="stored with one job") as caught:
        request({"retry": own_policy})

    assert caught.value.key == "retry"


@pytest.mark.parametrize("options", [{"max_attempts": 3}, {"retry": fixed(3)}])
def test_where_the_storage_decides_about_retries_jobs_may_not(options: Any) -> None:
    resolver = Resolver(Options(), decides_retries=True)

    with pytest.raises(NotSupported, match="provider decides"):
        resolver.split(options)
    with pytest.raises(NotSupported, match="provider decides"):
        resolver.override(resolver.resolve({}), options)
