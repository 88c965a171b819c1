"""Rules of retention as files write them."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from typing import Any

import pytest

from trio_gusto import Keep, Options, OptionsError, Retention

DAY = 86_400


def read(table: Any) -> Any:
    return Options.from_mapping({"retention": table}).retention


def test_a_table_of_toml_is_read() -> None:
    written = tomllib.loads("""
        [retention]
        default = "24:00:00"
        [[retention.rules]]
        states = "failed, cancelled"
        Keep-For = 172800
        [[retention.rules]]
        tags = ["invoice"]
        tenants = ["acme", "other"]
        keep_for = "none"
    """)

    assert Options.from_mapping(written).retention == Retention(
        timedelta(days=1),
        rules=[
            Keep(timedelta(days=2), states=["failed", "cancelled"]),
            Keep(None, tags=["invoice"], tenants=["acme", "other"]),
        ],
    )


@pytest.mark.parametrize(
    ("table", "meant"),
    [
        ({}, Retention()),
        ({"default": None}, Retention(None)),
        ({"default": " None "}, Retention(None)),
        ({"default": "90"}, Retention(90)),
        ({"rules": []}, Retention()),
        (
            {"rules": [{"keep-for": 1.5, "tags": "a"}]},
            Retention(rules=[Keep(1.5, tags=["a"])]),
        ),
    ],
)
def test_what_is_left_out_has_its_default(table: Any, meant: Retention) -> None:
    assert read(table) == meant


@pytest.mark.parametrize(
    ("table", "key", "allowed"),
    [
        ({"defualt": 1}, "retention.defualt", "did you mean 'default'"),
        ({"default": 1, "Default": 2}, "retention.Default", "twice"),
        ({"default": "soon"}, "retention.default", "HH:MM:SS"),
        ({"default": -1}, "retention.default", "from 0 seconds"),
        ({"default": [1]}, "retention.default", "from 0 seconds"),
        ({"rules": "all"}, "retention.rules", "give a list"),
        ({"rules": {"keep-for": 1}}, "retention.rules", "give a list"),
        ({"rules": ["failed"]}, "retention.rules[0]", "give a table"),
        ({"rules": [{"states": ["failed"]}]}, "retention.rules[0].keep-for", "missing"),
        ({"rules": [{"keep-for": 1}]}, "retention.rules[0]", "make its period the default"),
        (
            {"rules": [{"keep-for": 1, "tags": ["a"]}, {"keep-for": "x", "tags": ["a"]}]},
            "retention.rules[1].keep-for",
            "HH:MM:SS",
        ),
        (
            {"rules": [{"Keep-For": -DAY, "tags": ["a"]}]},
            "retention.rules[0].Keep-For",
            "from 0 seconds",
        ),
        (
            {"rules": [{"keep-for": 1, "states": ["lost"]}]},
            "retention.rules[0].states",
            "completed, failed",
        ),
        ({"rules": [{"keep-for": 1, "states": "ready"}]}, "retention.rules[0].states", "ended"),
        ({"rules": [{"keep-for": 1, "tags": 5}]}, "retention.rules[0].tags", "several texts"),
        ({"rules": [{"keep-for": 1, "tag": "a"}]}, "retention.rules[0].tag", "did you mean 'tags'"),
    ],
)
def test_a_mistake_is_named_with_the_way_to_it(table: Any, key: str, allowed: str) -> None:
    with pytest.raises(OptionsError) as caught:
        read(table)

    assert caught.value.key == key
    assert allowed in caught.value.allowed
