"""`Options`: what an app may be told, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest

from trio_gusto.model.errors import OptionsError
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.retry import exponential, fixed, no_retry
from trio_gusto.options import Options


def test_without_arguments_the_defaults_are_those_of_the_documentation() -> None:
    options = Options()

    assert options.concurrency >= 1
    assert options.batch_size == 10
    assert options.poll_interval == 10.0
    assert options.queues is None
    assert options.queue_order == "weighted"
    assert options.lease == 60.0
    assert options.drain_timeout == 30.0
    assert options.default_max_attempts == 10
    assert options.default_timeout == 600.0
    assert options.default_retry == exponential(base=5, factor=2, cap=3600, jitter=0.25)
    assert options.retention == timedelta(days=7)
    assert options.progress_flush_interval == 2.0
    assert options.progress_flush_batch_size == 50
    assert options.max_log_entries == 1000


def test_options_do_not_change() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Options().lease = 5.0  # type: ignore[misc]  # that is what is tested


def test_equal_options_are_equal_and_hash_alike() -> None:
    assert Options(concurrency=2, lease=5) == Options(concurrency=2, lease=timedelta(seconds=5))
    assert hash(Options(queues={"a": 1})) == hash(Options(queues={"a": 1}))


def test_a_duration_is_seconds_or_a_timedelta_and_kept_as_seconds() -> None:
    options = Options(
        lease=timedelta(minutes=2), poll_interval=5, default_timeout=timedelta(hours=1)
    )

    assert (options.lease, options.poll_interval, options.default_timeout) == (120.0, 5.0, 3600.0)
    assert type(options.poll_interval) is float


def test_retention_is_kept_as_a_timedelta() -> None:
    assert Options(retention=timedelta(days=1)).retention == timedelta(days=1)
    assert Options(retention=3600).retention == timedelta(hours=1)
    assert Options(retention=None).retention is None


def test_what_may_be_none_may_be_none() -> None:
    options = Options(
        default_timeout=None, prefetch=None, loop_block_threshold=None, node_name=None
    )

    assert options.default_timeout is None
    assert options.loop_block_threshold is None


@pytest.mark.parametrize(
    ("queues", "weights"),
    [
        (None, None),
        (["b", "a"], {"b": 1, "a": 1}),
        (("a", "a"), {"a": 1}),
        ({"a": 3, "b": 1}, {"a": 3, "b": 1}),
    ],
)
def test_queues_are_names_in_order_or_names_with_weights(queues: Any, weights: Any) -> None:
    found = Options(queues=queues).queue_weights

    assert found == weights
    assert found is None or list(found) == list(weights)


def test_changing_the_mapping_of_queues_afterwards_changes_nothing() -> None:
    weights = {"a": 1}
    options = Options(queues=weights)
    weights["a"] = 7

    assert options.queue_weights == {"a": 1}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("concurrency", 0),
        ("concurrency", True),
        ("concurrency", 2.0),
        ("concurrency", "2"),
        ("batch_size", 0),
        ("prefetch", -1),
        ("poll_interval", 0),
        ("poll_interval", True),
        ("poll_interval", None),
        ("lease", 0.9),
        ("lease", timedelta(milliseconds=900)),
        ("lease", float("nan")),
        ("lease", float("inf")),
        ("lease", 10**400),
        ("drain_timeout", -1),
        ("drain_timeout", "30"),
        ("default_max_attempts", 0),
        ("default_timeout", 0),
        ("default_retry", 3),
        ("retention", timedelta(-1)),
        ("retention", timedelta.max),
        ("retention", "week"),
        ("queues", []),
        ("queues", {}),
        ("queues", "mail"),
        ("queues", {"mail", "reports"}),
        ("queues", [""]),
        ("queues", ["a\0b"]),
        ("queues", [1]),
        ("queues", {"mail": 0}),
        ("queues", {"mail": 1.5}),
        ("queue_order", "random"),
        ("queue_order", None),
        ("node_name", ""),
        ("node_name", "\ud800"),
        ("max_argument_bytes", 0),
        ("loop_block_threshold", 0),
        ("restart_limit", -1),
        ("restart_period", 0),
        ("progress_flush_interval", 0),
        ("progress_flush_batch_size", 0),
        ("max_log_entries", -1),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key_value_and_range(key: str, value: Any) -> None:
    with pytest.raises(OptionsError) as caught:
        Options(**{key: value})

    assert caught.value.key == key
    assert caught.value.allowed
    assert repr(key) in str(caught.value)
    assert "give" in str(caught.value) or "name" in str(caught.value)


# --- from_mapping ---------------------------------------------------------------------------------


def test_a_mapping_of_proper_values_is_taken_as_it_is() -> None:
    given = {"concurrency": 3, "lease": 5.5, "queues": ["a"], "default_timeout": None}

    assert Options.from_mapping(given) == Options(
        concurrency=3, lease=5.5, queues=["a"], default_timeout=None
    )


def test_names_may_have_dashes_and_upper_case() -> None:
    assert Options.from_mapping({"BATCH_SIZE": 3, "Poll-Interval": 2}) == Options(
        batch_size=3, poll_interval=2
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"concurrency": " 8 "}, {"concurrency": 8}),
        ({"prefetch": "none"}, {"prefetch": None}),
        ({"prefetch": "5"}, {"prefetch": 5}),
        ({"lease": "90"}, {"lease": 90.0}),
        ({"lease": "1.5"}, {"lease": 1.5}),
        ({"lease": "00:01:30"}, {"lease": 90.0}),
        ({"default_timeout": "None"}, {"default_timeout": None}),
        ({"default_timeout": "01:00:00.5"}, {"default_timeout": 3600.5}),
        ({"retention": "240:00:00"}, {"retention": timedelta(days=10)}),
        ({"retention": ""}, {"retention": None}),
        ({"node_name": "east-1"}, {"node_name": "east-1"}),
        ({"queue_order": "strict"}, {"queue_order": "strict"}),
        ({"queues": "mail, reports"}, {"queues": ["mail", "reports"]}),
        ({"queues": "mail=3, reports=1"}, {"queues": {"mail": 3, "reports": 1}}),
        ({"queues": ""}, {"queues": None}),
        ({"default_retry": "no-retry"}, {"default_retry": no_retry()}),
        ({"default_retry": {"fixed": {"delay": "00:00:05"}}}, {"default_retry": fixed(5)}),
        ({"default_retry": {"exponential": {"base": 2}}}, {"default_retry": exponential(base=2)}),
    ],
)
def test_values_may_be_written_as_text(given: Mapping[str, object], meant: Any) -> None:
    assert Options.from_mapping(given) == Options(**meant)


def test_an_unknown_key_is_refused_with_the_name_that_was_meant() -> None:
    with pytest.raises(OptionsError, match=r"did you mean 'concurrency'\?") as caught:
        Options.from_mapping({"concurency": 8})

    assert caught.value.key == "concurency"
    assert caught.value.value == 8


def test_an_unknown_key_like_no_other_is_refused_with_all_names() -> None:
    with pytest.raises(OptionsError, match="poll_interval"):
        Options.from_mapping({"zzz": 8})


def test_a_key_that_is_no_text_is_refused_as_unknown() -> None:
    with pytest.raises(OptionsError, match="no such option") as caught:
        Options.from_mapping({8: "concurrency"})  # type: ignore[dict-item]  # as YAML has it

    assert caught.value.key == "8"


def test_a_key_that_comes_twice_in_two_spellings_is_refused() -> None:
    with pytest.raises(OptionsError, match="twice"):
        Options.from_mapping({"batch_size": 1, "BATCH-SIZE": 2})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("concurrency", "eight"),
        ("concurrency", "0"),
        ("concurrency", ""),
        ("lease", "1:99:00"),
        ("lease", "soon"),
        ("lease", "nan"),
        ("lease", "00:00:00"),
        ("queues", "mail=many"),
        ("queues", "mail=1, reports"),
        ("queue_order", "STRICT"),
        ("queue_order", {"strict": True}),
        ("tenant_order", ["fair"]),
        ("default_retry", "sometimes"),
        ("default_retry", {"fixed": {"pause": 5}}),
        ("default_retry", {"fixed": {"delay": 5}, "no_retry": {}}),
        ("default_retry", {}),
        ("default_retry", {True: {}}),
        ("max_result_bytes", "1MiB"),
    ],
)
def test_text_that_means_nothing_is_refused(key: str, value: object) -> None:
    with pytest.raises(OptionsError) as caught:
        Options.from_mapping({key: value})

    assert caught.value.key == key


MINUTE = RateLimit(100, per=60)


@pytest.mark.parametrize(
    ("written", "rates"),
    [
        ("mail=100/minute", {"mail": MINUTE}),
        ("mail = 100 / min, reports=5/10s", {"mail": MINUTE, "reports": RateLimit(5, per=10)}),
        ("a=1/hour, b=2/2days", {"a": RateLimit(1, per=3600), "b": RateLimit(2, per=172_800)}),
        ("", {}),
        ({}, {}),
        ({"mail": "100/Minutes"}, {"mail": MINUTE}),
        ({"mail": {"count": 100, "per": "00:01:00"}}, {"mail": MINUTE}),
        ({"mail": {"count": "5", "per": "day"}}, {"mail": RateLimit(5, per=86_400)}),
        ({"mail": {"count": 5, "per": 2.5, "burst": "1"}}, {"mail": RateLimit(5, 2.5, 1)}),
        ({"mail": MINUTE}, {"mail": MINUTE}),
    ],
)
def test_rates_of_queues_are_read_as_settings_write_them(
    written: object, rates: Mapping[str, RateLimit]
) -> None:
    assert Options.from_mapping({"queue-rates": written}).queue_rates == rates


@pytest.mark.parametrize(
    ("written", "key"),
    [
        (5, "queue_rates"),
        ("mail", "queue_rates.mail"),
        ("mail=100", "queue_rates.mail"),
        ("mail=100/week", "queue_rates.mail"),
        ("mail=5_/s", "queue_rates.mail"),
        ("mail=5__0/s", "queue_rates.mail"),
        ("mail=0/s", "queue_rates.mail.count"),
        ({"mail": 5}, "queue_rates.mail"),
        ({"mail": {"count": 5}}, "queue_rates.mail"),
        ({"mail": {"count": 5, "per": 1, "bursts": 1}}, "queue_rates.mail"),
        ({"mail": {"count": "many", "per": 1}}, "queue_rates.mail.count"),
        ({"mail": {"count": 1, "per": "soon"}}, "queue_rates.mail"),
        ({"mail": {"count": 1, "per": 0}}, "queue_rates.mail.per"),
        ("=1/s", "queue_rates"),
    ],
)
def test_rates_of_queues_that_cannot_be_read_are_refused(written: object, key: str) -> None:
    with pytest.raises(OptionsError) as caught:
        Options.from_mapping({"queue_rates": written})
    assert caught.value.key == key


def test_rates_of_queues_are_rate_limits_and_do_not_change() -> None:
    rates = {"mail": MINUTE}
    options = Options(queue_rates=rates)
    rates["mail"] = RateLimit(1, per=1)
    assert options.queue_rates == {"mail": MINUTE}
    for wrong in ({"mail": "100/minute"}, [("mail", MINUTE)], {5: MINUTE}):
        with pytest.raises(OptionsError, match="queue_rates"):
            Options(queue_rates=wrong)  # type: ignore[arg-type]  # that is what is tested


def test_ageing_is_a_duration_or_none() -> None:
    assert Options().priority_ageing is None
    assert Options(priority_ageing=timedelta(minutes=1)).priority_ageing == 60
    assert Options.from_mapping({"priority_ageing": "00:01:00"}).priority_ageing == 60
    assert Options.from_mapping({"priority_ageing": "none"}).priority_ageing is None
    for wrong in (0, -1, float("nan")):
        with pytest.raises(OptionsError, match="priority_ageing"):
            Options(priority_ageing=wrong)
