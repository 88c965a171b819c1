"""What the type checkers must say about calls of the public API; never run, only checked.

`test_typing.py` gives this file to mypy strict and pyright strict. `assert_type` states what must be
inferred. In the lower half every marked line is a wrong call that both must report; a checker that
says nothing there fails the test, as does one that complains anywhere else. The two comments below
keep the planted errors out of the checks of the whole repository; the test takes them out.
"""

# mypy: ignore-errors
# pyright: reportCallIssue=false, reportArgumentType=false, reportAssignmentType=false, reportGeneralTypeIssues=false

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, assert_type

from trio_gusto import (
    Gusto,
    Job,
    JobQueue,
    JobRef,
    Schedule,
    Trigger,
    call,
    cron,
    every,
    every_after,
    exponential,
)

app = Gusto()
TODAY = datetime(2030, 5, 1, tzinfo=UTC)


@app.job
async def send_welcome(email: str, name: str = "friend") -> str:
    return f"{email} {name}"


@app.job
def resize(path: str, width: int) -> bytes:
    return path.encode()[:width]


@app.job(
    name="report", queue="reports", max_attempts=5, timeout=30, retry=exponential(), thread=False
)
async def report(
    factor: float,
    title: str | None = None,
    rows: Sequence[int] = (),
    day: datetime | None = None,
) -> list[int]:
    return [round(factor), len(title or ""), *rows, day.year if day else 0]


@app.job(tags=["small"])
def count(path: str) -> int:
    return len(path)


@app.job(callback=count)
async def count_up(number: int) -> int:
    return number + 1


@app.job
async def anything(value: object) -> None: ...


async def undecorated(email: str, name: str = "friend") -> str:
    return email + name


def undecorated_plain(path: str, width: int) -> bytes:
    return path.encode()[:width]


async def total(*numbers: int) -> int:
    return sum(numbers)


async def nothing() -> None: ...


async def keyword(number: int, *, unit: str = "", scale: int = 1) -> int:
    return number * scale + len(unit)


class EmailService:
    async def send(self, email: str, name: str = "friend") -> str:
        return email + name

    def shrink(self, path: str, width: int) -> bytes:
        return path.encode()[:width]

    @staticmethod
    async def check(number: int) -> int:
        return number


async def handlers_are_called_like_the_functions_they_are_made_from() -> None:
    assert_type(await send_welcome("ann@example.org"), str)
    assert_type(await send_welcome("ann@example.org", name="Ann"), str)
    assert_type(resize("a.png", 5), bytes)
    assert_type(await report(1), list[int])
    assert_type(count("a"), int)


async def enqueue_knows_the_result(queue: JobQueue) -> None:
    assert_type(await queue.enqueue(send_welcome, "ann@example.org"), JobRef[str])
    assert_type(await queue.enqueue(send_welcome, "ann@example.org", "Ann"), JobRef[str])
    assert_type(await queue.enqueue(resize, "a.png", 5), JobRef[bytes])
    assert_type(await queue.enqueue(count, "a.png"), JobRef[int])
    assert_type(await queue.enqueue(report, 1), JobRef[list[int]])
    assert_type(await queue.enqueue(report, 1.5, None), JobRef[list[int]])
    assert_type(await queue.enqueue(report, 1.5, "May", [1, 2]), JobRef[list[int]])
    assert_type(await queue.enqueue(report, 1.5, "May", (), None), JobRef[list[int]])
    assert_type(await queue.enqueue(report, 1.5, "May", (1,), TODAY), JobRef[list[int]])
    assert_type(await (await queue.enqueue(resize, "a.png", 5)).result(), bytes)
    assert_type(await (await queue.enqueue(resize, "a.png", 5)).wait(timeout=1), Job)


