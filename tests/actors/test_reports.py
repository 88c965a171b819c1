"""What running jobs say, from whichever thread and whenever they say it."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.doubles import NOW, ScriptedDesk, StillClock
from tests.actors.test_roster import lease
from trio_gusto import MemoryStorage, Options, StorageError
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.lease import Lease
from trio_gusto.actors.reporter import Reporter
from trio_gusto.actors.reports import MOST_MESSAGE_BYTES, Reports
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.job import Progress
from trio_gusto.model.joblog import LogLine
from trio_gusto.storage.report_messages import Report, Reported, Saying
from trio_gusto.testing import VirtualClock


def test_a_thread_that_outlives_the_loop_may_say_what_it_likes() -> None:
    """Where a crash of the loop has left its attempt open."""
    reports = Reports(StorageDesk(MemoryStorage()), VirtualClock(), Options())

    async def main() -> None:
        reports.open()

    trio.run(main)
    held = lease(1)
    thread = threading.Thread(target=reports.progress, args=(held, 50, "half"))
    thread.start()
    thread.join()
    assert list(reports.pending) == [held], "nobody will write it, and nobody is harmed"


class Ears:
    """Reports that are heard of, in the loop's thread, and the letters that they become."""

    def __init__(self, **options: Any) -> None:
        desk: Any = ScriptedDesk(lambda _message: None)
        desk.storage = MemoryStorage()
        self.letters: list[Any] = desk.told
        self.reports = Reports(desk, StillClock(), Options(**options))
        self.firsts: list[int] = []
        self.reports.on_first = lambda: self.firsts.append(len(self.letters))

    @property
    def rung(self) -> bool:
        rung = self.reports.news._rung
        self.reports.news._rung = False
        return rung


async def ears(**options: Any) -> Ears:
    its = Ears(**options)
    its.reports.open()
    return its


def saying(held: Lease, progress: Progress | None = None, *lines: str, **more: Any) -> Saying:
    said = tuple(LogLine(NOW, "info", line) for line in lines)
    return Saying(held.claimed.request.id, held.claimed.token, progress, said, **more)


async def test_the_last_progress_and_all_lines_are_written() -> None:
    its, one, other = await ears(max_log_bytes=2048), lease(1, token=5), lease(2)
    its.reports.progress(one, 10, "begun")
    its.reports.log(one, "info", "a")
    its.reports.progress(other, 1, "begun")
    its.reports.log(one, "info", "b")
    its.reports.progress(one, 50, "half")
    its.reports.flush()
    (letter,) = its.letters
    assert (letter.size, letter.insist) == (0, True)
    assert letter.seal() == Report(
        [saying(one, Progress(50, "half"), "a", "b"), saying(other, Progress(1, "begun"))],
        1000,
        2048,
    )
    assert letter.seal() is letter.seal()
    assert its.reports.pending == {}
    its.reports.flush()
    its.reports.go_before()
    assert len(its.letters) == 1, "there is nothing more to say"


async def test_before_an_outcome_only_what_ended_attempts_have_said_is_written() -> None:
    its, ended, running = await ears(), lease(1), lease(2)
    for held in (ended, running):
        its.reports.progress(held, 50, "half")
    ended.over = True
    its.reports.go_before()
    its.reports.go_before()
    (letter,) = its.letters
    assert letter.seal().sayings == [saying(ended, Progress(50, "half"))]
    assert list(its.reports.pending) == [running]
    its.reports.go_before()
    assert its.letters[1].seal().sayings == [], "it is full only if somebody wants that"


async def test_a_letter_that_waits_takes_everything_when_it_is_time() -> None:
    its, held = await ears(), lease(1)
    its.reports.progress(held, 50, "half")
    its.reports.go_before()
    its.reports.flush()
    (letter,) = its.letters
    assert letter.seal().sayings == [saying(held, Progress(50, "half"))]


async def test_the_first_words_of_an_attempt_are_heard_of_and_much_is_written_at_once() -> None:
    its, held, other = await ears(progress_flush_batch_size=4), lease(1), lease(2)
    its.reports.progress(held, 1, "")
    assert (its.rung, its.firsts) == (True, [0])
    its.reports.progress(held, 2, "")
    assert (its.rung, its.firsts) == (False, [0])
    its.reports.log(other, "info", "a")
    assert (its.rung, its.firsts, its.letters) == (True, [0, 0], [])
    its.reports.log(other, "info", "b")
    assert (len(its.letters), its.letters[0].is_full) == (1, True)
    its.reports.log(other, "info", "c")
    assert its.firsts == [0, 0, 0], "a letter is there to go before"
    its.letters[0].seal()
    its.reports.progress(held, 3, "")
    assert (len(its.letters), its.firsts) == (1, [0, 0, 0, 1]), "it begins to count anew"


async def test_what_ended_attempts_say_is_left_out() -> None:
    its, held = await ears(), lease(1)
    held.over = True
    its.reports.progress(held, 50, "half")
    its.reports.log(held, "info", "a")
    assert (its.reports.pending, its.rung) == ({}, False)


