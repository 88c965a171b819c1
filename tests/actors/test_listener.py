"""The listener passes on what others have changed to whom it concerns, in order and not too often."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import MemoryStorage, StorageError
from trio_gusto.actors.listener import FAULT_PAUSE, Listener
from trio_gusto.storage.news import EVERYTHING, NOTHING, News


class Changing(MemoryStorage):
    """Changes every two seconds, it does not say how; the second time it cannot tell even that."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[float, str]] = []

    async def wait_changed(self, node: str) -> None:
        self.asked.append((trio.current_time(), node))
        await trio.sleep(2)
        if len(self.asked) == 2:
            raise StorageError("no disk")


@pytest.mark.parametrize(
    ("calm", "acts", "asked_at", "heard_at"),
    [
        (0.0, False, [0, 2, 5, 7], [2, 5, 7, 9]),
        (0.5, False, [0, 2.5, 6, 8.5], [2, 5.5, 8, 10.5]),
        (0.0, True, [0, 2.25, 5.5, 7.75], [2, 5.25, 7.5, 9.75]),
    ],
)
async def test_everybody_hears_of_a_change_and_then_it_is_calm(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    calm: float,
    acts: bool,
    asked_at: list[float],
    heard_at: list[float],
) -> None:
    storage = Changing()
    heard: list[tuple[str, float]] = []

    def ear(name: str) -> None:
        heard.append((name, trio.current_time()))

    async def act() -> None:
        ear("third")
        await trio.sleep(0.25)

    listener = Listener(
        "node",
        storage,
        [(News.ENDED, lambda: ear("first")), (News.CLAIMABLE, lambda: ear("second"))],
        act if acts else None,
        calm=calm,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.run)
        await trio.sleep(heard_at[-1] + 0.1)
        nursery.cancel_scope.cancel()
    ears = ["first", "second", *(["third"] if acts else [])]
    assert heard == [(ear, at) for at in heard_at for ear in ears]
    assert storage.asked[:4] == [(at, "node") for at in asked_at]
    assert FAULT_PAUSE == 1.0
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.WARNING,
            "changes by other processes cannot be heard of: no disk",
        )
    ]


class Telling(MemoryStorage):
    """Says what has happened."""

    def __init__(self, *news: News) -> None:
        super().__init__()
        self._news = list(news)

    async def wait_changed(self, node: str) -> News | None:
        if not self._news:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        return self._news.pop(0)


@pytest.mark.parametrize(
    ("news", "heard"),
    [
        (NOTHING, []),
        (News.ENDED, ["ended"]),
        (News.CLAIMABLE | News.AWAITED, ["claimable"]),
        (News.WISHES, ["wishes"]),
        (News.ENDED | News.WISHES, ["ended", "wishes"]),
        (EVERYTHING, ["ended", "claimable", "wishes"]),
    ],
)
@pytest.mark.parametrize("heeds", [True, False])
async def test_only_those_hear_whom_it_concerns(news: News, heard: list[str], heeds: bool) -> None:
    told: list[str] = []

    async def heed() -> None:
        await trio.lowlevel.checkpoint()
        told.append("wishes")

    listener = Listener(
        "node",
        Telling(news),
        [
            (News.ENDED, lambda: told.append("ended")),
            (News.CLAIMABLE, lambda: told.append("claimable")),
        ],
        heed if heeds else None,
        calm=0.0,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert told == [name for name in heard if heeds or name != "wishes"]