async def continuations_know_the_result(queue: JobQueue, ref: JobRef[str], job: Job) -> None:
    assert_type(await queue.continue_with(ref, send_welcome, "ann@example.org"), JobRef[str])
    assert_type(await queue.continue_with(job.id, resize, "a.png", 5), JobRef[bytes])
    assert_type(await queue.continue_with([ref, job], count, "a", on="finish"), JobRef[int])
    assert_type(await queue.continue_with((ref,), undecorated_plain, "a", 5), JobRef[bytes])
    assert_type(await queue.continue_with(ref, EmailService.send, "a@b.org"), JobRef[str])
    assert_type(await queue.continue_with(ref, EmailService.check, 5, priority=1), JobRef[int])


async def batches_know_their_results(queue: JobQueue) -> None:
    async with queue.batch(tenant="acme") as batch:
        assert_type(batch.enqueue(send_welcome, "ann@example.org"), JobRef[str])
        assert_type(batch.enqueue(resize, "a.png", 5, priority=1), JobRef[bytes])
        assert_type(batch.continue_with(count, "a.png", on="failure"), JobRef[int])
        assert_type(await batch.enqueue_many([call(resize, "a.png", 5)]), int)
    assert_type(await queue.continue_with([batch], EmailService.send, "a@b.org"), JobRef[str])


async def undecorated_functions_and_partials_are_accepted(queue: JobQueue) -> None:
    assert_type(await queue.enqueue(undecorated, "ann@example.org"), JobRef[str])
    assert_type(await queue.enqueue(undecorated, "ann@example.org", "Ann"), JobRef[str])
    assert_type(await queue.enqueue(undecorated_plain, "a.png", 5), JobRef[bytes])
    assert_type(await queue.enqueue(total), JobRef[int])
    assert_type(await queue.enqueue(total, 1, 2), JobRef[int])
    assert_type(await queue.enqueue(nothing), JobRef[None])
    assert_type(await queue.enqueue(keyword, 1), JobRef[int])
    assert_type(await queue.enqueue(partial(keyword, unit="m"), 1, queue="q"), JobRef[int])
    assert_type(await queue.enqueue(partial(send_welcome, name="Ann"), "ann@e.org"), JobRef[str])
    assert_type(await queue.enqueue(partial(undecorated_plain, width=5), "a.png"), JobRef[bytes])


async def methods_are_given_unbound(queue: JobQueue) -> None:
    assert_type(await queue.enqueue(EmailService.send, "ann@example.org"), JobRef[str])
    assert_type(await queue.enqueue(EmailService.send, "a@b.org", "Ann", queue="q"), JobRef[str])
    assert_type(await queue.enqueue(EmailService.shrink, "a.png", 5), JobRef[bytes])
    assert_type(await queue.enqueue(EmailService.check, 5), JobRef[int])


async def every_option_is_accepted(queue: JobQueue) -> None:
    await queue.enqueue(
        resize,
        "a.png",
        5,
        execute_after=timedelta(hours=1),
        expire_on=TODAY,
        queue="images",
        priority=3,
        tenant="acme",
        max_attempts=2,
        retry=exponential(base=2),
        timeout=None,
        ref_id="invoice-7",
        tags={"a", "b"},
        created_by="ann",
        user_id="7",
        metadata={"k": [1, None]},
    )
    await queue.enqueue(resize, "a.png", 5, execute_after=2, timeout=timedelta(minutes=1))


async def prepared_calls_are_typed_alike(queue: JobQueue) -> None:
    calls = [call(send_welcome, address) for address in ("a", "b")]
    calls.append(call(EmailService.send, "c", queue="q"))
    refs = await queue.enqueue_many(calls)
    assert_type(await refs[0].result(), str)


