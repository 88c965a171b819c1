"""Classes with fields are objects, read strictly and with room to grow."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import date
from typing import Any, Generic, NamedTuple, NotRequired, TypedDict, TypeVar
from uuid import UUID

import attrs
import pydantic
import pytest

from trio_gusto.model.errors import ArgumentError
from trio_gusto.serialization.codec import Codec, DecodeError

T = TypeVar("T")


@attrs.define
class Customer:
    name: str
    born: date | None = None
    _secret: int = 0
    computed: int = attrs.field(init=False, default=5)


@attrs.define
class Loyal(Customer):
    points: int = 0


@attrs.define
class Checked:
    age: int = attrs.field(validator=attrs.validators.ge(0))


@dataclasses.dataclass(frozen=True)
class Item:
    sku: UUID
    tags: set[str] = dataclasses.field(default_factory=set)


class Point(NamedTuple):
    x: int
    y: int = 0


class Settings(TypedDict):
    retries: int
    since: NotRequired[date]


@attrs.define
class Node:
    value: int
    children: list[Node] = attrs.Factory(list)


@attrs.define
class Page(Generic[T]):
    items: list[T]
    first: T | None = None


class Model(pydantic.BaseModel):
    id: UUID
    born: date = pydantic.Field(alias="birthDay")


class Bare:
    pass


@dataclasses.dataclass
class Seeded:
    value: int
    seed: dataclasses.InitVar[int]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (
            Customer,
            Customer("Ann", date(2000, 1, 2), 7),
            '{"name":"Ann","born":"2000-01-02","_secret":7}',
        ),
        (Item, Item(UUID(int=7), {"b", "a"}), f'{{"sku":"{UUID(int=7)}","tags":["a","b"]}}'),
        (Point, Point(1, 2), '{"x":1,"y":2}'),
        (Settings, {"retries": 1}, '{"retries":1}'),
        (Settings, {"retries": 1, "since": date(2000, 1, 2)}, '{"retries":1,"since":"2000-01-02"}'),
        (Node, Node(1, [Node(2)]), '{"value":1,"children":[{"value":2,"children":[]}]}'),
        (Page[Point], Page([Point(1)]), '{"items":[{"x":1,"y":0}],"first":null}'),
        (
            Model,
            Model(id=UUID(int=7), birthDay=date(2000, 1, 2)),
            f'{{"id":"{UUID(int=7)}","born":"2000-01-02"}}',
        ),
    ],
)
def test_an_instance_reads_back_equal(kind: Any, value: object, text: str) -> None:
    codec = Codec()
    assert codec.dumps(value, kind) == text
    read = codec.loads(text, kind)
    assert read == value
    assert type(read) is type(value)


def test_a_field_added_with_a_default_is_read_from_older_text() -> None:
    assert Codec().loads('{"name":"Ann"}', Customer) == Customer("Ann")


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        (Customer, '{"born":null}', "$.name: is missing"),
        (Customer, '{"name":"Ann","age":5}', "$.age: is unknown to Customer"),
        (Customer, '{"name":5}', "$.name: expected a str, not the int 5"),
        (Customer, "[]", "$: expected a Customer as an object, not the list []"),
        (
            list[Node],
            '[{"value":1,"children":[{"value":"x"}]}]',
            "$[0].children[0].value: expected",
        ),
        (Settings, '{"retries":1,"other":2}', "$.other: is unknown to Settings"),
        (Settings, "{}", "$.retries: is missing"),
        (Checked, '{"age":-1}', "$: Checked refused it"),
        (Model, '{"id":"x","born":"2000-01-02"}', "$: Model refused it"),
    ],
)
def test_an_object_that_does_not_fit_is_reported_by_path(
    kind: Any, text: str, problem: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        Codec().loads(text, kind)
    assert caught.value.problems[0].startswith(problem)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Customer, Loyal("Ann")),
        (Customer, {"name": "Ann"}),
        (Point, (1, 2)),
        (Settings, {}),
        (Settings, {"retries": 1, "other": 2}),
        (Settings, [1]),
        (Model, Item(UUID(int=7))),
        (Bare, Bare()),
        (Seeded, Seeded(1, 2)),  # it could not be made again from its fields
    ],
)
def test_another_class_is_refused_a_subclass_too_because_its_fields_would_be_lost(
    kind: Any, value: object
) -> None:
    with pytest.raises(ArgumentError):
        Codec().dumps(value, kind)


def test_pydantic_is_not_imported_by_this_package() -> None:
    program = (
        "import sys, types\n"
        "from trio_gusto.serialization.codec import Codec\n"
        "Codec().dumps([1], list[int])\n"
        "sys.exit('pydantic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
