"""What a store, a file or an environment may hold that nobody meant: near misses rather than noise.

What a reader half knows leads further into it than random text: a text of the right shape with a wrong
number in it, a word where a table belongs, an object with the key of another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Literal, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
from hypothesis import strategies as st

from property_tests.typed_values import Customer, Order, Plan, mapping, plain, row, typed
from tests.serialization.raising import Checked, Moody, Refusing
from trio_gusto import Options
from trio_gusto.model.errors import GustoError
from trio_gusto.serialization.codec import Codec

# --- the law -----------------------------------------------------------------------------------------


def check_that_it_is_read_or_refused(
    read: Callable[[Any], object], given: object, refusal: type[GustoError]
) -> None:
    """Whatever is given, no other error than ``refusal`` is raised, and it can be shown."""
    try:
        read(given)
    except refusal as error:
        str(error)
    except Exception as error:
        raise AssertionError(
            f"garbage is read or is a {refusal.__name__}, not {error!r} for {given!r}"
        ) from error


# --- values that nobody meant ------------------------------------------------------------------------

words = st.sampled_from(
    [
        *(
            "",
            " ",
            "-",
            "P",
            "PT",
            "P9999999999D",
            "PT1.5H",
            "1_0",
            " 1",
            "²",
            "٣",
            "1e999",
            "9" * 5000,
        ),
        *(
            "NaN",
            "sNaN",
            "Infinity",
            "-1E999999999999999999",
            "none",
            "true",
            "\0",
            "a\0b",
            "é",
            "=",
            ",",
        ),
        *("2020-13-40", "24:00", "0001-01-01T00:00:00+23:59", "2020-W01-1", "1:99:00", "9" * 400),
        *(
            "AA",
            "A===",
            "../etc",
            "Europe",
            "posix",
            "A" * 300,
            "urn:uuid:1",
            "free",
            "FREE",
            "$type",
        ),
        *("mail=3", "mail=", "5/0s", "²/minute", "9/minute", "fixed", "weighted", "-0", "0x1"),
    ]
)
keys = words | st.sampled_from(
    [
        *("name", "plan", "born", "id", "customer", "lines", "value", "args", "kwargs", "other"),
        *("default", "rules", "keep-for", "keep_for", "states", "tags", "count", "per", "burst"),
        *("exponential", "fixed", "No-Retry", "delay", "base", "cap", "mail"),
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(-2, 99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
    | st.text(max_size=6)
)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


# --- JSON for the wire -------------------------------------------------------------------------------


class Table(TypedDict, total=False):
    value: int


collected: Any = set
own_code = st.sampled_from([Moody, Checked, Refusing, Moody | float])
keyed = st.sampled_from([int, Decimal, UUID, Plan, ZoneInfo, PurePosixPath, Moody]).map(
    lambda kind: mapping[kind, int]
)
others = st.sampled_from(
    [
        *(*plain, ZoneInfo, Table, Literal["free", 1, True], Any),
        *(collected[Any], collected[Decimal], row[int, str], row[Decimal, ...]),
        *(Customer | Order, int | list[int] | None),
    ]
)


@st.composite
def near_misses(draw: st.DrawFn) -> tuple[Any, str]:
    """A type, and what was written as such, with one place of it damaged."""
    kind, value = draw(typed)
    tree = json.loads(Codec().dumps(value, kind))
    return kind, json.dumps(_damaged(draw, tree))


def _damaged(draw: st.DrawFn, tree: Any) -> object:
    if isinstance(tree, list | dict) and tree and draw(st.booleans()):
        places: list[Any] = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        place = draw(st.sampled_from(places))
        tree[place] = _damaged(draw, tree[place])
        return tree
    return draw(trees)


nested = st.sampled_from(
    [
        text
        for depth in (250, 1_000, 1_024, 5_000)
        for text in ("[" * depth + "]" * depth, '{"":' * depth)
    ]
)
texts = trees.map(json.dumps) | nested | st.text(max_size=20) | words
wires = (
    near_misses()
    | st.tuples(others, texts | words.map(json.dumps))
    | st.tuples(
        own_code, (words | st.integers(0, 9).map(lambda number: {"value": number})).map(json.dumps)
    )
    | st.tuples(keyed, st.dictionaries(words, st.integers(0, 9), max_size=2).map(json.dumps))
)
"""Types, each with a text that may or may not be a value of it."""

# --- settings ----------------------------------------------------------------------------------------

rules = st.fixed_dictionaries({"keep-for": trees}, optional={"states": trees, "tags": trees})
tables = (
    st.fixed_dictionaries(
        {}, optional={"default": trees, "rules": trees | st.lists(rules, max_size=2)}
    )
    | st.dictionaries(keys, st.fixed_dictionaries({"count": scalars, "per": scalars}), max_size=2)
    | st.dictionaries(
        keys | scalars, st.dictionaries(keys | scalars, scalars, max_size=2), max_size=2
    )
)
names = st.sampled_from([field.name for field in attrs.fields(Options)])
settings = st.dictionaries(names, tables | trees, min_size=1, max_size=2) | st.dictionaries(
    names | keys | scalars, trees, max_size=3
)

# --- cron --------------------------------------------------------------------------------------------

_signs = st.text("0123456789*/-,?HLW#MONJAN²", min_size=1, max_size=6)
expressions = (
    st.lists(_signs, min_size=5, max_size=6).map(" ".join)
    | st.tuples(st.integers(0, 5), _signs).map(
        lambda drawn: " ".join(drawn[1] if place == drawn[0] else "*" for place in range(6))
    )
    | st.sampled_from(["daily", "every_second", "", "nonsense", "hourly 5"]).map("@{}".format)
    | st.text(max_size=15)
    | words
)
