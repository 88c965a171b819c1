"""Old jobs that are selected: each is looked at once, and none is passed over."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.sqlite.moving import DECEMBER, Pruning, fill, opened
from trio_gusto.model.retention import Selection
from trio_gusto.model.states import Failed, JobState
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW

FAILED = Selection(states=frozenset({JobState.FAILED}))
ACME = Selection(tenants=frozenset({"acme"}))


async def ended(subject: Subject, *instants: int, tenant: str = "") -> None:
    requests = [subject.request(tenant=tenant) for _ in instants]
    await subject.insert(*requests, states=[Failed(instant, "") for instant in instants])


async def test_what_is_kept_is_looked_at_once(subject: Subject) -> None:
    await ended(subject, *range(NOW, NOW + 5))
    ask = Prune(NOW + 9, 3, ACME)
    replies: list[Pruned] = []
    while not replies or replies[-1].more:
        replies.append(await subject.expect(Pruned, ask))
        ask.mark = replies[-1].mark
    assert replies == [Pruned(0, more=True), Pruned(0)]


async def test_what_was_looked_at_is_not_looked_at_in_a_later_round(subject: Subject) -> None:
    await ended(subject, NOW)
    first = await subject.expect(Pruned, Prune(NOW + 1, 9, ACME))
    again = Prune(NOW + 2, 9, but=[ACME], mark=first.mark)
    assert await subject.expect(Pruned, again) == Pruned(0)


async def test_the_very_first_job_is_looked_at_when_it_has_become_old(subject: Subject) -> None:
    await ended(subject, NOW, tenant="acme")
    early = await subject.expect(Pruned, Prune(NOW, 9, ACME))
    assert early == Pruned(0), "it ended at that instant, and not before"
    late = Prune(NOW + 1, 9, ACME, mark=early.mark)
    assert await subject.expect(Pruned, late) == Pruned(1)


async def test_a_month_that_is_left_alone_keeps_no_other_where_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "jobs-2026-10.db"
    broken.write_bytes(b"no database at all" * 100)
    async with opened(tmp_path) as subject:
        await fill(subject)
        first = await subject.expect(Pruned, Prune(DECEMBER + 1000, 2, FAILED))
        assert (first.count, first.more) == (0, True), "these are of October"
        rest = await subject.expect(Pruned, Prune(DECEMBER + 1000, 99, FAILED))
        assert rest.count == 4
    assert caplog.messages == [f"{broken}: file is not a database; its jobs stay where they are"]


async def test_one_at_a_time_there_may_be_more_until_none_is_found(subject: Subject) -> None:
    await ended(subject, NOW, NOW + 1)
    replies = [await subject.expect(Pruned, Prune(NOW + 9, 1)) for _ in range(3)]
    assert replies == [Pruned(1, more=True), Pruned(1, more=True), Pruned(0)]
    assert await subject.expect(Pruned, Prune(NOW + 9, 0)) == Pruned(0), "nothing was asked for"


async def test_where_none_of_those_looked_at_is_moved_the_next_are_looked_at(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as subject:
        await fill(subject)
        ask = Prune(DECEMBER + 1000, 4, ACME)
        replies: list[Pruned] = []
        while not replies or replies[-1].more:
            replies.append(await subject.expect(Pruned, ask))
            ask.mark = replies[-1].mark
        assert replies == [Pruned(0, more=True), Pruned(0)]


async def test_behind_the_newest_job_which_stays_others_are_looked_at(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        await ended(subject, NOW + 2, NOW + 1)
        first = await subject.expect(Pruned, Prune(NOW + 9, 1, FAILED))
        assert first == Pruned(0, more=True), "it would be given the same sequence again"
        rest = await subject.expect(Pruned, Prune(NOW + 9, 1, FAILED, mark=first.mark))
        assert rest == Pruned(1, more=True)


BAD = ("created_at = 9000000000000000000", "created_at = -9000000000000000000", "handler = 99")


def spoil_the_first(path: Path, change: str) -> None:
    with closing(sqlite3.connect(path / "jobs.db")) as file, file:
        file.execute(f"UPDATE job SET {change} WHERE seq = 1")


@pytest.mark.parametrize("change", BAD)
async def test_a_job_that_can_be_moved_nowhere_keeps_no_other_where_it_is(
    tmp_path: Path, prune: Pruning, change: str
) -> None:
    async with opened(tmp_path) as subject:
        await fill(subject)
        spoil_the_first(tmp_path, change)
        counts = [(await prune(subject, limit=1)).count for _ in range(6)]
        assert counts == [1, 1, 1, 1, 1, 0], "all but that one"
        assert await subject.expect(Pruned, Prune(DECEMBER + 1000, 9, FAILED)) == Pruned(0)


@pytest.mark.parametrize("details", ["{{", "[1]", "7"])
async def test_a_job_whose_tags_cannot_be_read_has_none(tmp_path: Path, details: str) -> None:
    async with opened(tmp_path, archived=False) as subject:
        await fill(subject)
        spoil_the_first(tmp_path, f"details = '{details}'")
        tagged = Selection(tags=frozenset({"x"}))
        pruned = await subject.expect(Pruned, Prune(DECEMBER + 1000, 99, tagged))
        assert pruned.count == 5
