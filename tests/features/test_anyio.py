"""Programs written with AnyIO run the app on AnyIO's Trio backend, and nowhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio.from_thread

from trio_gusto import BackendError, Gusto, JobState, Options, current_job

Main = Callable[[], Awaitable[None]]


def run(main: Main) -> None:
    anyio.run(main, backend="trio")


@pytest.fixture
def app() -> Gusto:
    return Gusto(options=Options(concurrency=4, drain_timeout=1000))


def test_the_app_runs_inside_a_task_group(app: Gusto) -> None:
    @app.job
    async def double(number: int) -> int:
        await anyio.lowlevel.checkpoint()
        return 2 * number

    results: list[int] = []

    async def serve(*, task_status: anyio.abc.TaskStatus[object]) -> None:
        async with app.running() as queue:
            task_status.started(queue)
            await anyio.sleep_forever()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            queue = await tasks.start(serve)

            async def produce(number: int) -> None:
                results.append(await (await queue.enqueue(double, number)).result())

            async with anyio.create_task_group() as producers:
                for number in range(5):
                    producers.start_soon(produce, number)
            tasks.cancel_scope.cancel()

    run(main)
    assert sorted(results) == [0, 2, 4, 6, 8]


def test_a_handler_uses_task_groups_scopes_and_threads(app: Gusto) -> None:
    @app.job
    async def busy() -> dict[str, object]:
        seen: list[object] = []

        async def note() -> None:
            seen.append(current_job().id)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(note)
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        in_thread = await anyio.to_thread.run_sync(lambda: current_job().id)
        with pytest.raises(TimeoutError), anyio.fail_after(0):
            await anyio.sleep_forever()
        return {
            "tasks": seen == [current_job().id] * 3,
            "moved on": scope.cancelled_caught,
            "thread": in_thread == current_job().id,
        }

    async def main() -> None:
        async with app.running() as queue:
            result = await (await queue.enqueue(busy)).result()
            assert result == {"tasks": True, "moved on": True, "thread": True}

    run(main)


def test_a_plain_handler_reaches_back_into_the_loop_by_trio_s_own_door(app: Gusto) -> None:
    """Its thread is Trio's, so AnyIO's ``from_thread`` does not know it."""

    async def answer() -> int:
        await anyio.lowlevel.checkpoint()
        return 42

    @app.job(max_attempts=1)
    def in_thread() -> int:
        return trio.from_thread.run(answer)

    async def main() -> None:
        async with app.running() as queue:
            assert await (await queue.enqueue(in_thread)).result() == 42

    run(main)


def test_an_error_in_a_task_group_of_a_handler_fails_the_job_alone(app: Gusto) -> None:
    async def boom() -> None:
        raise KeyError("lost")

    @app.job(max_attempts=1)
    async def fan() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(boom)
            await anyio.sleep_forever()

    async def main() -> None:
        async with app.running() as queue:
            job = await (await queue.enqueue(fan)).wait()
            assert job.state is JobState.FAILED
            assert job.error is not None
            assert [child.type for child in job.error.children] == ["KeyError"]

    run(main)


def test_a_scope_around_the_app_ends_it_and_gives_running_jobs_back(app: Gusto) -> None:
    cleaned: list[str] = []

    async def main() -> None:
        entered = anyio.Event()

        @app.job
        async def endless() -> None:
            entered.set()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()
                    cleaned.append("yes")

        with anyio.fail_after(5):
            with anyio.CancelScope() as scope:
                async with app.running() as queue:
                    await queue.enqueue(endless)
                    await entered.wait()
                    scope.cancel()
                    await anyio.sleep_forever()
            assert scope.cancelled_caught
            async with app.connected() as queue:
                (job,) = (await queue.find()).items
                assert (job.state, job.attempt) == (JobState.READY, 0)

    run(main)
    assert cleaned == ["yes"]


def test_a_deadline_around_a_wait_leaves_the_job_alone(app: Gusto) -> None:
    @app.job
    async def patient() -> str:
        await anyio.sleep(0.05)
        return "done"

    async def main() -> None:
        async with app.running() as queue:
            ref = await queue.enqueue(patient)
            with anyio.move_on_after(0.001) as scope:
                await ref.wait()
            assert scope.cancelled_caught
            assert await ref.result() == "done"

    run(main)


@pytest.mark.parametrize("opening", ["running", "connected", "run_until_idle"])
def test_on_asyncio_it_says_where_it_runs(app: Gusto, opening: str) -> None:
    async def main() -> None:
        match opening:
            case "running":
                async with app.running():
                    pass
            case "connected":
                async with app.connected():
                    pass
            case _:
                await app.run_until_idle()

    with pytest.raises(BackendError, match=r"anyio\.run\(main, backend='trio'\)"):
        anyio.run(main, backend="asyncio")

    async def again() -> None:  # the app is none the worse for it
        async with app.running():
            pass

    run(again)
