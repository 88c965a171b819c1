"""The law of event streams: every fact is told, or counted where it is missing; memory is bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trio_gusto import Fact, FactsMissed, ScheduleFired
from trio_gusto.model.ids import to_uuid, uuid7
from trio_gusto.queue.events import EventStream, Overflow

START = datetime(2026, 1, 1, tzinfo=UTC)
ID = to_uuid(uuid7(0, 0))


def fact(number: int) -> Fact:
    at = START + timedelta(seconds=number)
    return ScheduleFired(at=at, schedule_name=str(number), fire_time=at, job_id=ID)


def told(stream: EventStream, taken: int) -> list[str | int]:
    """What the reader gets of the next ``taken``: names of facts, and counts of missing ones."""
    found: list[str | int] = []
    for _ in range(taken):
        try:
            got = stream.receive.receive_nowait()
        except trio.WouldBlock:
            break
        assert isinstance(got, ScheduleFired | FactsMissed)
        found.append(got.count if isinstance(got, FactsMissed) else got.schedule_name)
    return found


@given(
    st.integers(1, 4),
    st.sampled_from(["drop_new", "drop_old"]),
    st.lists(st.none() | st.integers(1, 4), max_size=60),
)
def test_every_fact_is_told_or_counted_in_its_place(
    buffer: int, overflow: Overflow, steps: list[int | None]
) -> None:
    """``None`` is a fact that happens, a number so many that the reader takes."""
    assert_nothing_is_lost(EventStream(buffer, overflow), buffer, steps)


def assert_nothing_is_lost(stream: EventStream, buffer: int, steps: list[int | None]) -> None:
    happened = 0
    got: list[str | int] = []
    for step in steps:
        if step is None:
            stream.hear(fact(happened))
            happened += 1
        else:
            got += told(stream, step)
        assert stream.receive.statistics().current_buffer_used <= buffer + 1
    got += told(stream, buffer + 1)
    place = 0
    for one in got:
        if isinstance(one, int):
            assert one > 0
            place += one
        else:
            assert one == str(place)
            place += 1
    assert place == happened


class ForgetsTheMark(EventStream):
    """The fault: what does not fit is left out without a word."""

    def hear(self, fact: Fact) -> None:
        if self._send.statistics().current_buffer_used < self._buffer:
            super().hear(fact)


def test_a_stream_that_does_not_mark_its_gaps_is_caught() -> None:
    with pytest.raises(AssertionError):
        assert_nothing_is_lost(ForgetsTheMark(1, "drop_new"), 1, [None, None])
