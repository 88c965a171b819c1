"""Users' own records: how they are filled, read back, and refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import pytest

from tests.storage.own_providers import (
    SECOND,
    START,
    MyRecord,
    Shelf,
    record,
    request,
)
from trio_gusto.model.errors import OptionsError
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.provider import JobSearchParams, JobStorageRecord, ProviderStorage
from trio_gusto.storage.provider.record import (
    UNLIMITED_ATTEMPTS,
    check_record_type,
    record_of,
    request_of,
)


@attrs.define
class RichRecord(JobStorageRecord):
    queue: str = ""
    priority: int = 0
    tenant: str = ""
    timeout: float | None = None
    ref_id: str | None = None
    tags: tuple[str, ...] = ()
    created_by: str = "nobody"
    metadata: Mapping[str, object] = attrs.field(factory=dict)


def test_fields_named_like_those_of_a_job_make_the_round_trip() -> None:
    details = Details(ref_id="order-7", tags=("a", "b"), metadata={"size": 3})
    asked = attrs.evolve(
        request(tenant="acme", timeout=1_500_000, details=details), queue="mail", priority=5
    )
    kept = record_of(asked, RichRecord, None)
    assert (kept.queue, kept.priority, kept.tenant, kept.timeout) == ("mail", 5, "acme", 1.5)
    assert (kept.ref_id, kept.tags, kept.metadata) == ("order-7", ("a", "b"), {"size": 3})
    assert kept.created_by == "nobody", "what a job does not have keeps the field's own default"
    back = request_of(kept)
    assert back.details == attrs.evolve(details, created_by="nobody")
    assert back == attrs.evolve(asked, max_attempts=UNLIMITED_ATTEMPTS, details=back.details)


@pytest.mark.parametrize(
    ("name", "job_type", "method_name"),
    [
        ("shop.mail.send", "shop.mail", "send"),
        ("shop.mail.Mailer.send", "shop.mail.Mailer", "send"),
        ("welcome", "", "welcome"),
        ("mail.welcome", "mail", "welcome"),
    ],
)
def test_the_handlers_name_survives_whatever_it_is(
    name: str, job_type: str, method_name: str
) -> None:
    kept = record_of(request(name=name), MyRecord, None)
    assert (kept.job_type, kept.method_name) == (job_type, method_name)
    assert request_of(kept).name == name


def test_a_handlers_function_may_have_a_name_with_points() -> None:
    asked = attrs.evolve(request(), job_type="shop", method_name="mail.send")
    kept = record_of(asked, MyRecord, None)
    assert (kept.job_type, kept.method_name) == ("shop", "mail.send")


@pytest.mark.parametrize(
    ("execute_after", "expire_on"), [(None, None), (START + 1, None), (None, START + 9)]
)
def test_instants_make_the_round_trip(execute_after: int | None, expire_on: int | None) -> None:
    asked = request(execute_after=execute_after, expire_on=expire_on)
    kept = record_of(asked, RichRecord, None)
    assert kept.timeout is None
    back = request_of(kept)
    assert (back.execute_after, back.expire_on) == (execute_after, expire_on)


def test_tags_may_be_a_list() -> None:
    @attrs.define
    class Listed(JobStorageRecord):
        tags: list[str] = attrs.field(factory=list)

    kept = record_of(request(), Listed, lambda _: {"tags": ["b", "a"]})
    details = request_of(kept).details
    assert details is not None
    assert details.tags == ("b", "a")


def test_fill_gives_the_values_of_other_fields_and_wins() -> None:
    def fill(asked: JobRequest) -> Mapping[str, object]:
        return {"tenant": asked.name, "failures": 7}

    kept = record_of(request(tenant="acme"), MyRecord, fill)
    assert (kept.tenant, kept.failures) == ("shop.mail.send", 7)


def test_a_field_of_the_same_name_and_another_type_is_not_read_back() -> None:
    @attrs.define
    class Tagged(JobStorageRecord):
        tags: str = ""

    kept = record_of(request(), Tagged, lambda _: {"tags": "a,b"})
    assert kept.tags == "a,b"
    assert request_of(kept).details is None


def test_what_a_record_does_not_carry_comes_from_the_job_enqueued_here() -> None:
    details = Details(tags=("a",))
    known = attrs.evolve(request(timeout=SECOND, details=details), queue="mail")
    back = request_of(record(), known)
    assert (back.timeout, back.queue, back.details) == (SECOND, "mail", details)


def refused_is(record_type: Any, why: str) -> None:
    with pytest.raises(OptionsError) as refused:
        ProviderStorage(Shelf(), record_type)
    assert (refused.value.key, refused.value.value) == ("record_type", record_type)
    assert str(refused.value) == str(OptionsError("record_type", record_type, why))


def test_a_field_that_nothing_fills_is_refused() -> None:
    @attrs.define
    class Demanding(JobStorageRecord):
        region: str = attrs.field(kw_only=True)

    refused_is(Demanding, "give its field 'region' a default, or pass fill=...")
    check_record_type(Demanding, lambda _: {"region": "eu"})
    shelf: Any = Shelf()
    ProviderStorage(shelf, Demanding, fill=lambda _: {"region": "eu"})


def test_a_record_class_without_attrs_define_is_refused() -> None:
    class Forgotten(JobStorageRecord):
        kind: ClassVar[str] = "row"
        tenant: str = ""

    refused_is(Forgotten, "its field 'tenant' is lost without @attrs.define")
    no_record: Any = dict
    refused_is(no_record, "give a subclass of JobStorageRecord")
    no_class: Any = 3
    refused_is(no_class, "give a subclass of JobStorageRecord")


def test_a_search_can_be_called_and_read() -> None:
    now = to_datetime(START)
    params = JobSearchParams[MyRecord].due(now, 5, now, ["mail"])
    assert params.match.now == params.now == now
    assert [criterion.field for criterion in params.match.criteria] == [
        "is_complete",
        "execute_after",
        "expire_on",
        "queue",
    ]
    assert str(params.match) == (
        "is_complete == False"
        f" and (execute_after is None or execute_after <= {now!r})"
        f" and (expire_on is None or expire_on > {now!r})"
        " and queue in ('mail',)"
    )
