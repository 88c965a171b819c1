"""What is wrong with a call is said where it is made, and nothing of it is stored."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trio

from tests.naming import same_in_every_process
from trio_gusto import (
    ArgumentError,
    DuplicateHandler,
    DuplicateJob,
    Gusto,
    JobFailed,
    JobFilter,
    JobState,
    Options,
    OptionsError,
    UnknownHandler,
    UnknownJob,
    call,
)
from trio_gusto.storage.sqlite import SqliteStorage

NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001 - the very mistake
MIB = 1024 * 1024


async def send(email: str, copies: int = 1, *, rate: float = 1.0, note: object = None) -> str:
    return f"{copies} to {email}"


def looped() -> list[object]:
    ring: list[object] = []
    ring.append(ring)
    return ring


loosely: Any = send
"""For mistakes that a type checker would find."""

WRONG_CALLS: list[tuple[str, Callable[..., Any] | partial[Any], tuple[object, ...], str]] = [
    ("missing", send, (), "$"),
    ("extra", send, ("ann", 1, 2), "$"),
    ("wrong type", send, (7,), "$.email"),
    ("text for a number", send, ("ann", "3"), "$.copies"),
    ("not a number", partial(send, rate=math.nan), ("ann",), "$.rate"),
    ("infinite", partial(send, rate=math.inf), ("ann",), "$.rate"),
    ("unknown keyword", partial(loosely, rates=1.0), ("ann",), "$"),
    ("given twice", partial(send, email="bob"), ("ann",), "$"),
    ("not storable", partial(send, note=object()), ("ann",), "$.note"),
    ("not storable inside", partial(send, note={"a": [1, object()]}), ("ann",), "$.note"),
    ("a ring", partial(send, note=looped()), ("ann",), "$.note"),
    ("too large", send, ("x" * (2 * MIB),), "$"),
]


@pytest.fixture
def app() -> Gusto:
    app = Gusto()
    app.job(name="mail.send")(send)
    return app


@pytest.mark.parametrize(
    ("fn", "args", "path"), [row[1:] for row in WRONG_CALLS], ids=[row[0] for row in WRONG_CALLS]
)
async def test_wrong_arguments_are_refused_with_the_way_to_them(
    app: Gusto, fn: Callable[..., Any], args: tuple[object, ...], path: str
) -> None:
    async with app.connected() as queue:
        with pytest.raises(ArgumentError) as caught:
            await queue.enqueue(fn, *args)
        assert caught.value.path.startswith(path)
        assert caught.value.handler == "mail.send"
        assert ";" in str(caught.value)  # what to do instead
        with pytest.raises(ArgumentError):
            await queue.enqueue_many([call(send, "good"), call(fn, *args)])
        assert (await queue.find()).items == ()


async def test_a_function_that_nobody_declared_is_named_with_those_that_are(app: Gusto) -> None:
    async def stranger() -> None: ...

    async with app.connected() as queue:
        with pytest.raises(UnknownHandler, match=r"@app\.job") as caught:
            await queue.enqueue(stranger)
        assert caught.value.known == ("mail.send",)
        things: list[Any] = [print, lambda: None, "mail.send", 7, None]
        for thing in things:
            with pytest.raises((UnknownHandler, ArgumentError)):
                await queue.enqueue(thing)
        assert (await queue.find()).items == ()


async def test_a_name_is_taken_once(app: Gusto) -> None:
    with pytest.raises(DuplicateHandler, match=r"mail\.send"):

        @app.job(name="mail.send")
        async def other() -> None: ...


WRONG_OPTIONS: list[tuple[dict[str, object], str]] = [
    ({"prioritty": 1}, "priority"),
    ({"delay": 5}, "delay"),
    ({"execute_after": NAIVE}, "zone"),
    ({"expire_on": NAIVE}, "zone"),
    ({"execute_after": "tomorrow"}, "execute_after"),
    ({"execute_after": 60, "expire_on": 60}, "expire_on"),
    ({"execute_after": 60, "expire_on": 30}, "expire_on"),
    ({"expire_on": timedelta(seconds=-1)}, "expire_on"),
    ({"execute_after": math.nan}, "execute_after"),
    ({"queue": ""}, "queue"),
    ({"queue": 7}, "queue"),
    ({"priority": 2**40}, "priority"),
    ({"priority": True}, "priority"),
    ({"max_attempts": 0}, "max_attempts"),
    ({"max_attempts": 1.5}, "max_attempts"),
    ({"timeout": -1}, "timeout"),
    ({"timeout": "soon"}, "timeout"),
    ({"tags": "urgent"}, "tags"),
    ({"ref_id": ""}, "ref_id"),
    ({"metadata": {"a": object()}}, "metadata"),
    ({"retry": lambda _state: None}, "retry"),
]


@pytest.mark.parametrize(("options", "word"), WRONG_OPTIONS, ids=same_in_every_process)
async def test_a_wrong_option_is_named_with_what_is_allowed(
    app: Gusto, options: dict[str, Any], word: str
) -> None:
    async with app.connected() as queue:
        with pytest.raises(OptionsError, match=word) as caught:
            await queue.enqueue(send, "ann", **options)
        assert caught.value.key in options
        assert caught.value.allowed
        assert (await queue.find()).items == ()


async def test_an_unknown_option_comes_with_a_guess_at_the_right_one(app: Gusto) -> None:
    async def stranger() -> None: ...

    async with app.connected() as queue:
        with pytest.raises(OptionsError, match="did you mean 'priority'"):
            await queue.enqueue(send, "ann", priorty=1)  # type: ignore[call-overload]  # misspelt
    with pytest.raises(OptionsError, match="did you mean 'max_attempts'"):
        app.job(max_attempt=3)(stranger)  # type: ignore[call-overload]  # misspelt
    with pytest.raises(OptionsError, match="did you mean 'concurrency'"):
        Options.from_mapping({"concurency": 3})


async def test_an_instant_of_the_past_is_due_at_once_and_one_on_the_hour_is_not_wrong(
    app: Gusto,
) -> None:
    async with app.running() as queue:
        past = datetime(2020, 1, 1, tzinfo=UTC)
        ref = await queue.enqueue(send, "ann", execute_after=past)
        assert await ref.result() == "1 to ann"


async def test_a_ref_id_is_taken_once_and_the_error_names_the_job_that_has_it(app: Gusto) -> None:
    async with app.connected() as queue:
        first = await queue.enqueue(send, "ann", ref_id="order-7")
        with pytest.raises(DuplicateJob, match="order-7") as caught:
            await queue.enqueue(send, "bob", ref_id="order-7")
        assert (caught.value.key, caught.value.existing_id) == ("ref_id", first.id)
        with pytest.raises(DuplicateJob):
            await queue.enqueue_many([call(send, "a"), call(send, "b", ref_id="order-7")])
        with pytest.raises(DuplicateJob) as among:
            await queue.enqueue_many([call(send, "a", ref_id="new") for _ in range(2)])
        assert among.value.value == "new"
        assert [job.id for job in (await queue.find()).items] == [first.id]
        found = await queue.get_by_ref("order-7")
        assert found is not None
        assert found.id == first.id


async def test_what_is_asked_for_wrongly_is_said_so(app: Gusto) -> None:
    async with app.connected() as queue:
        assert await queue.get(uuid4()) is None
        for ask in (queue.attempts, queue.cancel, queue.retry):
            with pytest.raises(UnknownJob, match="retention"):
                await ask(uuid4())
            with pytest.raises(ArgumentError, match="JobRef"):
                await ask("7")  # type: ignore[arg-type, call-overload]  # a mistake of users
        with pytest.raises(ArgumentError, match="page mark"):
            await queue.find(after="next please")
        with pytest.raises((ArgumentError, OptionsError)):
            await queue.find(limit=0)
        with pytest.raises(ArgumentError, match="call"):
            await queue.enqueue_many([loosely])
        with pytest.raises((ArgumentError, OptionsError)):
            await queue.find(JobFilter(states=["done"]))


async def test_what_is_no_id_is_refused_by_whoever_takes_one(app: Gusto) -> None:
    async with app.connected() as queue:
        ref = await queue.enqueue(send, "ann")
        handle: Any = ref
        wrong: Any = str(ref.id)
        assert (await queue.get(handle)) == await ref.job()
        for ask in (queue.get, queue.explain, queue.attempts, queue.logs, queue.cancel):
            with pytest.raises(ArgumentError, match="give a JobRef, a Job or its id"):
                await ask(wrong)
        for make in (queue.ref, queue.batch_ref, queue.append_to):
            with pytest.raises(ArgumentError, match="ids are UUIDs"):
                make(wrong)


async def test_a_stored_job_that_cannot_be_read_any_more_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    app = Gusto(SqliteStorage(path), options=Options(concurrency=2))

    @app.job(name="double")
    async def double(number: int) -> int:
        return 2 * number

    async with app.connected() as queue:
        refs = [await queue.enqueue(double, number) for number in range(4)]
    texts = {refs[0]: "[1", refs[1]: '["one"]', refs[2]: "[1, 2, 3]"}
    with sqlite3.connect(path) as connection:
        for ref, text in texts.items():
            change = "UPDATE job SET args = ? WHERE id = ?"
            assert connection.execute(change, (text, ref.id.bytes)).rowcount == 1
    connection.close()
    with trio.fail_after(10):
        async with app.running() as queue:
            assert await queue.ref(refs[3].id).result() == 6
            for ref, word in zip(refs, ("JSON", r"\$.number", "takes 1"), strict=False):
                with pytest.raises(JobFailed, match="could not be decoded") as caught:
                    await queue.ref(ref.id).result()
                assert caught.value.error is not None
                assert caught.value.error.type.endswith("DecodeError")
                with pytest.raises(JobFailed, match=word):
                    await queue.ref(ref.id).result()
                job = await queue.ref(ref.id).job()
                assert (job.state, job.attempt) == (JobState.FAILED, 1)
