"""What waits together commits together; faults go to who asked, outcomes are kept."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import SimpleNamespace

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


async def test_while_the_storage_fails_each_pause_is_twice_as_long_and_told(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Slow()
    desk = StorageDesk(storage)
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(desk).run)
        for seconds in (12.0, 2.5):
            storage.fault = StorageError("no disk")
            desk.tell(Insisting(PRUNE))
            await trio.sleep(seconds)
            storage.fault = None
            await trio.sleep(9)
        nursery.cancel_scope.cancel()
    pauses = ["0.05", "0.10", "0.20", "0.40", "0.80", "1.60", "2.00", "0.05", "0.10"]
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.ERROR,
            f"the storage failed, next try in {pause} s: no disk",
        )
        for pause in pauses
    ]


async def test_a_fault_that_everybody_has_heard_of_makes_for_no_pause(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Slow()
    desk = StorageDesk(storage)
    storage.fault = StorageError("no disk")
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(desk).run)
        for _ in range(2):
            with pytest.raises(StorageError, match="no disk"):
                await desk.ask(PRUNE)
        assert trio.current_time() == 2
        nursery.cancel_scope.cancel()
    assert caplog.messages == []


class Broken(MemoryStorage):
    """Has a defect."""

    def __init__(self, *, answers: int | None) -> None:
        super().__init__()
        self.answers = answers

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        await trio.lowlevel.checkpoint()
        if self.answers is None:
            raise ZeroDivisionError("a defect")
        return [Pruned(0)] * self.answers


async def test_a_defect_of_the_storage_leaves_no_caller_waiting_and_is_heard_of() -> None:
    desk = StorageDesk(Broken(answers=None))
    letters = [Insisting(PRUNE), StoreLetter(PRUNE)]
    for letter in letters:
        desk.tell(letter)
    with pytest.raises(ZeroDivisionError):
        await Storekeeper(desk).run()
    answer = await letters[1].answer()
    assert isinstance(answer, StorageError)
    assert str(answer) == "the storage broke: ZeroDivisionError('a defect')"
    assert desk.kept == letters[:1]


@pytest.mark.parametrize("answers", [1, 3])
async def test_a_storage_that_answers_too_few_or_too_many_is_broken(answers: int) -> None:
    desk = StorageDesk(Broken(answers=answers))
    for _ in range(2):
        desk.tell(StoreLetter(PRUNE))
    with pytest.raises(ValueError, match="zip"):
        await Storekeeper(desk).run()


class Sized(StoreLetter):
    """About so many jobs."""

    def __init__(self, size: int) -> None:
        super().__init__(PRUNE)
        self.jobs = size

    @property
    def size(self) -> int:
        return self.jobs


@pytest.mark.parametrize(
    ("is_crowded", "first", "then", "size"),
    [
        pytest.param(False, 1, [1, 1], 1, id="a lone caller"),
        pytest.param(True, 1, [1, 1, 0, 1], 3, id="until a turn brings nothing"),
        pytest.param(True, 1, [1] * 9, 5, id="four turns at most"),
        pytest.param(True, 63, [1, 1, 1], 64, id="until it is enough"),
        pytest.param(True, 64, [1], 64, id="enough at once"),
        pytest.param(True, 0, [1], 0, id="nothing yet"),
    ],
)
async def test_in_a_crowd_a_round_waits_for_its_neighbours(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    is_crowded: bool,
    first: int,
    then: list[int],
    size: int,
) -> None:
    desk = StorageDesk(Slow())
    desk.is_crowded = is_crowded
    turns = iter(then)

    def take_waiting() -> list[Sized]:
        jobs = next(turns)
        return [Sized(jobs)] if jobs else []

    mailbox = SimpleNamespace(take_waiting=take_waiting, take_last=list)
    monkeypatch.setattr(desk, "mailbox", mailbox)
    letters: list[StoreLetter] = [Sized(first)]
    assert await Storekeeper(desk)._round(letters) is None
    assert sum(letter.size for letter in letters) == size
    assert desk.is_crowded is (size > 4)


@pytest.mark.parametrize(("size", "is_crowded"), [(4, False), (5, True)])
async def test_more_than_a_few_are_a_crowd(
    autojump_clock: MockClock, size: int, is_crowded: bool
) -> None:
    desk = StorageDesk(Slow())
    await Storekeeper(desk)._round([Sized(size)])
    assert desk.is_crowded is is_crowded


async def test_what_is_on_its_way_is_waited_for(autojump_clock: MockClock) -> None:
    desk = StorageDesk(Slow())
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(desk).run)
        desk.tell(StoreLetter(PRUNE))
        await trio.sleep(0.5)
        await desk.finish()
        assert trio.current_time() == 1
        nursery.cancel_scope.cancel()


async def test_a_round_of_nothing_does_not_trouble_the_storage() -> None:
    storage = Slow()
    assert await Storekeeper(StorageDesk(storage))._round([]) is None
    assert storage.rounds == []


async def test_what_a_lone_caller_has_begun_is_not_waited_for_without_end(
    autojump_clock: MockClock,
) -> None:
    desk = StorageDesk(Slow())
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(desk).run)
        await trio.sleep(1)
        desk.is_submitted = True
        nursery.cancel_scope.cancel()
    assert trio.current_time() == 31


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
