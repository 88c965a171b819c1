"""Ids sort by time; instants and durations are exact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Any

import pytest

from trio_gusto.model.errors import ArgumentError, StorageError
from trio_gusto.model.ids import RANDOM_BITS, IdSource, to_job_id, to_uuid, uuid7
from trio_gusto.model.instants import (
    NoDate,
    to_datetime,
    to_duration,
    to_instant,
    to_optional_datetime,
)

NOW = 1_700_000_000_123_456_789


def test_an_id_is_a_uuid_of_version_seven() -> None:
    made = to_uuid(uuid7(NOW, 2**RANDOM_BITS - 1))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == NOW // 1_000_000


def test_ids_sort_by_the_time_they_were_made() -> None:
    moments = [NOW + n * 250 for n in range(2_000)]
    made = [uuid7(moment, (n * 7919) % 2**RANDOM_BITS) for n, moment in enumerate(moments)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_random_bits_tell_ids_of_one_moment_apart() -> None:
    assert uuid7(NOW, 1) != uuid7(NOW, 2)


def test_an_id_is_the_same_in_both_forms() -> None:
    made = uuid7(NOW, 5)
    assert to_job_id(to_uuid(made)) == made
    assert len(made) == 16


@pytest.mark.parametrize("value", ["00000000-0000-0000-0000-000000000001", 1, None, b"id"])
def test_what_is_no_uuid_is_no_id(value: Any) -> None:
    with pytest.raises(ArgumentError) as refused:
        to_job_id(value)
    assert str(refused.value) == f"{value!r} is no id; ids are UUIDs, so give uuid.UUID(...)"


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 8, 2, 30, 0, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
    ],
)
def test_an_instant_is_exact_to_the_microsecond(moment: datetime) -> None:
    assert to_datetime(to_instant(moment)) == moment


def test_the_time_zone_of_an_instant_does_not_matter() -> None:
    there = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert to_instant(there) == to_instant(there.astimezone(UTC))


class Nowhere(tzinfo):
    """A zone that cannot say how far it is from UTC."""

    def utcoffset(self, _moment: datetime | None) -> None:
        return None

    dst = tzname = utcoffset


@pytest.mark.parametrize("zone", [None, Nowhere()], ids=["naive", "nowhere"])
def test_a_moment_that_names_no_instant_is_refused(zone: tzinfo | None) -> None:
    with pytest.raises(ValueError, match="names no instant"):
        to_instant(datetime(2026, 1, 1, tzinfo=zone))


def test_no_instant_is_no_moment() -> None:
    assert to_optional_datetime(None) is None
    assert to_optional_datetime(0) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "duration"),
    [
        (1, 1_000_000),
        (0.1, 100_000),
        (-2.5, -2_500_000),
        (timedelta(days=1, microseconds=1), 86_400_000_001),
    ],
)
def test_a_duration_is_in_microseconds(length: float | timedelta, duration: int) -> None:
    assert to_duration(length) == duration


@pytest.mark.parametrize("length", [float("nan"), float("inf"), True, "1", None])
def test_what_is_no_length_is_refused(length: object) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        to_duration(length)  # type: ignore[arg-type]  # wrong on purpose


def source(*draws: list[int]) -> IdSource:
    return IdSource(partial(next, iter(draws)))


def test_a_source_makes_the_id_of_its_instant_and_draws_when_it_has_no_more_bits() -> None:
    ids = source([1, 2], [3])
    assert ids.make(NOW) == uuid7(NOW, 2)
    assert ids.make(NOW + 1000) == uuid7(NOW + 1000, 1)
    assert ids.make(NOW + 2000) == uuid7(NOW + 2000, 3)


def test_ids_of_one_instant_are_a_notch_apart_and_so_are_those_of_a_clock_set_back() -> None:
    ids = source([5] * 6)
    made = [ids.make(now) for now in (NOW, NOW, NOW, NOW - 10**9, NOW + 4 * IdSource.STEP)]
    assert made == [uuid7(NOW + n * IdSource.STEP, 5) for n in range(5)]


def test_a_source_follows_the_clock_from_one_millisecond_to_the_next() -> None:
    begin = NOW - NOW % 1_000_000
    ids = source([5] * 2)
    assert [ids.make(begin + n) for n in (300_000, 1_100_000)] == [
        uuid7(begin + 300_000, 5), uuid7(begin + 1_100_000, 5),
    ]  # fmt: skip
    later = [0, 1, 500_000, 999_500, 1_000_000, 1_000_500, 2_500_000, 99_000_000, 10**18]
    ids = source([5] * len(later))
    assert [ids.make(begin + n) for n in later[:1]] == [uuid7(begin, 5)]
    assert [ids.make(begin + n) for n in later[2:]] == [uuid7(begin + n, 5) for n in later[2:]]


@pytest.mark.parametrize("now", [0, 1_000_000, 1_500_000])
def test_an_id_made_at_the_beginning_of_1970_has_its_version(now: int) -> None:
    ids = source([5] * 300)
    made = [ids.make(now) for _ in range(300)]
    assert made == [uuid7(now + n * IdSource.STEP, 5) for n in range(300)]


LAST = 253_402_300_799_999_999
"""Microseconds: the last instant of the year 9999."""


@pytest.mark.parametrize("instant", [LAST + 1, -62_135_596_800_000_001, 2**63 - 1, -(2**63)])
def test_an_instant_beyond_all_dates_is_refused_as_what_is_stored(instant: int) -> None:
    assert to_datetime(LAST) == datetime.max.replace(tzinfo=UTC)
    assert to_datetime(-62_135_596_800_000_000) == datetime.min.replace(tzinfo=UTC)
    with pytest.raises(NoDate) as refused:
        to_datetime(instant)
    assert refused.value.instant == instant
    assert isinstance(refused.value, StorageError)
    assert str(refused.value) == (
        f"an instant of {instant} microseconds is stored, and there are dates in the years 1 to 9999 "
        "only; `trio-gusto audit` tells whose it is, put it right, or restore a backup"
    )
