"""Jobs live in a user's own records, kept by a provider of five methods."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import attrs
import pytest
import trio

from trio_gusto import (
    Gusto,
    JobCancelled,
    JobFailed,
    JobState,
    NotSupported,
    Options,
    StorageError,
    fixed,
)
from trio_gusto.provider import (
    JobSearchParams,
    JobStorageProvider,
    JobStorageRecord,
    ProviderStorage,
)


@attrs.define
class MyRecord(JobStorageRecord):
    tenant: str = ""


class MyProvider(JobStorageProvider[MyRecord]):
    """As a user would write it first: rows in a list, nothing clever."""

    def __init__(self) -> None:
        self.rows: list[MyRecord] = []
        self.failures: list[BaseException] = []

    def row(self, tracking_id: UUID) -> MyRecord:
        return next(row for row in self.rows if row.tracking_id == tracking_id)

    async def store_job(self, record: MyRecord) -> None:
        self.rows.append(record)

    async def get_batch(self, params: JobSearchParams[MyRecord]) -> Sequence[MyRecord]:
        return [attrs.evolve(row) for row in self.rows if params.match(row)][: params.limit]

    async def mark_job_as_complete(self, record: MyRecord) -> None:
        self.row(record.tracking_id).is_complete = True

    async def cancel_job(self, tracking_id: UUID) -> None:
        self.row(tracking_id).is_complete = True

    async def on_handler_execution_failure(self, record: MyRecord, error: BaseException) -> None:
        self.failures.append(error)
        if len(self.failures) == 3:
            record.is_complete = True
            self.row(record.tracking_id).is_complete = True


async def test_a_job_is_stored_run_and_marked_in_the_users_records() -> None:
    provider = MyProvider()
    app = Gusto(ProviderStorage(provider, MyRecord))

    @app.job(name="shop.greet")
    async def greet(name: str) -> str:
        return f"hello {name}"

    async with app.running() as queue:
        ref = await queue.enqueue(greet, "Ann", tenant="acme")
        assert await ref.result(timeout=5) == "hello Ann"
        assert await ref.status() is JobState.COMPLETED
    (row,) = provider.rows
    assert (row.tracking_id, row.tenant, row.is_complete) == (ref.id, "acme", True)
    assert (row.job_type, row.method_name) == ("shop", "greet")
    assert "Ann" in row.arguments_json


async def test_due_times_and_expiry_are_in_the_record() -> None:
    provider = MyProvider()
    app = Gusto(ProviderStorage(provider, MyRecord))

    @app.job
    async def later() -> None: ...

    async with app.connected() as queue:
        await queue.enqueue(later, execute_after=timedelta(hours=1), expire_on=timedelta(days=1))
    (row,) = provider.rows
    assert row.execute_after == row.created_on + timedelta(hours=1)
    assert row.expire_on == row.created_on + timedelta(days=1)


async def test_jobs_stored_in_one_run_are_run_in_the_next() -> None:
    provider = MyProvider()
    seen: list[int] = []

    async def note(number: int) -> None:
        seen.append(number)

    def process() -> Gusto:
        app = Gusto(ProviderStorage(provider, MyRecord), options=Options(concurrency=1))
        app.job(note)
        return app

    producer = process()
    async with producer.connected() as queue:
        for number in range(25):
            await queue.enqueue(note, number)
    await process().run_until_idle()
    assert seen == list(range(25))
    await process().run_until_idle()
    assert len(seen) == 25


async def test_the_provider_decides_about_retries() -> None:
    provider = MyProvider()
    app = Gusto(ProviderStorage(provider, MyRecord))

    @app.job
    async def break_down() -> None:
        raise ValueError("broken")

    async with app.running() as queue:
        ref = await queue.enqueue(break_down)
        with pytest.raises(JobFailed):
            await ref.result(timeout=5)
    assert [str(error) for error in provider.failures] == ["broken"] * 3


async def test_max_attempts_and_retry_are_refused_at_declaration_and_at_enqueue() -> None:
    app = Gusto(ProviderStorage(MyProvider(), MyRecord))

    async def work() -> None: ...

    with pytest.raises(NotSupported):
        app.job(max_attempts=3)(work)
    with pytest.raises(NotSupported):
        app.job(retry=fixed(1))(work)
    app.job(work)
    async with app.connected() as queue:
        with pytest.raises(NotSupported):
            await queue.enqueue(work, max_attempts=3)
        with pytest.raises(NotSupported):
            await queue.enqueue(work, retry=fixed(1))


async def test_a_waiting_job_is_cancelled_in_the_users_records() -> None:
    provider = MyProvider()
    app = Gusto(ProviderStorage(provider, MyRecord))

    @app.job
    async def later() -> None: ...

    async with app.running() as queue:
        ref = await queue.enqueue(later, execute_after=timedelta(hours=1))
        assert await ref.cancel("not needed")
        with pytest.raises(JobCancelled):
            await ref.result(timeout=5)
    assert provider.rows[0].is_complete


async def test_a_running_job_is_cancelled_in_its_scope() -> None:
    provider = MyProvider()
    app = Gusto(ProviderStorage(provider, MyRecord))
    started = trio.Event()

    @app.job
    async def sleep() -> None:
        started.set()
        await trio.sleep_forever()

    async with app.running() as queue:
        ref = await queue.enqueue(sleep)
        with trio.fail_after(5):
            await started.wait()
        assert await ref.cancel("enough")
        assert (await ref.wait(timeout=5)).state is JobState.CANCELLED
    assert provider.rows[0].is_complete
    assert not provider.failures


async def test_a_job_interrupted_by_a_stop_runs_in_the_next_run() -> None:
    provider = MyProvider()
    app = Gusto(ProviderStorage(provider, MyRecord), options=Options(drain_timeout=0))
    starts: list[int] = []
    started = trio.Event()

    @app.job
    async def work() -> None:
        starts.append(1)
        if len(starts) == 1:
            started.set()
            await trio.sleep_forever()

    async with app.running() as queue:
        await queue.enqueue(work)
        with trio.fail_after(5):
            await started.wait()
    assert not provider.rows[0].is_complete
    await app.run_until_idle()
    assert len(starts) == 2
    assert provider.rows[0].is_complete
    assert not provider.failures


async def test_errors_of_the_provider_never_end_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Shaky(MyProvider):
        faults = 1

        async def get_batch(self, params: JobSearchParams[MyRecord]) -> Sequence[MyRecord]:
            if self.faults:
                self.faults -= 1
                raise ConnectionError("no connection")
            return await super().get_batch(params)

        async def store_job(self, record: MyRecord) -> None:
            if "refused" in record.arguments_json:
                raise ValueError("not this one")
            await super().store_job(record)

    app = Gusto(ProviderStorage(Shaky(), MyRecord))

    @app.job
    async def echo(text: str) -> str:
        return text

    async with app.running() as queue:
        with pytest.raises(StorageError) as refused:
            await queue.enqueue(echo, "refused")
        assert isinstance(refused.value.__cause__, ValueError)
        ref = await queue.enqueue(echo, "taken")
        assert await ref.result(timeout=10) == "taken"
    assert "get_batch failed" in caplog.text


async def test_records_that_do_not_match_are_never_run(caplog: pytest.LogCaptureFixture) -> None:
    class Careless(MyProvider):
        async def get_batch(self, params: JobSearchParams[MyRecord]) -> Sequence[MyRecord]:
            return self.rows

    provider = Careless()
    app = Gusto(ProviderStorage(provider, MyRecord))
    seen: list[str] = []

    @app.job(name="note")
    async def note(text: str) -> None:
        seen.append(text)

    async with app.connected() as queue:
        await queue.enqueue(note, "good")
        await queue.enqueue(note, "early", execute_after=timedelta(hours=1))
        await queue.enqueue(note, "late", expire_on=timedelta(hours=1))
    provider.rows[2].expire_on = datetime.now(UTC)  # noqa: TID251 - as a user's own code would
    await app.run_until_idle()
    assert seen == ["good"]
    warnings = [it for it in caplog.records if it.levelno == logging.WARNING]
    for row in provider.rows[1:]:
        assert any(str(row.tracking_id) in it.getMessage() for it in warnings)


async def test_what_a_provider_lacks_is_named() -> None:
    app = Gusto(ProviderStorage(MyProvider(), MyRecord))
    async with app.connected() as queue:
        with pytest.raises(NotSupported, match="SupportsQueries"):
            await queue.find()
