"""Where writes are handed in: at once if the storage can, in the mailbox if not, and never twice."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import GustoError, MemoryStorage, StorageError
from trio_gusto.actors.desk import Reply, StorageDesk, StoreLetter
from trio_gusto.actors.storekeeper import Storekeeper
from trio_gusto.storage.beside import Beside
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.storage import Answer

PRUNE, OTHER = Prune(0, 10), Prune(0, 20)


class Pruning(MemoryStorage):
    """Has removed as many as it was asked to look at."""

    def perform(self, write: Write) -> WriteReply | GustoError:
        assert isinstance(write, Prune)
        return Pruned(write.limit)


class Elsewhere(Pruning):
    """Is waited for."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        await trio.sleep(1)
        return await super().apply(writes)


class Apart(Elsewhere):
    """Can prune beside the groups, if it likes."""

    likes = True

    async def prune_apart(self, prune: Prune) -> Pruned | None:
        return Pruned(prune.limit + 1000) if self.likes else None


class Begins(Elsewhere):
    """Begins what it is handed, and leaves the answer to the test."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[tuple[Sequence[Write], Answer]] = []

    def submit(self, writes: Sequence[Write], answer: Answer) -> bool:
        self.begun.append((writes, answer))
        return True


class Between(Apart, Begins):
    """Puts something between, with an ``apply`` of its own."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        return await super().apply(writes)


@asynccontextmanager
async def serving(desk: StorageDesk) -> AsyncGenerator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(desk).run)
        await wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


def test_where_nothing_was_handed_in_nothing_is_under_way() -> None:
    desk = StorageDesk(MemoryStorage())
    state = (desk.is_crowded, desk.is_submitted, desk.serving, desk.is_closed)
    assert state == (False, False, False, False)
    assert (desk.kept, desk.left_in_memory()) == ([], 0)


# --- asking ---------------------------------------------------------------------------------------


async def test_a_storage_that_waits_for_nothing_is_asked_in_its_callers_step(
    autojump_clock: MockClock,
) -> None:
    """And nobody serves the mailbox."""
    desk, heard = StorageDesk(Pruning()), list[Reply]()
    with trio.fail_after(5):
        assert await desk.ask(PRUNE) == Pruned(10)
        letter = desk._hand_in(OTHER, heard.append)
    assert letter == Pruned(20)
    assert desk.mailbox.is_empty()


@pytest.mark.parametrize("storage", [Pruning, Elsewhere])
async def test_whoever_heeds_a_reply_is_given_it_besides_who_asks(
    autojump_clock: MockClock, storage: type[MemoryStorage]
) -> None:
    desk, heard = StorageDesk(storage()), list[Reply]()
    async with serving(desk):
        # The kinds of writes that are heeded have other replies, which do not matter to a desk.
        assert await desk.ask(PRUNE, heard.append) == Pruned(10)  # type: ignore[call-overload]
    assert heard == [Pruned(10)]


@pytest.mark.parametrize("storage", [Pruning, Elsewhere])
async def test_a_reply_is_heeded_though_who_asks_is_cancelled(
    autojump_clock: MockClock, storage: type[MemoryStorage]
) -> None:
    desk, heard = StorageDesk(storage()), list[Reply]()
    async with serving(desk):
        with trio.move_on_after(0) as scope:
            await desk.ask(PRUNE, heard.append)  # type: ignore[call-overload]
        assert scope.cancelled_caught
        await trio.sleep(2)
    assert heard == [Pruned(10)]


async def test_one_that_was_closed_says_so_and_what_to_do() -> None:
    desk = StorageDesk(Elsewhere())
    waiting = [desk.post(PRUNE), StoreLetter(OTHER)]
    desk.tell_last(waiting[1])
    desk.close()
    text = (
        "the queue is closed, so nothing can be stored any more; "
        "use it inside the block of app.running() or app.connected()"
    )
    answers = [await letter.answer() for letter in waiting]
    assert [str(answer) for answer in answers] == [text, text]
    with pytest.raises(StorageError, match=re.escape(text)):
        desk.post(PRUNE)
    with pytest.raises(StorageError, match="the queue is closed"):
        await desk.ask(PRUNE)
    assert desk.is_closed


# --- pruning --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("storage", "likes", "removed"),
    [
        (Elsewhere, True, 10),
        (Apart, True, 1010),
        (Apart, False, 10),
        (Between, True, 10),
    ],
    ids=["that cannot", "that can", "that does not like to", "that has something between"],
)
async def test_a_storage_is_asked_to_prune_beside_the_groups_if_it_can(
    autojump_clock: MockClock, storage: type[Elsewhere], likes: bool, removed: int
) -> None:
    its = storage()
    if isinstance(its, Apart):
        its.likes = likes
    desk = StorageDesk(its)
    async with serving(desk):
        assert await desk.prune(PRUNE) == Pruned(removed)


