"""The ways in which something comes between a group and its end: others look, or its caller is cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from ....storage.batch_messages import Batches, Discard
from ....storage.finding_messages import Find, Tally
from ....storage.messages import QueryReply
from ....storage.schedule_messages import FindSchedules
from ....storage.storage import Storage
from ..subject import EVERYTHING, Subject
from .play import Moment, look, same_replies, tell
from .seen import difference, same_seen

Question = Find | Tally | Batches | FindSchedules

QUESTIONS: Sequence[Question] = (
    Find(EVERYTHING),
    Tally(),
    Batches(EVERYTHING),
    FindSchedules(EVERYTHING),
)
"""What is asked while a group is performed: of what comes in an order that is promised."""


async def whoever_looks_meanwhile_sees_a_group_as_a_whole_or_not_at_all(
    subject: Subject, moments: Sequence[Moment]
) -> None:
    """From this storage, or from one beside it: every answer is that from before it or that from after it."""
    other, _ = await subject.another()
    before = [await ask(subject.storage, query) for query in QUESTIONS]
    for moment in moments:
        heard: list[tuple[int, QueryReply]] = []
        async with trio.open_nursery() as nursery:
            for storage in (subject.storage, other):
                for number in range(len(QUESTIONS)):
                    nursery.start_soon(listen, storage, number, before[number], heard)
            for _ in range(2):
                await trio.lowlevel.checkpoint()  # until all of them are asking
            same_replies(await tell(subject.storage, moment.writes), moment.replies, moment)
            nursery.cancel_scope.cancel()
        after = [await ask(subject.storage, query) for query in QUESTIONS]
        for number, answer in heard:
            if answer != after[number]:
                what = f"the reply to a {type(QUESTIONS[number]).__name__} meanwhile"
                neither = f"is neither the one before nor the one {moment.when()}"
                raise AssertionError(f"{what} {neither}: {difference(answer, after[number])}")
        before = after


async def listen(
    storage: Storage, number: int, before: object, heard: list[tuple[int, QueryReply]]
) -> None:
    """Ask one of the questions again and again, and note what is no more as it was ``before``."""
    while True:
        answer = await ask(storage, QUESTIONS[number])
        if answer != before:
            heard.append((number, answer))


async def ask(storage: Storage, query: Question) -> QueryReply:
    """The answer to a question."""
    return await storage.read(query)


async def a_group_that_was_cut_off_is_done_as_a_whole_or_not_at_all(
    subject: Subject, moments: Sequence[Moment]
) -> None:
    """The caller is cancelled at once, or a little later. A group that is not there is told once more."""
    await each_cut_off(subject, moments, trio.lowlevel.checkpoint)


async def each_cut_off(
    subject: Subject, moments: Sequence[Moment], go_on: Callable[[], Awaitable[None]]
) -> None:
    """Perform a play whose groups are cut off, and ``go_on`` after each before anybody looks."""
    for number, moment in enumerate(moments):
        if any(isinstance(write, Discard) for write in moment.writes):
            await tell(subject.storage, moment.writes)  # nothing would show whether it was done
            continue
        before = await look(subject.storage, moment)
        await cut_off(subject, moment, after=number % 4)
        await go_on()
        found = await look(subject.storage, moment)
        if found == before:
            replies = await tell(subject.storage, moment.writes)
            if before != moment.seen:  # if not, nobody can tell whether it has been done before
                same_replies(replies, moment.replies, moment)
            found = await look(subject.storage, moment)
        same_seen(found, moment.seen, f"cut off {moment.when()}, which was begun or told again")


async def cut_off(subject: Subject, moment: Moment, *, after: int) -> None:
    """Tell a group, and cancel that after so many checkpoints."""

    async def cancel() -> None:
        for _ in range(after):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            await tell(subject.storage, moment.writes)
