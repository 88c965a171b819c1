"""Jobs that are stored together, counted together, waited for and called off together."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
import trio
from trio.testing import MockClock

from tests.features.test_continuations import Record, Shelf
from trio_gusto import (
    ArgumentError,
    BatchError,
    DuplicateJob,
    Gusto,
    JobCancelled,
    JobFailed,
    JobFilter,
    JobState,
    MemoryStorage,
    NotSupported,
    Options,
    Parent,
    current_job,
)
from trio_gusto.model.dependencies import PARENTS_FAILED
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

storages = pytest.mark.parametrize("kind", ["memory", "sqlite"])


class Works:
    """An app whose jobs say what they did."""

    def __init__(self, storage: Storage | None = None, clock: VirtualClock | None = None) -> None:
        options = Options(concurrency=4)
        self.app = Gusto(storage, clock=clock or VirtualClock(), options=options)
        self.did: list[str] = []
        self.seen: tuple[Parent, ...] = ()
        self.cleaned = 0
        self.ok = self.app.job(name="ok")(self._ok)
        self.fail = self.app.job(name="fail", max_attempts=1)(self._fail)
        self.hang = self.app.job(name="hang")(self._hang)
        self.gather = self.app.job(name="gather")(self._gather)

    async def _ok(self, word: str) -> str:
        self.did.append(word)
        return word

    async def _fail(self, word: str) -> None:
        raise ValueError(word)

    async def _hang(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.cleaned += 1

    async def _gather(self) -> None:
        self.seen = current_job().parents


def make(kind: str, path: Path) -> Works:
    return Works(
        MemoryStorage() if kind == "memory" else SqliteStorage(path / "jobs.db", inline=True)
    )


@storages
async def test_the_end_of_the_block_stores_everything_and_the_last_job_starts_the_rest(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        async with queue.batch(tenant="acme", tags={"onboarding"}) as batch:
            refs = [batch.enqueue(works.ok, word) for word in "abc"]
            late = batch.enqueue(works.ok, "d", execute_after=30, tags=["own"])
            last = batch.continue_with(works.gather)
            await trio.sleep(5)
            assert await queue.get(refs[0].id) is None
        status = await batch.status()
        assert (status.id, status.tenant, status.tags) == (
            batch.id,
            "acme",
            frozenset({"onboarding"}),
        )
        assert (status.total, status.is_finished) == (4, False)
        assert await last.status() is JobState.WAITING
        await last.result(60)
        assert [parent.result for parent in works.seen] == list("abcd")
        status = await batch.wait()
        assert (status.completed, status.total, status.is_finished) == (4, 4, True)
        job = await late.job()
        assert (job.batch_id, job.tenant, job.tags) == (
            batch.id,
            "acme",
            frozenset({"own", "onboarding"}),
        )
        assert (await last.job()).parent_ids == (batch.id,)
        assert (await last.job()).batch_id is None


@storages
async def test_an_exception_in_the_block_stores_nothing(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        opening = queue.batch()
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is tested
            async with opening as batch:
                batch.enqueue(works.ok, "x")
                raise ZeroDivisionError
        assert (await queue.stats()).by_state == {}
        assert (await queue.batches()).items == ()
        with pytest.raises(BatchError, match="never existed"):
            await opening.status()


@storages
async def test_what_the_storage_refuses_is_refused_as_a_whole(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.connected() as queue:
        await queue.enqueue(works.ok, "x", ref_id="order-1")
        with pytest.raises(DuplicateJob):  # noqa: PT012 - the block is what is tested
            async with queue.batch() as batch:
                batch.enqueue(works.ok, "a")
                batch.enqueue(works.ok, "b", ref_id="order-1")
        assert sum((await queue.stats()).by_state.values()) == 1
        assert (await queue.batches()).items == ()


@storages
async def test_an_empty_batch_is_finished_at_once(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        async with queue.batch() as batch:
            after = batch.continue_with(works.ok, "after")
            never = batch.continue_with(works.ok, "never", on="failure")
        assert (await batch.status()).is_finished
        assert (await batch.wait()).total == 0
        assert await after.result(1) == "after"
        assert (await never.wait(1)).state is JobState.CANCELLED


@storages
async def test_waiting_raises_what_the_jobs_failed_with(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        async with queue.batch() as batch:
            batch.enqueue(works.fail, "first")
            batch.enqueue(works.ok, "fine", execute_after=5)
            called_off = batch.enqueue(works.ok, "never", execute_after=60)
            success = batch.continue_with(works.ok, "success")
            finish = batch.continue_with(works.ok, "finish", on="finish")
        assert (await success.wait(1)).reason == PARENTS_FAILED
        await called_off.cancel("changed")
        with pytest.raises(ExceptionGroup) as caught:
            await batch.wait(60)
        assert [type(error) for error in caught.value.exceptions] == [JobFailed, JobCancelled]
        assert await finish.result(1) == "finish"
        async with queue.batch() as slow:
            slow.enqueue(works.ok, "slow", execute_after=60)
        with pytest.raises(trio.TooSlowError):
            await slow.wait(timeout=1)


@storages
async def test_cancelling_ends_what_waits_and_what_runs(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        async with queue.batch() as batch:
            for _ in range(4):
                batch.enqueue(works.hang)
            for _ in range(700):
                batch.enqueue(works.ok, "never")
            after = batch.continue_with(works.ok, "after", on="failure")
        await trio.sleep(1)
        assert (await batch.status()).processing == 4
        assert await batch.cancel("enough") == 704
        assert await after.result(5) == "after"
        status = await batch.status()
        assert (status.cancelled, status.is_finished) == (704, True)
        assert await batch.cancel() == 0
    assert (works.cleaned, works.did) == (4, ["after"])


async def test_a_batch_is_cancelled_from_another_process_within_a_second(
    autojump_clock: MockClock,
) -> None:
    storage = MemoryStorage()
    works, office = Works(storage), Works(storage)
    async with works.app.running() as queue, office.app.connected() as other:
        async with queue.batch() as batch:
            batch.enqueue(works.hang)
        await trio.sleep(1)
        assert await other.batch_ref(batch.id).cancel() == 1
        await trio.sleep(1)
        assert (await batch.status()).cancelled == 1


@storages
async def test_what_is_appended_is_waited_for_too(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        async with queue.batch(tenant="acme") as batch:
            batch.enqueue(works.ok, "a", execute_after=5)
            first = batch.continue_with(works.ok, "first")
        async with queue.append_to(batch.id) as more:
            late = more.enqueue(works.ok, "b", execute_after=10)
            second = more.continue_with(works.ok, "second")
        assert (more, (await late.job()).tenant) == (batch, "acme")
        await trio.sleep(7)
        assert await first.status() is JobState.WAITING
        await first.wait(60)
        await second.wait(60)
        assert sorted(works.did) == ["a", "b", "first", "second"]


@storages
async def test_a_finished_batch_takes_more_only_when_it_is_opened_again(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        async with queue.batch() as batch:
            batch.enqueue(works.ok, "a")
            first = batch.continue_with(works.ok, "first")
        await first.wait(5)
        with pytest.raises(BatchError, match="reopen=True") as caught:
            async with queue.append_to(batch.id) as more:
                more.enqueue(works.ok, "b")
        assert caught.value.batch_id == batch.id
        assert (await batch.status()).total == 1
        async with queue.append_to(batch.id, reopen=True) as more:
            more.enqueue(works.ok, "b", execute_after=3)
            second = more.continue_with(works.ok, "second")
        assert await second.status() is JobState.WAITING
        await second.wait(60)
        assert works.did == ["a", "first", "b", "second"]


async def test_only_a_known_batch_is_appended_to(autojump_clock: MockClock) -> None:
    works = Works()
    async with works.app.connected() as queue:
        with pytest.raises(BatchError, match="never existed"):
            async with queue.append_to(uuid4()):
                pass
        with pytest.raises(BatchError, match="never existed"):
            await queue.batch_ref(uuid4()).cancel()


async def test_jobs_are_added_inside_the_block_only(autojump_clock: MockClock) -> None:
    works = Works()
    async with works.app.connected() as queue:
        async with queue.batch() as batch:
            with pytest.raises(ArgumentError):
                batch.enqueue(works.ok)  # type: ignore[call-arg, arg-type]  # that is the mistake
        with pytest.raises(BatchError, match="inside its block"):
            batch.enqueue(works.ok, "x")
        with pytest.raises(BatchError, match="inside its block"):
            batch.continue_with(works.ok, "x")
        assert (await batch.status()).total == 0


@storages
async def test_batches_and_jobs_are_parents_side_by_side(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.running() as queue:
        alone = await queue.enqueue(works.ok, "alone", execute_after=8)
        async with queue.batch() as batch:
            batch.enqueue(works.ok, "a", execute_after=4)
            batch.enqueue(works.ok, "b")
        both = await queue.continue_with([batch, alone], works.gather)
        by_id = await queue.continue_with(batch.id, works.ok, "by id")
        assert await by_id.result(60) == "by id"
        assert await both.status() is JobState.WAITING
        await both.wait(60)
        assert [parent.result for parent in works.seen] == ["a", "b", "alone"]
        late = await queue.continue_with(batch, works.ok, "late")
        assert await late.result(1) == "late"
        found = await queue.find(JobFilter(parent_id=batch.id))
        assert [job.id for job in found.items] == [late.id, by_id.id, both.id]
        found = await queue.find(JobFilter(batch_id=batch.id))
        assert len(found.items) == 2


@storages
async def test_batches_are_listed_newest_first_in_pages(
    autojump_clock: MockClock, tmp_path: Path, kind: str
) -> None:
    works = make(kind, tmp_path)
    async with works.app.connected() as queue:
        ids = []
        for tenant in ("a", "b", "a", "a"):
            async with queue.batch(tenant=tenant) as batch:
                batch.enqueue(works.ok, "x")
            ids.append(batch.id)
        page = await queue.batches(tenant="a", limit=2)
        assert [status.id for status in page.items] == [ids[3], ids[2]]
        page = await queue.batches(tenant="a", limit=2, after=page.next)
        assert ([status.id for status in page.items], page.next) == ([ids[0]], None)
        assert [status.total for status in (await queue.batches()).items] == [1] * 4
        with pytest.raises(ArgumentError, match="between 1 and"):
            await queue.batches(limit=0)
        with pytest.raises(ArgumentError, match="page mark"):
            await queue.batches(after="x")


async def test_a_provider_without_batches_says_which_protocol_it_lacks(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(ProviderStorage(Shelf(), Record), clock=VirtualClock())
    async with app.connected() as queue:
        with pytest.raises(NotSupported, match="SupportsBatches"):
            async with queue.batch():
                pass


# --- what goes wrong elsewhere --------------------------------------------------------------------


async def test_no_member_runs_before_all_are_stored(autojump_clock: MockClock) -> None:
    works = Works()
    async with works.app.running() as queue:
        async with queue.batch() as batch:
            for word in "abc":
                batch.enqueue(works.ok, word)
                await trio.sleep(1)
            assert works.did == []
        await batch.wait(1)


async def test_a_member_that_failed_early_does_not_hide_the_end_of_the_batch(
    autojump_clock: MockClock,
) -> None:
    works = Works()
    async with works.app.running() as queue:
        async with queue.batch() as batch:
            batch.enqueue(works.fail, "early")
            batch.enqueue(works.ok, "late", execute_after=5)
            after = batch.continue_with(works.ok, "after", on="finish")
        assert await after.result(60) == "after"
    assert works.did == ["late", "after"]
