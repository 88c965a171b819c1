"""The conformance suite catches storages that break what they promise about rates and ageing."""

from __future__ import annotations

import pytest

from tests.storage.broken_rates import PROMISES
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.testing.storage_contract import STORAGE_CHECKS, run_check
from trio_gusto.testing.storage_contract.rating import RATING_CHECKS
from trio_gusto.testing.storage_contract.runner import sentence

CHECKS = {sentence(check): check for check in STORAGE_CHECKS}


@pytest.mark.parametrize(
    ("broken", "promise"), PROMISES, ids=lambda value: getattr(value, "__name__", "")
)
async def test_the_check_of_a_broken_promise_fails(
    broken: type[MemoryStorage], promise: str
) -> None:
    with pytest.raises(AssertionError, match=f"^{promise}: "):
        await run_check(CHECKS[promise], broken)


def test_each_promise_about_rates_is_broken_by_somebody() -> None:
    assert {promise for _, promise in PROMISES} == {sentence(check) for check in RATING_CHECKS}
