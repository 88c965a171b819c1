"""Streams of facts: in order, bounded, and a gap is never silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trio
import trio.testing

from trio_gusto import ArgumentError, Fact, FactsMissed, ScheduleFired
from trio_gusto.actors.probe import Probe
from trio_gusto.model.ids import to_uuid, uuid7
from trio_gusto.queue.events import EventStream, heard

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


def test_new_facts_are_left_out_where_the_old_ones_are_kept() -> None:
    stream = EventStream(2, "drop_new")
    for number in range(5):
        stream.hear(fact(number))
    assert told(stream, 2) == ["0", "1"]
    stream.hear(fact(5))  # the mark waits still, and there is room behind it
    stream.hear(fact(6))
    assert told(stream, 9) == [3, "5", 1]


def test_old_facts_are_thrown_away_where_the_new_ones_are_kept() -> None:
    stream = EventStream(2, "drop_old")
    for number in range(6):
        stream.hear(fact(number))
    assert told(stream, 9) == [5, "5"]


def test_the_mark_has_the_instant_of_the_first_that_is_missing() -> None:
    for overflow, first in (("drop_new", 1), ("drop_old", 0)):
        stream = EventStream(1, overflow)  # type: ignore[arg-type]
        for number in range(3):
            stream.hear(fact(number))
        marks = []
        while stream.receive.statistics().current_buffer_used:
            marks.append(stream.receive.receive_nowait())
        (mark,) = [got for got in marks if isinstance(got, FactsMissed)]
        assert mark.at == START + timedelta(seconds=first)


async def test_a_reader_who_waits_gets_facts_at_once_and_the_end_with_the_block() -> None:
    probe = Probe()
    got: list[Fact] = []

    async def read(channel: trio.MemoryReceiveChannel[Fact]) -> None:
        got.extend([one async for one in channel])

    async with trio.open_nursery() as nursery:
        with heard(probe, 1, "drop_new") as stream:
            nursery.start_soon(read, stream.receive)
            for number in range(3):
                await trio.testing.wait_all_tasks_blocked()
                probe.announce(fact(number))
        assert not probe.listening
    assert got == [fact(0), fact(1), fact(2)]


def test_a_reader_who_has_left_costs_nothing_more() -> None:
    probe = Probe()
    with heard(probe, 1, "drop_new") as stream:
        stream.receive.close()
        probe.announce(fact(0))
        assert not probe.listening
    assert not probe.listening


@pytest.mark.parametrize("buffer", [0, -1, 1_000_001, True, 1.5])
def test_a_buffer_is_a_whole_number_within_bounds(buffer: int) -> None:
    with (
        pytest.raises(ArgumentError, match="give 1 to 1000000"),
        heard(Probe(), buffer, "drop_new"),
    ):
        pass


def test_an_unknown_policy_is_refused() -> None:
    with (
        pytest.raises(ArgumentError, match='give overflow="drop_new" or "drop_old"'),
        heard(Probe(), 1, "block"),  # type: ignore[arg-type]
    ):
        pass
