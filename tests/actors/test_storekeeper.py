"""What waits together commits together; faults go to who asked, outcomes are kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import Gusto, GustoError, JobState, MemoryStorage, StorageError, call
from trio_gusto.actors.desk import StorageDesk, StoreLetter
from trio_gusto.actors.storekeeper import Storekeeper
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.storage import Answer
from trio_gusto.testing import VirtualClock


class Slow(MemoryStorage):
    """Takes a second for each transaction, and remembers how large each was."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[int] = []
        self.fault: StorageError | None = None

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        self.rounds.append(len(writes))
        await trio.sleep(1)
        if self.fault is not None:
            raise self.fault
        return await super().apply(writes)


class Insisting(StoreLetter):
    insist = True


PRUNE = Prune(0, 10)


async def test_letters_that_come_while_the_storage_is_busy_share_the_next_round(
    autojump_clock: MockClock,
) -> None:
    storage = Slow()
    desk = StorageDesk(storage)
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(desk).run)

        async def ask() -> None:
            assert await desk.ask(PRUNE) == Pruned(0)

        async with trio.open_nursery() as askers:
            askers.start_soon(ask)
            await trio.sleep(0.5)
            for _ in range(5):
                askers.start_soon(ask)
        assert storage.rounds == [1, 5]
        assert trio.current_time() == pytest.approx(2)
        nursery.cancel_scope.cancel()


async def test_a_fault_goes_to_who_asked_and_what_insists_is_tried_until_it_is_done(
    autojump_clock: MockClock,
) -> None:
    storage = Slow()
    desk = StorageDesk(storage)
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(desk).run)
        storage.fault = StorageError("no disk")
        letter = Insisting(PRUNE)
        desk.tell(letter)
        with pytest.raises(StorageError, match="no disk"):
            await desk.ask(PRUNE)
        await trio.sleep(60)
        pauses = len(storage.rounds)
        assert 15 < pauses < 30  # doubled up to two seconds, beside one for each try
        storage.fault = None
        assert await letter.answer() == Pruned(0)
        await desk.finish()
        nursery.cancel_scope.cancel()


async def test_a_caller_that_is_cancelled_leaves_and_its_write_is_done_still(
    autojump_clock: MockClock,
) -> None:
    storage = Slow()
    app = Gusto(storage, clock=VirtualClock())

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        with trio.move_on_after(0.5) as scope:
            await queue.enqueue(work)
        assert scope.cancelled_caught
        await trio.sleep(1)
        assert (await queue.stats()).by_state == {JobState.READY: 1}


async def test_a_storekeeper_that_dies_keeps_what_insists_and_answers_the_rest(
    autojump_clock: MockClock,
) -> None:
    storage = Slow()
    desk = StorageDesk(storage)
    letters = [Insisting(PRUNE), StoreLetter(PRUNE)]
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(desk).run)
        for letter in letters:
            desk.tell(letter)
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert isinstance(await letters[1].answer(), StorageError)
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(desk).run)
        assert await letters[0].answer() == Pruned(0)
        nursery.cancel_scope.cancel()


async def test_a_closed_desk_leaves_nobody_waiting(autojump_clock: MockClock) -> None:
    desk = StorageDesk(Slow())  # and no storekeeper serves it
    answers: list[str] = []

    async def ask() -> None:
        with pytest.raises(StorageError, match="closed"):
            await desk.ask(PRUNE)
        answers.append("closed")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        desk.tell(Insisting(PRUNE))
        desk.close()
    await ask()
    assert answers == ["closed"] * 2


async def test_one_bad_message_does_not_harm_its_neighbours(autojump_clock: MockClock) -> None:
    storage = Slow()
    app = Gusto(storage, clock=VirtualClock())

    @app.job
    async def work(number: int) -> None: ...

    async with app.connected() as queue:
        await queue.enqueue(work, 0, ref_id="taken")
        storage.rounds.clear()
        failed: list[str] = []

        async def enqueue(number: int) -> None:
            try:
                await queue.enqueue(work, number, ref_id="taken" if number == 2 else None)
            except GustoError as error:
                failed.append(f"{number}: {type(error).__name__}")

        async with trio.open_nursery() as nursery:
            for number in range(1, 5):
                nursery.start_soon(enqueue, number)
        assert storage.rounds == [4]
        assert failed == ["2: DuplicateJob"]
        assert {job.args for job in (await queue.find()).items} == {(0,), (1,), (3,), (4,)}
        assert await queue.enqueue_many([call(work, 5)])


async def test_a_letter_that_comes_while_the_storage_is_down_is_answered_at_the_next_try(
    autojump_clock: MockClock,
) -> None:
    """What is kept for another try must not keep those out who come meanwhile."""
    storage = Slow()
    desk = StorageDesk(storage)
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(desk).run)
        storage.fault = StorageError("no disk")
        desk.tell(Insisting(PRUNE))
        await trio.sleep(10)
        with trio.fail_after(10), pytest.raises(StorageError, match="no disk"):
            await desk.ask(PRUNE)
        nursery.cancel_scope.cancel()


class Elsewhere(MemoryStorage):
    """Begins what lone callers hand in, and is done when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[tuple[Sequence[Write], Answer]] = []

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        return await super().apply(writes)

    def submit(self, writes: Sequence[Write], answer: Answer) -> bool:
        self.begun.append((writes, answer))
        return True


async def test_a_storekeeper_that_is_stopped_waits_for_what_a_lone_caller_has_begun() -> None:
    storage = Elsewhere()
    desk = StorageDesk(storage)
    scope = trio.CancelScope()
    ended: list[str] = []

    async def serve() -> None:
        with scope:
            await Storekeeper(desk).run()
        ended.append("served")

    async def finish() -> None:
        await desk.finish()
        ended.append("finished")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await wait_all_tasks_blocked()
        assert desk.is_at_rest()
        letter = desk.post(PRUNE)
        desk.submit()
        for _ in range(2):
            nursery.start_soon(finish)
        scope.cancel()
        await wait_all_tasks_blocked()
        assert ended == []
        ((writes, answer),) = storage.begun
        assert writes == [PRUNE]
        answer([Pruned(3)])
        assert await letter.answer() == Pruned(3)
    assert sorted(ended) == ["finished", "finished", "served"]


def test_a_closed_desk_takes_no_letter() -> None:
    desk = StorageDesk(MemoryStorage())
    desk.close()
    with pytest.raises(StorageError, match="closed"):
        desk.post(PRUNE)