async def schedules_take_what_enqueue_takes(queue: JobQueue) -> None:
    kept = await queue.schedule("a", send_welcome, "a", trigger="0 2 * * *", timezone="Europe/Rome")
    assert_type(kept, Schedule)
    assert_type(kept.next_instants(3), tuple[datetime, ...])
    await queue.schedule("a", send_welcome, "a", "b", trigger=timedelta(hours=1), overlap="allow")
    await queue.schedule("a", resize, "a", 1, trigger=every(60), coalesce="all", max_catchup=3)
    await queue.schedule("a", report, 1.5, None, [1], trigger=cron("H * * * *"), jitter=3)
    await queue.schedule("a", undecorated, "a", trigger=every_after(60), queue="q", priority=3)
    await queue.schedule("a", undecorated_plain, "a", 1, trigger="* * * * *", expire_on=60)
    await queue.schedule("a", partial(keyword, unit="m"), 1, trigger="* * * * *", start=TODAY)
    await queue.schedule("a", EmailService.send, "a", trigger="* * * * *", end=TODAY)
    await queue.schedule("a", EmailService.send, "a", "b", trigger="* * * * *", tags=["x"])
    await queue.schedule("a", EmailService.shrink, "a", 1, trigger="* * * * *", timeout=3)
    await queue.schedule("a", nothing, trigger="* * * * *", misfire_grace_time=timedelta(hours=1))
    assert_type(await queue.pause_schedule("a"), Schedule)
    assert_type(await queue.get_schedule("a"), Schedule | None)
    assert_type(await queue.schedules(), tuple[Schedule, ...])
    assert_type(await (await queue.trigger_schedule("a")).result(), Any)
    trigger: Trigger = every(60)
    assert_type(trigger.next_after(TODAY), datetime | None)


# --- every marked line below is wrong, and both checkers must say so ------------------------------


async def wrong_arguments_are_found(queue: JobQueue) -> None:
    await queue.enqueue(send_welcome)  # WRONG: an argument is missing
    await queue.enqueue(send_welcome, 1)  # WRONG: an argument of the wrong type
    await queue.enqueue(send_welcome, "a", 1)  # WRONG: a defaulted one of the wrong type
    await queue.enqueue(send_welcome, "a", "b", "c")  # WRONG: an argument too many
    await queue.enqueue(resize)  # WRONG: all arguments missing
    await queue.enqueue(resize, "a")  # WRONG: one missing, like an unbound method
    await queue.enqueue(resize, 1)  # WRONG: the first missing, like an unbound method
    await queue.enqueue(resize, "a", "b")  # WRONG: the second of the wrong type
    await queue.enqueue(resize, "a", 1, 1)  # WRONG: an argument too many
    await queue.enqueue(count)  # WRONG: its only argument is missing
    await queue.enqueue(report)  # WRONG: an argument is missing
    await queue.enqueue(report, "a")  # WRONG: the first of the wrong type
    await queue.enqueue(report, 1, 1)  # WRONG: the second of the wrong type
    await queue.enqueue(report, 1, "a", ["b"])  # WRONG: the third of the wrong type
    await queue.enqueue(report, 1, "a", (), 1)  # WRONG: the fourth of the wrong type
    await queue.enqueue(report, 1, "a", (), None, None)  # WRONG: an argument too many


async def wrong_arguments_of_undecorated_functions_are_found(queue: JobQueue) -> None:
    # Not all: with the first argument missing and the rest fitting, such a function looks like a
    # method given unbound. That one is found when it is enqueued (`ArgumentError`).
    await queue.enqueue(undecorated, 1)  # WRONG: an argument of the wrong type
    await queue.enqueue(undecorated, "a", "b", "c")  # WRONG: an argument too many
    await queue.enqueue(undecorated_plain)  # WRONG: all arguments missing
    await queue.enqueue(undecorated_plain, "a")  # WRONG: the last missing
    await queue.enqueue(undecorated_plain, "a", "b")  # WRONG: the last of the wrong type
    await queue.enqueue(total, "a")  # WRONG: an argument of the wrong type
    await queue.enqueue(nothing, 1)  # WRONG: an argument too many
    await queue.enqueue(keyword, 1, "m")  # WRONG: keyword arguments travel in a partial
    await queue.enqueue("send_welcome", "a")  # WRONG: a name is no function


async def wrong_arguments_of_methods_are_found(queue: JobQueue) -> None:
    await queue.enqueue(EmailService.send)  # WRONG: an argument is missing
    await queue.enqueue(EmailService.send, 1)  # WRONG: an argument of the wrong type
    await queue.enqueue(EmailService.send, "a", 1)  # WRONG: a defaulted one of the wrong type
    await queue.enqueue(EmailService.send, "a", "b", "c")  # WRONG: an argument too many
    await queue.enqueue(EmailService.shrink, "a")  # WRONG: an argument is missing
    await queue.enqueue(EmailService.shrink, "a", "b")  # WRONG: an argument of the wrong type
    await queue.enqueue(EmailService.shrink, "a", 1, 1)  # WRONG: an argument too many


