"""A bell stays rung until it is heard, and then is silent until something changes again."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto.storage.sqlite.bells import Bells


async def is_heard(bells: Bells, node: str) -> bool:
    """Whether there is something to be heard now, without waiting for it."""
    heard = False

    async def listen() -> None:
        nonlocal heard
        await bells.heard(node)
        heard = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return heard


async def test_a_change_is_heard_once_by_everybody() -> None:
    bells = Bells()
    bells.hang("a")
    assert not await is_heard(bells, "a")
    bells.hang("b")
    bells.ring()
    bells.ring()
    for node in ("a", "b"):
        assert await is_heard(bells, node)
        assert not await is_heard(bells, node)
    bells.ring()
    assert await is_heard(bells, "a")
    assert await is_heard(bells, "b")


async def test_who_leaves_while_he_listens_does_not_come_back() -> None:
    bells = Bells()
    bells.hang("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bells.heard, "a")
        await wait_all_tasks_blocked()
        bells.ring()
        bells.take_down("a")
    assert not bells
    bells.take_down("a")
