"""A bell rings until it is heard, tells all that has happened, and then is silent until more does."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto.storage.bells import Bells
from trio_gusto.storage.news import EVERYTHING, NOTHING, News


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


async def test_each_hears_what_has_happened_since_he_listened_last() -> None:
    bells = Bells()
    bells.hang("a")
    bells.ring(News.ENDED)
    bells.hang("b")
    bells.ring(News.WISHES)
    assert await bells.heard("a") == News.ENDED | News.WISHES
    assert await bells.heard("b") == News.WISHES
    bells.ring(News.AWAITED)
    assert await bells.heard("a") == News.AWAITED
    bells.ring()
    assert await bells.heard("a") == EVERYTHING


async def test_nothing_rings_no_bell() -> None:
    bells = Bells()
    bells.hang("a")
    bells.ring(NOTHING)
    assert not await is_heard(bells, "a")


async def test_who_has_left_hears_nothing() -> None:
    bells = Bells()
    bells.hang("a")
    bells.take_down("a")
    bells.ring()
    assert not await is_heard(bells, "a")


def test_those_who_have_a_bell_are_known() -> None:
    bells = Bells()
    bells.hang("a")
    bells.hang("b")
    assert (len(bells), list(bells)) == (2, ["a", "b"])
