"""Jobs that wait for others: when they run, when they never do, and what they see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import attrs
import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    ArgumentError,
    Condition,
    Gusto,
    JobCancelled,
    JobFilter,
    JobQueue,
    JobState,
    MemoryStorage,
    NotSupported,
    Options,
    OptionsError,
    Parent,
    UnknownJob,
    current_job,
)
from trio_gusto.model.dependencies import PARENTS_COMPLETED, PARENTS_FAILED
from trio_gusto.provider import (
    JobSearchParams,
    JobStorageProvider,
    JobStorageRecord,
    ProviderStorage,
)
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

storages = pytest.mark.parametrize("kind", ["memory", "sqlite"])


class Shop:
    """An app whose jobs say what they did, in order."""

    def __init__(self, storage: Storage | None = None) -> None:
        self.app = Gusto(storage, clock=VirtualClock(), options=Options(concurrency=4))
        self.did: list[str] = []
        self.seen: tuple[Parent, ...] = ()
        self.may_fail = trio.Event()
        self.ok = self.app.job(name="ok")(self._ok)
        self.fail = self.app.job(name="fail", max_attempts=1)(self._fail)
        self.fail_later = self.app.job(name="fail_later", max_attempts=1)(self._fail_later)
        self.look = self.app.job(name="look")(self._look)

    async def _ok(self, word: str) -> str:
        self.did.append(word)
        return word

    async def _fail(self, word: str) -> str:
        self.did.append(word)
        raise ValueError(word)

    async def _fail_later(self) -> None:
        await self.may_fail.wait()
        raise ValueError("later")

    async def _look(self) -> None:
        self.seen = current_job().parents


def make(kind: str, path: Path) -> Shop:
    storage = MemoryStorage() if kind == "memory" else SqliteStorage(path / "jobs.db", inline=True)
    return Shop(storage)


@storages
async def test_a_continuation_runs_after_its_parent_and_sees_what_it_returned(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    shop = make(kind, tmp_path)
    async with shop.app.running() as queue:
        first = await queue.enqueue(shop.ok, "bake", execute_after=5)
        second = await queue.continue_with(first, shop.look)
        job = await second.job()
        assert (job.state, job.parent_ids) == (JobState.WAITING, (first.id,))
        job = await second.wait(60)
        assert (job.state, job.parent_ids) == (JobState.COMPLETED, (first.id,))
    wanted = Parent(id=first.id, state=JobState.COMPLETED, result="bake", error=None)
    assert shop.seen == (wanted,)


@storages
async def test_many_parents_are_gathered_in_the_order_they_were_given(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    shop = make(kind, tmp_path)
    async with shop.app.running() as queue:
        parents = [await queue.enqueue(shop.ok, word, priority=n) for n, word in enumerate("abc")]
        failing = await queue.enqueue(shop.fail, "x")
        gather = await queue.continue_with([*parents, failing.id], shop.look, on="finish")
        await gather.result(60)
    assert [parent.result for parent in shop.seen] == ["a", "b", "c", None]
    error = shop.seen[3].error
    assert error is not None
    assert (shop.seen[3].state, error.type) == (JobState.FAILED, "ValueError")


async def test_a_job_that_is_no_continuation_has_no_parents(autojump_clock: MockClock) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        await (await queue.enqueue(shop.look)).result(60)
        assert (await (await queue.enqueue(shop.look)).job()).parent_ids == ()
    assert shop.seen == ()


@storages
@pytest.mark.parametrize(
    ("on", "fails", "state", "reason"),
    [
        (Condition.SUCCESS, False, JobState.COMPLETED, ""),
        (Condition.SUCCESS, True, JobState.CANCELLED, PARENTS_FAILED),
        (Condition.FAILURE, False, JobState.CANCELLED, PARENTS_COMPLETED),
        (Condition.FAILURE, True, JobState.COMPLETED, ""),
        (Condition.FINISH, False, JobState.COMPLETED, ""),
        (Condition.FINISH, True, JobState.COMPLETED, ""),
    ],
)
@pytest.mark.parametrize("is_late", [False, True])
async def test_a_condition_decides_whether_it_runs(
    autojump_clock: MockClock,
    tmp_path: Path,
    kind: str,
    on: Condition,
    fails: bool,
    state: JobState,
    reason: str,
    is_late: bool,
) -> None:
    """Registered before or after the parents ended: the same."""
    shop = make(kind, tmp_path)
    async with shop.app.running() as queue:
        parents = [
            await queue.enqueue(shop.ok, "fine"),
            await queue.enqueue(shop.fail if fails else shop.ok, "other", execute_after=1),
        ]
        if is_late:
            await parents[1].wait(60)
        last = await queue.continue_with(parents, shop.look, on=on)
        job = await last.wait(60)
    assert (job.state, job.reason) == (state, reason)


async def test_success_is_given_up_with_the_first_parent_that_fails(
    autojump_clock: MockClock,
) -> None:
    """The others may take as long as they like."""
    shop = Shop()
    async with shop.app.running() as queue:
        parents = [
            await queue.enqueue(shop.fail, "now"),
            await queue.enqueue(shop.ok, "much later", execute_after=timedelta(days=1)),
        ]
        last = await queue.continue_with(parents, shop.ok, "never")
        other = await queue.continue_with(parents, shop.ok, "at last", on="failure")
        with pytest.raises(JobCancelled, match=PARENTS_FAILED):
            await last.result(60)
        assert await other.status() is JobState.WAITING


@storages
async def test_who_waits_for_what_is_given_up_is_given_up_too(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    shop = make(kind, tmp_path)
    async with shop.app.running() as queue:
        first = await queue.enqueue(shop.fail, "x", execute_after=1)
        chain = [await queue.continue_with(first, shop.ok, "1")]
        for number in range(2, 6):
            chain.append(await queue.continue_with(chain[-1], shop.ok, str(number)))
        rescue = await queue.continue_with(chain[-1], shop.ok, "rescue", on="failure")
        assert await rescue.result(60) == "rescue"
        assert {await ref.status() for ref in chain} == {JobState.CANCELLED}
    assert shop.did == ["x", "rescue"]


async def test_cancelling_a_parent_counts_as_not_completed(autojump_clock: MockClock) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        parent = await queue.enqueue(shop.ok, "never", execute_after=60)
        plan = await queue.continue_with(parent, shop.ok, "plan a")
        other = await queue.continue_with(parent, shop.ok, "plan b", on="failure")
        await parent.cancel()
        assert await other.result(1) == "plan b"
        assert await plan.status() is JobState.CANCELLED


async def test_a_parent_that_expires_counts_as_not_completed(autojump_clock: MockClock) -> None:
    shop = Shop()
    app = Gusto(clock=VirtualClock(), options=Options(queues=["other"]))
    ok = app.job(shop._ok)
    async with app.running() as queue:
        parent = await queue.enqueue(ok, "never", expire_on=5)
        other = await queue.continue_with(parent, ok, "plan b", on="failure", queue="other")
        assert await other.result(60) == "plan b"


@storages
async def test_a_continuation_can_be_cancelled_and_expires_like_any_job(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    shop = make(kind, tmp_path)
    async with shop.app.running() as queue:
        parent = await queue.enqueue(shop.ok, "late", execute_after=60)
        cancelled = await queue.continue_with(parent, shop.ok, "c")
        expiring = await queue.continue_with(parent, shop.ok, "e", expire_on=5)
        follows = await queue.continue_with(expiring, shop.ok, "f", on="failure")
        assert await cancelled.cancel("not wanted")
        assert (await expiring.wait(60)).state is JobState.EXPIRED
        assert await follows.result(60) == "f"
        await parent.wait(120)
        assert (await cancelled.job()).reason == "not wanted"
    assert shop.did == ["f", "late"]


async def test_execute_after_still_holds_after_the_release(autojump_clock: MockClock) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        began = trio.current_time()
        parent = await queue.enqueue(shop.ok, "first")
        later = await queue.continue_with(parent, shop.ok, "later", execute_after=30)
        await parent.wait(5)
        await trio.sleep(1)
        assert await later.status() is JobState.SCHEDULED
        await later.wait(60)
        assert trio.current_time() - began == pytest.approx(30, abs=0.01)


async def test_a_parent_retried_by_hand_changes_nothing_for_who_was_judged(
    autojump_clock: MockClock,
) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        parent = await queue.enqueue(shop.fail, "x")
        last = await queue.continue_with(parent, shop.ok, "last")
        again = await queue.continue_with(parent, shop.ok, "again", on="failure")
        await again.result(60)
        assert await queue.retry(parent)
        await trio.sleep(5)
        assert (await last.wait(60)).state is JobState.CANCELLED
    assert shop.did == ["x", "again", "x"]


async def test_a_cancelled_continuation_retried_by_hand_runs_whatever_its_parents_did(
    autojump_clock: MockClock,
) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        parent = await queue.enqueue(shop.fail, "x")
        last = await queue.continue_with(parent, shop.ok, "all the same")
        await last.wait(60)
        assert await queue.retry(last)
        assert await last.result(60) == "all the same"


async def test_run_until_idle_runs_what_waits_for_what_it_runs(autojump_clock: MockClock) -> None:
    shop = Shop()
    async with shop.app.connected() as queue:
        ref = await queue.enqueue(shop.ok, "0")
        for number in range(1, 6):
            ref = await queue.continue_with(ref, shop.ok, str(number))
    await shop.app.run_until_idle()
    assert shop.did == list("012345")


async def test_a_producer_gives_up_what_waits_for_a_job_it_cancels(
    autojump_clock: MockClock,
) -> None:
    """Nobody else need be running for that."""
    shop = Shop()
    async with shop.app.connected() as queue:
        parent = await queue.enqueue(shop.ok, "x")
        child = await queue.continue_with(parent, shop.ok, "y")
        await parent.cancel()
        assert (await child.wait(1)).state is JobState.CANCELLED


async def test_continuations_are_found_by_their_parent(autojump_clock: MockClock) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        first, second = [await queue.enqueue(shop.ok, word) for word in "ab"]
        both = await queue.continue_with([first, second], shop.ok, "c")
        one = await queue.continue_with(first, shop.ok, "d")
        await both.wait(60)
        found = await queue.find(JobFilter(parent_id=first.id))
        assert [job.id for job in found.items] == [one.id, both.id]
        found = await queue.find(JobFilter(parent_id=second.id))
        assert [job.id for job in found.items] == [both.id]


@storages
async def test_a_parent_that_nobody_knows_is_refused_and_nothing_is_stored(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    shop = make(kind, tmp_path)
    async with shop.app.connected() as queue:
        known, unknown = await queue.enqueue(shop.ok, "x"), uuid4()
        with pytest.raises(UnknownJob) as caught:
            await queue.continue_with([known, unknown], shop.ok, "y")
        assert caught.value.job_id == unknown
        assert sum((await queue.stats()).by_state.values()) == 1


async def refuse(act: Callable[[], Awaitable[object]], kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        await act()


async def test_what_names_no_job_is_refused(autojump_clock: MockClock) -> None:
    shop = Shop()

    async with shop.app.connected() as queue:

        async def follow(parents: object, on: object = "success") -> object:
            return await queue.continue_with(parents, shop.ok, "x", on=on)  # type: ignore[call-overload]

        await refuse(lambda: follow([]), ArgumentError, "name at least one parent")
        await refuse(lambda: follow("abc"), ArgumentError, "'abc' names no job")
        await refuse(lambda: follow([3]), ArgumentError, "3 names no job")
        known = await queue.enqueue(shop.ok, "x")
        await refuse(lambda: follow(known, "any"), OptionsError, 'use "success"')


async def test_retention_keeps_a_parent_that_somebody_waits_for(
    autojump_clock: MockClock,
) -> None:
    options = Options(retention=timedelta(seconds=600))
    app = Gusto(clock=VirtualClock(), options=options)
    shop = Shop()
    ok = app.job(shop._ok)
    async with app.running() as queue:
        early = await queue.enqueue(ok, "early")
        late = await queue.enqueue(ok, "late", execute_after=timedelta(hours=2))
        both = await queue.continue_with([early, late], ok, "both")
        await trio.sleep(3600)
        assert await queue.get(early.id) is not None
        assert await both.result(timedelta(hours=2)) == "both"
        await trio.sleep(3600)
        assert await queue.get(early.id) is None


@attrs.define
class Record(JobStorageRecord): ...


class Shelf(JobStorageProvider[Record]):
    """A provider that can store, and no more."""

    async def store_job(self, record: Record) -> None: ...

    async def get_batch(self, params: JobSearchParams[Record]) -> list[Record]:
        return []

    async def mark_job_as_complete(self, record: Record) -> None: ...

    async def cancel_job(self, tracking_id: UUID) -> None: ...

    async def on_handler_execution_failure(self, record: Record, error: BaseException) -> None: ...


async def test_a_provider_without_continuations_says_which_protocol_it_lacks(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(ProviderStorage(Shelf(), Record), clock=VirtualClock())
    ok = app.job(Shop()._ok)
    async with app.connected() as queue:
        parent = await queue.enqueue(ok, "x")
        with pytest.raises(NotSupported, match="SupportsContinuations") as caught:
            await queue.continue_with(parent, ok, "y")
        assert caught.value.protocol == "SupportsContinuations"


# --- what goes wrong elsewhere --------------------------------------------------------------------


async def test_one_child_that_takes_failures_does_not_release_those_that_do_not(
    autojump_clock: MockClock,
) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        parent = await queue.enqueue(shop.fail, "x")
        picky = await queue.continue_with(parent, shop.ok, "picky")
        easy = await queue.continue_with(parent, shop.ok, "easy", on="finish")
        await easy.result(60)
        assert (await picky.wait(60)).state is JobState.CANCELLED
    assert shop.did == ["x", "easy"]


async def test_a_continuation_registered_after_its_parent_has_ended_is_released(
    autojump_clock: MockClock,
) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        parent = await queue.enqueue(shop.ok, "x")
        await parent.result(60)
        late = await queue.continue_with(parent, shop.ok, "late")
        assert await late.result(1) == "late"


async def test_children_of_a_failed_parent_do_not_wait_for_ever(
    autojump_clock: MockClock,
) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        parent = await queue.enqueue(shop.fail_later)
        child = await queue.continue_with(parent, shop.ok, "never")
        shop.may_fail.set()
        assert (await child.wait(1)).state is JobState.CANCELLED
        assert JobState.WAITING not in (await queue.stats()).by_state


async def test_a_member_that_failed_early_does_not_hide_the_end_of_the_others(
    autojump_clock: MockClock,
) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        parents = [
            await queue.enqueue(shop.fail, "early"),
            await queue.enqueue(shop.ok, "late", execute_after=5),
        ]
        after = await queue.continue_with(parents, shop.ok, "after", on="finish")
        assert await after.result(60) == "after"
    assert shop.did == ["early", "late", "after"]


async def test_a_continuation_of_a_continuation_reads_its_own_parents(
    autojump_clock: MockClock,
) -> None:
    shop = Shop()

    async def chain(queue: JobQueue) -> None:
        first = await queue.enqueue(shop.ok, "a")
        second = await queue.continue_with(first, shop.ok, "b")
        await (await queue.continue_with(second, shop.look)).result(60)

    async with shop.app.running() as queue:
        await chain(queue)
    assert [parent.result for parent in shop.seen] == ["b"]
