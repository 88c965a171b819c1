"""The listener passes on that others have changed something, in order and not too often."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import MemoryStorage, StorageError
from trio_gusto.actors.listener import FAULT_PAUSE, Listener


class Changing(MemoryStorage):
    """Changes every two seconds; the second time it cannot tell."""

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
        [lambda: ear("first"), lambda: ear("second")],
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