# --- lone callers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("storage", "may"), [(Begins, True), (Elsewhere, False), (Between, False)])
async def test_lone_callers_help_themselves_where_the_storage_can_begin_at_once(
    storage: type[Elsewhere], may: bool
) -> None:
    desk = StorageDesk(storage())
    async with serving(desk):
        assert desk.is_at_rest() is may


class BeginsAnew(Elsewhere):
    """Its ``submit`` is newer than the ``apply`` it has inherited."""

    submit = Begins.submit
    begun: Sequence[object] = ()


async def test_what_is_newer_than_apply_may_be_relied_on() -> None:
    desk = StorageDesk(BeginsAnew())
    async with serving(desk):
        assert desk.is_at_rest()


async def test_lone_callers_wait_their_turn_while_anything_else_is_under_way() -> None:
    desk = StorageDesk(Begins())
    assert not desk.is_at_rest(), "nobody serves it yet"
    async with serving(desk):
        desk.is_crowded = True
        assert not desk.is_at_rest()
        desk.is_crowded = False
        assert desk.is_at_rest()
        assert not desk.is_at_rest(), "once in a turn"


async def test_with_jobs_in_memory_nobody_helps_himself() -> None:
    desk = StorageDesk(Begins())
    async with serving(desk):
        desk.keep_in_memory()
        beside = desk.storage
        assert isinstance(beside, Beside)
        assert not desk.is_at_rest()
        desk.keep_in_memory()
        assert desk.storage is beside


async def test_what_a_lone_caller_begins_is_answered_to_each() -> None:
    storage = Begins()
    desk = StorageDesk(storage)
    async with serving(desk):
        assert desk.is_at_rest()
        first, last = desk.post(PRUNE), StoreLetter(OTHER)
        desk.tell_last(last)
        desk.submit()
        assert desk.is_submitted is True
        ((writes, answer),) = storage.begun
        assert writes == [PRUNE, OTHER]
        answer([Pruned(1), Pruned(2)])
        assert desk.is_submitted is False
        assert (await first.answer(), await last.answer()) == (Pruned(1), Pruned(2))


async def test_a_fault_of_what_was_begun_is_answered_to_each() -> None:
    storage = Begins()
    desk = StorageDesk(storage)
    async with serving(desk):
        assert desk.is_at_rest()
        letters = [desk.post(PRUNE), desk.post(OTHER)]
        desk.submit()
        ((_, answer),) = storage.begun
        fault = StorageError("no disk")
        answer(fault)
        assert [await letter.answer() for letter in letters] == [fault, fault]


async def test_a_storage_that_answers_too_few_is_complained_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = Begins()
    desk = StorageDesk(storage)
    async with serving(desk):
        assert desk.is_at_rest()
        first = desk.post(PRUNE)
        desk.post(OTHER)
        desk.submit()
        ((_, answer),) = storage.begun
        answer([Pruned(1)])
        assert await first.answer() == Pruned(1)
    (record,) = caplog.records
    assert record.getMessage() == "a reply of the storage could not be delivered"
    assert record.exc_info is not None


@pytest.mark.parametrize("how", ["does not", "breaks"])
async def test_what_the_storage_does_not_begin_is_left_to_the_storekeeper(
    autojump_clock: MockClock, how: str
) -> None:
    class Reluctant(Begins):
        def submit(self, writes: Sequence[Write], answer: Answer) -> bool:
            super().submit(writes, answer)
            if how == "breaks":
                raise ZeroDivisionError
            return False

    storage = Reluctant()
    desk = StorageDesk(storage)
    async with serving(desk):
        assert desk.is_at_rest()
        letter = desk.post(PRUNE)
        desk.submit()
        assert desk.is_submitted is False
        assert await letter.answer() == Pruned(10)
        await wait_all_tasks_blocked()
        assert desk.is_at_rest() is (how == "breaks"), "it has said that it never does"


# --- until all is done ----------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["serving", "is_submitted", "kept", "mailbox"])
async def test_it_has_finished_when_nothing_is_left_to_be_done(what: str) -> None:
    desk, ended = StorageDesk(Elsewhere()), list[str]()
    letter = StoreLetter(PRUNE)
    if what == "kept":
        desk.kept.append(letter)
    elif what == "mailbox":
        desk.tell(letter)
    else:
        setattr(desk, what, True)

    async def finish() -> None:
        await desk.finish()
        ended.append("finished")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(finish)
        await wait_all_tasks_blocked()
        desk.served.set()  # there is news, but not that
        await wait_all_tasks_blocked()
        assert ended == []
        desk.kept.clear()
        desk.mailbox.take_waiting()
        desk.serving = desk.is_submitted = False
        desk.served.set()
    assert ended == ["finished"]
