"""What is kept of the counts of pieces, and what is kept of those that have nothing."""

from __future__ import annotations

from pathlib import Path

from tests.storage.sqlite.moving import opened, rows
from tests.storage.sqlite.test_heads import writing
from trio_gusto.storage.sqlite.pieces import SIZE, SLOT, Piece, keep, touch


async def test_a_piece_that_has_nothing_any_more_is_not_kept_and_others_are(tmp_path: Path) -> None:
    async with opened(tmp_path, archived=False):
        pass
    ready, failed = (2, "default", ""), (5, "default", "")
    with writing(tmp_path) as connection:
        keep(connection, [Piece(1, 7, 4000, 0, {ready: 3}), Piece(2, 7, 6000, 0, {ready: 5})])
        keep(connection, [Piece(1, 8, 4000, 0, {}), Piece(2, 8, 6000, 0, {ready: 4, failed: 1})])
    kept = rows(tmp_path / "jobs.db", "SELECT number, mark FROM piece")
    assert kept == [(2, 8)]
    summed = rows(tmp_path / "jobs.db", "SELECT state, count FROM piece_sum ORDER BY state")
    assert summed == [(2, 4), (5, 1)]


async def test_the_marks_of_those_pieces_are_raised_that_have_the_jobs(tmp_path: Path) -> None:
    async with opened(tmp_path, archived=False):
        pass
    with writing(tmp_path) as connection:
        touch(connection, [5, 6, 3 * SIZE, 4 * SIZE - 1])
        touch(connection, [3 * SIZE + 7, (SLOT + 1) * SIZE])
    marks = rows(tmp_path / "jobs.db", "SELECT slot, changes FROM piece_mark ORDER BY slot")
    assert marks == [(0, 2), (3, 2)]
