"""Laws of dossiers: storages keep the same ones, whatever they are told besides."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from property_tests.aiming import check_is_caught, check_is_passed, planted
from property_tests.broken.dossiers import PROMISES
from property_tests.broken.reports import WritesReportsBehindTheGroup
from property_tests.dossier_agreement import DossierAgreement
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage


class SqliteAgreesOnDossiers(DossierAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
def test_sqlite_agrees_with_memory_on_dossiers() -> None:
    run_state_machine_as_test(SqliteAgreesOnDossiers, settings=settings(stateful_step_count=40))


FILING = "enqueue claim file file_and_run_again"
RULES = {
    "KeepsDossiersOfDeletedJobs": "enqueue claim file end_an_attempt delete_and_look",
    "FilesUnderAnyLease": "enqueue claim file end_an_attempt",
}


@pytest.mark.parametrize("rules", [FILING, *RULES.values()])
def test_the_machine_says_nothing_of_a_sound_storage(rules: str) -> None:
    check_is_passed(DossierAgreement, rules)


@pytest.mark.parametrize(
    "broken",
    [broken for broken, _ in PROMISES if broken is not WritesReportsBehindTheGroup],
    ids=lambda broken: broken.__name__,
)
def test_the_machine_catches(broken: type[MemoryStorage]) -> None:
    rules = RULES.get(broken.__name__, FILING)
    check_is_caught(planted(broken, DossierAgreement, rules))
