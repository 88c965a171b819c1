"""The end of the thread: what is left to do is done in it, whoever is cancelled, and one that hangs is left behind."""

from __future__ import annotations

import threading

import pytest
import trio

from trio_gusto.storage.sqlite import thread as thread_module
from trio_gusto.storage.sqlite.thread import DatabaseThread


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_what_is_left_is_done_in_the_thread_and_looked_at_once_more(
    is_cancelled: bool,
) -> None:
    thread = DatabaseThread("under test")
    own = await thread.run(threading.current_thread)
    finished: list[threading.Thread] = []
    with trio.CancelScope() as scope:
        if is_cancelled:
            scope.cancel()
        await thread.close(lambda: finished.append(threading.current_thread()))
    assert finished == [own, threading.current_thread()]
    assert not own.is_alive()


async def test_a_thread_that_hangs_is_left_behind_in_time_with_what_it_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thread_module, "_CLOSING", 0.01)
    thread = DatabaseThread("under test")
    own = await thread.run(threading.current_thread)
    begun, go_on = threading.Event(), threading.Event()
    finished: list[str] = []

    def hang() -> None:
        begun.set()
        assert go_on.wait(60)

    thread.begin(hang, lambda _: None)
    assert begun.wait(5)
    await thread.close(lambda: finished.append("in use still"))
    assert own.is_alive()
    assert finished == []
    go_on.set()
    own.join(5)
    assert not own.is_alive()