async def test_lines_are_counted_over_all_reports_of_an_attempt() -> None:
    its, held = await ears(max_log_entries=2), lease(1)
    for line in "abc":
        its.reports.log(held, "info", line)
    its.reports.flush()
    assert its.letters[0].seal() == Report(
        [saying(held, None, "b", "c", dropped=1)], 2, Options().max_log_bytes
    )
    its.reports.progress(held, 5, "")
    its.reports.flush()
    assert its.letters[1].seal().sayings == [saying(held, Progress(5, ""), told=3)]
    its.reports.log(held, "info", "d")
    its.reports.flush()
    assert its.letters[2].seal().sayings == [saying(held, None, "d", told=3)]
    its.reports.log(held, "info", "e")
    its.reports.flush()
    assert its.letters[3].seal().sayings == [saying(held, None, "e", told=4)]
    held.over = True
    its.reports.take(everything=True)
    assert its.reports._told == {}, "nobody will ask any more"


async def test_without_a_log_only_progress_is_kept() -> None:
    its, held = await ears(max_log_entries=0), lease(1)
    its.reports.log(held, "info", "a")
    assert its.reports.pending == {}
    its.reports.progress(held, 5, "")
    its.reports.flush()
    assert its.letters[0].seal().most_lines == 1


async def test_what_is_said_is_cut_to_what_may_be_stored() -> None:
    its, held = await ears(max_log_bytes=1024), lease(1)
    its.reports.progress(held, 5, "p" * (MOST_MESSAGE_BYTES + 1))
    its.reports.log(held, "v" * 51, "m" * 1025)
    words = its.reports.pending[held]
    assert words.progress == Progress(5, "p" * (MOST_MESSAGE_BYTES - 3) + "…")
    assert words.tail.lines[0] == LogLine(NOW, "v" * 47 + "…", "m" * 1021 + "…")
    its.reports.progress(held, 5, "p" * MOST_MESSAGE_BYTES)
    its.reports.log(held, "v" * 50, "m" * 1024)
    assert words.progress == Progress(5, "p" * MOST_MESSAGE_BYTES)
    assert words.tail.lines[-1] == LogLine(NOW, "v" * 50, "m" * 1024)


async def test_what_was_found_of_an_attempt_that_does_not_end_is_written_at_once() -> None:
    its, held = await ears(), lease(1)
    its.reports.progress(held, 5, "")
    its.reports.file(held, "it stands here")
    assert its.letters[0].seal().sayings == [
        saying(held, Progress(5, ""), dossier="it stands here")
    ]


async def test_a_thread_is_heard_of_in_the_loop() -> None:
    its, held = await ears(progress_flush_batch_size=100), lease(1)
    heard_in: list[int] = []
    its.reports.on_first = lambda: heard_in.append(threading.get_ident())

    def speak() -> None:
        for percent in range(3):
            its.reports.progress(held, percent, "")

    await trio.to_thread.run_sync(speak)
    await wait_all_tasks_blocked()
    assert (heard_in, its.rung) == ([threading.get_ident()], True)
    assert its.reports.pending[held].progress == Progress(2, "")


class Token:
    """Takes what threads want done in the loop."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, bool]] = []

    def run_sync_soon(self, ask: object, *, idempotent: bool = False) -> None:
        self.asked.append((ask, idempotent))


def test_first_words_from_a_thread_are_heard_in_their_place_and_others_once() -> None:
    its, token = Ears(progress_flush_batch_size=3), Token()
    its.reports._token = token  # type: ignore[assignment]
    for held in (lease(1), lease(2)):
        its.reports.progress(held, 1, "")
        its.reports.progress(held, 2, "")
    hear = its.reports._hear
    assert token.asked == [(hear, False), (hear, False), (hear, True)]


async def test_where_nobody_carries_outcomes_nobody_is_told_of_first_words() -> None:
    its = await ears()
    alone = Reports(its.reports._desk, StillClock(), Options())
    alone.open()
    held = lease(1)
    alone.progress(held, 1, "")
    assert list(alone.pending) == [held]


@pytest.mark.parametrize("keeps", [True, False])
def test_whether_reports_are_kept_is_for_the_storage_to_say(keeps: bool) -> None:
    storage = MemoryStorage()
    storage.keeps_reports = keeps
    assert Reports(StorageDesk(storage), StillClock(), Options()).is_kept is keeps


async def test_whether_reports_were_kept_is_told_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="trio_gusto")
    its, held = await ears(), lease(1)
    its.reports.progress(held, 5, "")
    its.reports.flush()
    its.letters[0].deliver(StorageError("no disk"))
    its.letters[0].deliver(Reported([held.claimed.request.id]))
    its.letters[0].deliver(Reported())
    assert caplog.record_tuples == [
        ("trio_gusto", logging.ERROR, "what running jobs reported was refused: no disk"),
        (
            "trio_gusto",
            logging.DEBUG,
            f"a report of job {to_uuid(held.claimed.request.id)} came too late",
        ),
    ]


async def test_the_reporter_lets_words_gather_for_its_interval(autojump_clock: MockClock) -> None:
    its, held = Ears(), lease(1)
    async with trio.open_nursery() as nursery:
        await nursery.start(Reporter(its.reports, 2).run)
        await trio.sleep(10)
        its.reports.progress(held, 5, "")
        await trio.sleep(1.9)
        assert its.letters == []
        await trio.sleep(0.2)
        assert its.letters[0].is_full
        its.letters[0].seal()
        its.reports.news.ring()
        await trio.sleep(10)
        assert len(its.letters) == 1, "it went with the outcome"
        nursery.cancel_scope.cancel()
