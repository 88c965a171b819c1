"""The law of the archive: nobody who asks sees that a job was moved; and it can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from property_tests.aiming import check_who_errs_is_caught
from property_tests.archive_agreement import ArchiveAgreement
from trio_gusto.storage.sqlite import archive, archived
from trio_gusto.storage.sqlite.months import Months, bounds_of

TestArchive = ArchiveAgreement.TestCase
TestArchive.settings = settings(
    max_examples=settings().max_examples // 4, stateful_step_count=20, deadline=None
)

# --- planted faults -------------------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def lists_what_is_moved_twice(patches: pytest.MonkeyPatch) -> None:
    def merge(found: list[Any], more: list[Any], limit: int) -> list[Any]:
        return sorted([*found, *more], key=lambda job: -job.sequence)[:limit]

    patches.setattr(archived, "_merge", merge)
    patches.setattr(archived, "_not_in", lambda connection, jobs: jobs)


def believes_the_month(patches: pytest.MonkeyPatch) -> None:
    def merge(found: list[Any], more: list[Any], limit: int) -> list[Any]:
        by_id = {job.request.id: job for job in (*found, *more)}
        return sorted(by_id.values(), key=lambda job: -job.sequence)[:limit]

    patches.setattr(archived, "_merge", merge)
    patches.setattr(archived, "_not_in", lambda connection, jobs: jobs)


def puts_what_is_moved_last(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(archived, "_merge", lambda found, more, limit: [*found, *more][:limit])


def trusts_too_narrow_bounds(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(archived, "_BOUNDS", "SELECT month, first_seq, 0 FROM archive")


def ends_months_early(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(archived, "bounds_of", lambda month: (bounds_of(month)[0], 0))


def copies_no(table: str) -> Plant:
    def plant(patches: pytest.MonkeyPatch) -> None:
        kept = [text for text in archive._COPY if f"INSERT INTO main.{table} " not in text]
        assert len(kept) == len(archive._COPY) - 1
        patches.setattr(archive, "_COPY", kept)

    plant.__name__ = f"copies_no_{table}"
    return plant


def brings_no_attempts_back(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(archive, "_READ_ATTEMPTS", f"{archive._READ_ATTEMPTS} AND FALSE")


def brings_nothing_back_that_was_said(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(archive, "bring_back_reports", lambda connection, told: None)


def looks_in_the_likeliest_month_only(patches: pytest.MonkeyPatch) -> None:
    by_likelihood = Months.by_likelihood
    patches.setattr(Months, "by_likelihood", lambda self, job_id: by_likelihood(self, job_id)[:1])


PLANTED: dict[Plant, str] = {
    lists_what_is_moved_twice: "enqueue run move_by_halves",
    believes_the_month: "come_back",
    puts_what_is_moved_last: "enqueue run move",
    trusts_too_narrow_bounds: "leave_one_behind",
    ends_months_early: "leave_one_behind",
    copies_no("attempt"): "come_back",
    copies_no("progress"): "come_back",
    copies_no("job_log"): "come_back",
    brings_no_attempts_back: "come_back",
    brings_nothing_back_that_was_said: "come_back",
    looks_in_the_likeliest_month_only: "come_back",
}
"""Who errs, and the rules that lead to it."""


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_the_law_catches_who(planted: Plant) -> None:
    check_who_errs_is_caught(ArchiveAgreement, PLANTED[planted], planted)
