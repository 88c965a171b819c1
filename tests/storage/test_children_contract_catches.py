"""The conformance suite catches storages that break what they promise about children and callbacks."""

from __future__ import annotations

import pytest

from tests.storage.broken_children import PROMISES
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing.storage_contract import STORAGE_CHECKS, check_reopening, run_check
from trio_gusto.testing.storage_contract.callbacks import CALLBACK_CHECKS
from trio_gusto.testing.storage_contract.children import CHILDREN_CHECKS
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


def test_every_promise_is_broken_by_somebody() -> None:
    broken = {promise for _, promise in PROMISES}
    assert broken == set(map(sentence, (*CHILDREN_CHECKS, *CALLBACK_CHECKS)))


async def test_forgetting_who_waits_for_a_callback_between_openings_is_caught() -> None:
    def reopened(detached: Storage) -> Storage:
        assert isinstance(detached, MemoryStorage)
        detached._awaited.by.clear()
        return detached

    with pytest.raises(AssertionError, match="whose wait for a callback may be over after"):
        await check_reopening(MemoryStorage, reopened)
