"""Which rule holds for a job, and what rules come to at an instant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_gusto import JobState, Keep, OptionsError, Retention
from trio_gusto.model.retention import LONGEST, Cut, Selection

NOW = 1_800_000_000_000_000
DAY = 86_400_000_000
ENDED = [state for state in JobState if state.is_ended]


def test_without_rules_everything_old_goes() -> None:
    assert Retention().cuts(NOW) == [Cut(NOW - 7 * DAY)]
    assert Retention(None).cuts(NOW) == []


def test_a_rule_shields_from_those_after_it() -> None:
    audit = Keep(None, tags=["audit"])
    failed = Keep(86_400, states=["failed"])
    assert Retention(timedelta(days=2), rules=[audit, failed]).cuts(NOW) == [
        Cut(NOW - DAY, failed.selection, (audit.selection,)),
        Cut(NOW - 2 * DAY, None, (audit.selection, failed.selection)),
    ]


names = st.sampled_from(["", "acme", "bell"])
selections = st.builds(
    Selection,
    st.frozensets(st.sampled_from(ENDED), max_size=2),
    st.frozensets(names, max_size=2),
    st.frozensets(names, max_size=2),
)


@given(
    periods=st.lists(st.none() | st.integers(0, 9), max_size=4),
    wanted=st.lists(selections.filter(lambda one: one != Selection()), min_size=4, max_size=4),
    default=st.none() | st.integers(0, 9),
    state=st.sampled_from(ENDED),
    tenant=names,
    tags=st.frozensets(names),
    age=st.integers(0, 10),
)
def test_a_job_is_in_a_cut_exactly_if_the_first_rule_that_fits_says_so(
    periods: list[int | None],
    wanted: list[Selection],
    default: int | None,
    state: JobState,
    tenant: str,
    tags: frozenset[str],
    age: int,
) -> None:
    rules = [
        Keep(period, states=one.states, tenants=one.tenants, tags=one.tags)
        for period, one in zip(periods, wanted, strict=False)
    ]
    fitting = [rule for rule in rules if rule.selection.accepts(state, tenant, tags)]
    period = fitting[0].keep_for if fitting else Retention(default).default
    hits = [
        cut
        for cut in Retention(default, rules=rules).cuts(NOW)
        if NOW - age * 1_000_000 < cut.ended_before
        and (cut.only is None or cut.only.accepts(state, tenant, tags))
        and not any(one.accepts(state, tenant, tags) for one in cut.but)
    ]
    assert len(hits) == int(period is not None and age > period.total_seconds())


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Keep(timedelta(days=1)), "rules"),
        (lambda: Keep(-1, states=["failed"]), "keep_for"),
        (lambda: Keep(1e300, states=["failed"]), "keep_for"),
        (lambda: Keep("week", states=["failed"]), "keep_for"),  # type: ignore[arg-type]
        (lambda: Keep(1, states=["ready"]), "states"),
        (lambda: Keep(1, states=["done"]), "states"),
        (lambda: Keep(1, states="failed"), "states"),
        (lambda: Keep(1, tags=[1]), "tags"),  # type: ignore[list-item]
        (lambda: Retention(True), "retention"),
        (lambda: Retention(1, rules=[2]), "rules"),  # type: ignore[list-item]
    ],
)
def test_what_is_out_of_range_is_named(make: Any, named: str) -> None:
    with pytest.raises(OptionsError, match=named):
        make()


FAILED = JobState.FAILED


@pytest.mark.parametrize(
    ("selection", "accepted"),
    [
        (Selection(), True),
        (Selection(frozenset({FAILED})), True),
        (Selection(frozenset({JobState.EXPIRED})), False),
        (Selection(tenants=frozenset({"acme"})), True),
        (Selection(tenants=frozenset({"bell"})), False),
        (Selection(tags=frozenset({"a", "x"})), True),
        (Selection(tags=frozenset({"x"})), False),
        (Selection(frozenset({FAILED}), frozenset({"acme"}), frozenset({"a"})), True),
        (Selection(frozenset({JobState.EXPIRED}), frozenset({"acme"}), frozenset({"a"})), False),
        (Selection(frozenset({FAILED}), frozenset({"bell"}), frozenset({"a"})), False),
        (Selection(frozenset({FAILED}), frozenset({"acme"}), frozenset({"x"})), False),
    ],
)
def test_a_job_is_selected_by_all_that_is_given(selection: Selection, accepted: bool) -> None:
    assert selection.accepts(FAILED, "acme", ["a", "b"]) is accepted


PERIOD = "give seconds or a timedelta, from 0 seconds to a hundred years, or None to keep for ever"
SEVERAL = "give several texts, such as a list or a set of them"
ALLOWED: dict[tuple[str, type], str] = {
    ("retention", timedelta): PERIOD,
    ("keep_for", timedelta): PERIOD,
    ("tags", str): SEVERAL,
    ("tags", list): SEVERAL,
    ("tenants", str): SEVERAL,
    ("states", str): SEVERAL,
    ("states", list): "only jobs that have ended go; "
    "they are completed, failed, cancelled, skipped, expired",
    ("rules", list): "give a list of Keep(…)",
}


@pytest.mark.parametrize(
    ("make", "key", "value"),
    [
        (lambda: Retention(-1), "retention", timedelta(seconds=-1)),
        (lambda: Keep(-1, tags=["a"]), "keep_for", timedelta(seconds=-1)),
        (lambda: Keep(1, tags="a"), "tags", "a"),
        (lambda: Keep(1, tenants="a"), "tenants", "a"),
        (lambda: Keep(1, states="failed"), "states", "failed"),
        (lambda: Keep(1, tags=cast(Any, [1])), "tags", [1]),
        (lambda: Keep(1, states=["ready"]), "states", ["ready"]),
        (lambda: Keep(1, states=["no state"]), "states", ["no state"]),
        (lambda: Retention(rules=cast(Any, [1])), "rules", [1]),
    ],
)
def test_a_wrong_period_or_rule_names_its_option(
    make: Callable[[], object], key: str, value: object
) -> None:
    with pytest.raises(OptionsError) as refused:
        make()
    assert (refused.value.key, refused.value.value) == (key, value)
    assert refused.value.allowed == ALLOWED[key, type(value)]


def test_a_text_where_several_are_wanted_is_told_so_and_not_that_its_state_has_not_ended() -> None:
    with pytest.raises(OptionsError, match="give several texts"):
        Keep(1, states="failed")


def test_a_rule_that_selects_nothing_is_none() -> None:
    with pytest.raises(OptionsError) as refused:
        Keep(1)
    assert (refused.value.key, type(refused.value.value)) == ("rules", Keep)
    assert refused.value.allowed == (
        "a rule for every job would leave nothing to the default; give it states, tenants or tags, "
        "or make its period the default"
    )


def test_the_longest_period_and_none_at_all_are_periods() -> None:
    assert Retention(0).default == timedelta(0)
    assert Retention(LONGEST.total_seconds()).default == LONGEST
    with pytest.raises(OptionsError):
        Retention(LONGEST.total_seconds() + 1)
