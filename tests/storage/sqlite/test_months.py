"""An id says in which month its job was made, and that month of the archive is asked first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.instants import to_instant
from trio_gusto.storage.sqlite.months import Months


def months(path: Path, *there: str) -> Months:
    for month in there:
        (path / f"jobs-{month}.db").touch()
    return Months(str(path / "jobs.db"), 0)


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (datetime(2026, 10, 20, tzinfo=UTC), ["2026-10", "2026-11", "2026-09"]),
        (datetime(2026, 9, 1, tzinfo=UTC), ["2026-09", "2026-11", "2026-10"]),
        (datetime(2025, 1, 1, tzinfo=UTC), ["2026-11", "2026-10", "2026-09"]),
    ],
    ids=["in one between", "in the first", "in one that is not there"],
)
def test_the_month_in_which_an_id_was_made_is_the_likeliest(
    tmp_path: Path, made: datetime, wanted: Sequence[str]
) -> None:
    there = months(tmp_path, "2026-09", "2026-10", "2026-11")
    assert there.by_likelihood(uuid7(to_instant(made) * 1000, 1)) == wanted


def test_an_id_of_another_version_says_nothing_of_when_it_was_made(tmp_path: Path) -> None:
    there = months(tmp_path, "2026-09", "2026-10")
    made = uuid7(to_instant(datetime(2026, 9, 20, tzinfo=UTC)) * 1000, 1)
    drawn = JobId(made[:6] + b"\x47" + made[7:])
    assert there.by_likelihood(drawn) == ["2026-10", "2026-09"]


def test_an_id_that_says_it_was_made_after_all_years_is_looked_for_like_others(
    tmp_path: Path,
) -> None:
    there = months(tmp_path, "2026-10", "2026-11")
    assert there.by_likelihood(JobId(b"\xff" * 6 + b"\x70" + bytes(9))) == ["2026-11", "2026-10"]
