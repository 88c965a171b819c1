"""Laws of rate limits and of ageing, and that they can fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis.stateful import run_state_machine_as_test

from property_tests.rate_agreement import AgeingAgreement, RateAgreement
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage


class SqliteRates(RateAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, synchronous="NORMAL")


class SqliteAgeing(AgeingAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, synchronous="NORMAL")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", [SqliteRates, SqliteAgeing])
def test_two_storages_agree_about_rates(machine: type[RateAgreement]) -> None:
    run_state_machine_as_test(machine)  # type: ignore[no-untyped-call]
