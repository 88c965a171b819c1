"""Which lines of a job's log are kept."""

from __future__ import annotations

import pytest

from trio_gusto.model.instants import to_datetime
from trio_gusto.model.joblog import JobLog, LogEntry, LogLine, LogTail, is_told_again, storable


def line(message: str, at: int = 0) -> LogLine:
    return LogLine(at, "info", message)


def kept(tail: LogTail) -> list[str]:
    return [each.message for each in tail.lines]


def told(tail: LogTail, *messages: str, teller: int = 1, after: int = 0, missing: int = 0) -> None:
    tail.extend(teller, after, [line(message) for message in messages], missing, 3, 10)


def test_users_see_entries_with_datetimes() -> None:
    log = JobLog.of([line("a", 5), LogLine(7, "error", "b")], 2)
    assert tuple(log) == (
        LogEntry(to_datetime(5), "info", "a"),
        LogEntry(to_datetime(7), "error", "b"),
    )
    assert log.dropped == 2
    assert (JobLog(), JobLog().dropped) == ((), 0)


def test_the_newest_lines_are_kept_by_number_and_by_size() -> None:
    tail = LogTail()
    assert (tail.size, tail.dropped, tail.teller, tail.told) == (0, 0, 0, 0)
    told(tail, "a", "b", "c")
    assert (kept(tail), tail.dropped, tail.size) == (["a", "b", "c"], 0, 3)
    told(tail, "d", after=3)
    assert (kept(tail), tail.dropped) == (["b", "c", "d"], 1)
    told(tail, "12345678", after=4)
    assert (kept(tail), tail.dropped, tail.size) == (["c", "d", "12345678"], 2, 10), "just enough"
    told(tail, "12345678901", after=5)
    assert (kept(tail), tail.dropped, tail.size) == (["12345678901"], 5, 11), "the newest stays"


def test_a_size_is_in_bytes() -> None:
    assert line("äö").size == 4


def test_what_an_attempt_tells_twice_is_taken_in_once() -> None:
    tail = LogTail()
    told(tail, "a", "b")
    assert (tail.teller, tail.told) == (1, 2)
    told(tail, "a", "b")
    assert kept(tail) == ["a", "b"]
    told(tail, "c", teller=2)
    assert (kept(tail), tail.teller, tail.told) == (["a", "b", "c"], 2, 1)


@pytest.mark.parametrize(
    ("teller", "after", "again"), [(1, 1, True), (1, 2, False), (1, 3, False), (2, 1, False)]
)
def test_lines_are_told_again_by_the_same_attempt_from_a_place_before(
    teller: int, after: int, again: bool
) -> None:
    assert is_told_again(1, 2, teller, after) is again


def test_behind_a_gap_nothing_older_is_kept() -> None:
    tail = LogTail()
    told(tail, "a", "b")
    told(tail, "c", after=2, missing=4)
    assert (kept(tail), tail.dropped, tail.size, tail.told) == (["c"], 6, 1, 7)


@pytest.mark.parametrize(
    ("text", "most", "stored"),
    [
        ("abc", 3, "abc"),
        ("abcdef", 5, "ab…"),
        ("aäöü", 6, "aä…"),
        ("aäöü", 5, "a…"),
        ("abc", 1, "…"),
        ("half \ud83d", 99, "half \\ud83d"),
    ],
)
def test_a_message_is_cut_where_a_letter_ends(text: str, most: int, stored: str) -> None:
    assert storable(text, most) == stored
