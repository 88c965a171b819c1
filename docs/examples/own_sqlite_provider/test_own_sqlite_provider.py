"""The example keeps its promises: a table of one's own, tenants, and retries it decides itself."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from docs.examples.own_sqlite_provider.provider import SqliteTable, TenantRecord
from trio_gusto import Gusto, JobFailed
from trio_gusto.provider import ProviderStorage


async def test_jobs_live_in_the_users_own_table(tmp_path: Path) -> None:
    with closing(SqliteTable(tmp_path / "own.db")) as table:
        app = Gusto(ProviderStorage(table, TenantRecord))

        @app.job
        async def add(left: int, right: int) -> int:
            return left + right

        async with app.running() as queue:
            ref = await queue.enqueue(add, 2, 3, tenant="acme")
            assert await ref.result(timeout=10) == 5
        (row,) = await table._run("SELECT tenant, is_complete FROM jobs", [])
        assert tuple(row) == ("acme", 1)


async def test_jobs_stored_by_one_process_run_in_the_next(tmp_path: Path) -> None:
    seen: list[str] = []

    async def greet(name: str) -> None:
        seen.append(name)

    with closing(SqliteTable(tmp_path / "own.db")) as table:
        producer = Gusto(ProviderStorage(table, TenantRecord))
        producer.job(greet)
        async with producer.connected() as queue:
            await queue.enqueue(greet, "Ann")
    with closing(SqliteTable(tmp_path / "own.db")) as table:
        consumer = Gusto(ProviderStorage(table, TenantRecord))
        consumer.job(greet)
        await consumer.run_until_idle()
    assert seen == ["Ann"]


async def test_the_table_decides_how_often_to_try(tmp_path: Path) -> None:
    attempts: list[int] = []
    pause = timedelta(milliseconds=5)
    with closing(SqliteTable(tmp_path / "own.db", max_failures=3, pause=pause)) as table:
        app = Gusto(ProviderStorage(table, TenantRecord))

        @app.job
        async def break_down() -> None:
            attempts.append(1)
            raise ValueError("broken")

        async with app.running() as queue:
            ref = await queue.enqueue(break_down)
            with pytest.raises(JobFailed):
                await ref.result(timeout=10)
        (row,) = await table._run("SELECT failures, last_error, is_complete FROM jobs", [])
        assert tuple(row) == (3, "ValueError('broken')", 1)
    assert len(attempts) == 3
