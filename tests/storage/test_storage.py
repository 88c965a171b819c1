"""What a `Storage` can do that says nothing of it, and what one takes after another."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto.model.ids import JobId
from trio_gusto.model.job import ClaimedJob, JobRequest
from trio_gusto.model.states import Completed
from trio_gusto.storage.beside import Beside, Transient
from trio_gusto.storage.lease_messages import Renew
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Committed, Complete, Completions, Conflict
from trio_gusto.storage.retention_messages import Prune
from trio_gusto.storage.storage import Storage


class Plain(MemoryStorage):
    """A storage that overrides nothing that need not be."""

    submit = Storage.submit
    prune_apart = Storage.prune_apart
    renew_blocking = Storage.renew_blocking
    wait_changed = Storage.wait_changed


async def test_a_storage_that_says_nothing_of_it_does_nothing_apart() -> None:
    storage = Plain()
    assert storage.submit([Prune(0, 1)], lambda _: None) is False
    assert await storage.prune_apart(Prune(0, 1)) is None
    assert storage.renew_blocking(Renew("node", 0, 1, [])) is None


async def test_a_storage_that_says_nothing_of_it_has_no_news() -> None:
    storage = Plain()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(storage.wait_changed, "node")
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "promise",
    [
        "decides_retries",
        "keeps_reports",
        "keeps_children",
        "keeps_rates",
        "remembers_presence",
    ],
)
@pytest.mark.parametrize("kept", [True, False])
def test_a_storage_beside_another_promises_the_same(promise: str, kept: bool) -> None:
    main = MemoryStorage()
    setattr(main, promise, kept)
    assert getattr(Beside(main, Transient()), promise) is kept


ONE, TWO = JobId(bytes(16)), JobId(bytes([1] * 16))


@pytest.mark.parametrize("count", [0, 2])
def test_successes_and_states_that_do_not_go_together_are_a_mistake(count: int) -> None:
    claimed = ClaimedJob(JobRequest(ONE, "f", "[]", 0, 1), 1, 1, 0, "node", 0)
    state = Completed(0, 0, 0, "node")
    assert len(Complete([claimed], [state]).commits()) == 1
    with pytest.raises(ValueError, match="zip"):
        Complete([claimed], [state] * count).commits()


def test_replies_to_successes_are_told_together() -> None:
    told = Completions.of([Committed((ONE, TWO)), Conflict(), Committed(), Committed((TWO,))])
    assert told == Completions({1: Conflict()}, (ONE, TWO))