async def wrong_options_are_found(queue: JobQueue) -> None:
    await queue.enqueue(resize, "a", 1, que="q")  # WRONG: no such option
    await queue.enqueue(resize, "a", 1, queue=1)  # WRONG: an option of the wrong type
    await queue.enqueue(resize, "a", 1, priority="high")  # WRONG: an option of the wrong type
    await queue.enqueue(resize, "a", 1, execute_after="1h")  # WRONG: an option of the wrong type
    await queue.enqueue(resize, "a", 1, retry=3)  # WRONG: an option of the wrong type
    await queue.enqueue(resize, "a", 1, width=1)  # WRONG: an argument given as an option
    app.job(quue="q")  # WRONG: no such option
    app.job(max_attempts="5")  # WRONG: an option of the wrong type


async def callbacks_are_found_right(queue: JobQueue) -> None:
    assert_type(await queue.enqueue(count, "a", callback=count_up), JobRef[int])
    assert_type(await queue.enqueue(count, "a", callback=anything), JobRef[int])
    assert_type(await queue.enqueue(send_welcome, "a", callback=count), JobRef[str])
    assert_type(await queue.enqueue(count, "a", callback=None), JobRef[int])
    await queue.schedule("a", count, "a", trigger="* * * * *", callback=count_up)
    async with queue.batch() as batch:
        assert_type(batch.enqueue(count, "a", callback=count_up), JobRef[int])


async def wrong_callbacks_are_found(queue: JobQueue) -> None:
    await queue.enqueue(count, "a", callback=send_welcome)  # WRONG: it takes a text, not a number
    await queue.enqueue(send_welcome, "a", callback=count_up)  # WRONG: it takes a number
    await queue.enqueue(count, "a", callback=resize)  # WRONG: it takes two arguments
    await queue.enqueue(count, "a", callback=nothing)  # WRONG: it takes none
    await queue.enqueue(count, "a", callback="count_up")  # WRONG: a name is no handler
    await queue.schedule("a", count, "a", trigger="* * * * *", callback=nothing)  # WRONG: the same
    call(count, "a", callback=send_welcome)  # WRONG: it takes a text, not a number


async def wrong_schedules_are_found(queue: JobQueue) -> None:
    await queue.schedule("a", nothing)  # WRONG: no trigger
    await queue.schedule("a", nothing, trigger=60)  # WRONG: a number is no trigger
    await queue.schedule(nothing, trigger="* * * * *")  # WRONG: no name
    await queue.schedule("a", nothing, 1, trigger="* * * * *")  # WRONG: an argument too many
    await queue.schedule("a", send_welcome, 1, trigger="* * * * *")  # WRONG: of the wrong type
    await queue.schedule("a", EmailService.send, 1, trigger="* * * * *")  # WRONG: the same
    await queue.schedule("a", nothing, trigger="* * * * *", overlap="queue")  # WRONG: no policy
    await queue.schedule("a", nothing, trigger="* * * * *", overlaps="skip")  # WRONG: no option
    await queue.schedule("a", nothing, trigger="* * * * *", priority="high")  # WRONG: of its type


async def wrong_prepared_calls_are_found() -> None:
    call(send_welcome, 1)  # WRONG: an argument of the wrong type
    call(resize, "a")  # WRONG: an argument is missing
    call(EmailService.send, "a", 1)  # WRONG: an argument of the wrong type
    call(resize, "a", 1, que="q")  # WRONG: no such option


async def results_are_not_confused(queue: JobQueue) -> None:
    text: str = await (await queue.enqueue(resize, "a", 1)).result()  # WRONG: it is bytes
    resize("a")  # WRONG: an argument is missing
    await resize("a", 1)  # WRONG: a plain function is not awaited
    assert text
