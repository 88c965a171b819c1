"""A tree beside the block of its host: what comes out of both, and how the tree is asked to come down."""

from __future__ import annotations

from typing import cast

import pytest
import trio
from trio.testing import MockClock

from trio_gusto.actors.host import hosted
from trio_gusto.actors.tree import Drain, Tree


class Sapling:
    """Grows at once, and comes down a second after it was asked to; ``error`` is what it dies of then."""

    def __init__(self, error: BaseException | None = None, *, is_doomed: bool = False) -> None:
        self.up = trio.Event()
        self.drain = Drain()
        self.error = error
        self.is_doomed = is_doomed
        self.down_at: float | None = None

    async def run(self) -> None:
        with trio.CancelScope(shield=True):
            self.up.set()
            if not self.is_doomed:
                await self.drain.asked.wait()
            with self.drain.patience:
                await trio.sleep(1)
        self.down_at = trio.current_time()
        if self.error is not None:
            raise self.error


def as_tree(sapling: Sapling) -> Tree:
    return cast("Tree", sapling)


async def test_the_tree_comes_down_gracefully_after_the_block(autojump_clock: MockClock) -> None:
    tree = Sapling()
    async with hosted(as_tree(tree)) as given:
        assert given is as_tree(tree)
        await trio.sleep(5)
        assert not tree.drain.asked.is_set()
    assert (tree.drain.graceful, tree.down_at) == (True, 6)


async def test_an_exception_of_the_block_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    tree, error = Sapling(), KeyError("block")
    with pytest.raises(KeyError) as caught:
        async with hosted(as_tree(tree)):
            raise error
    assert caught.value is error
    assert (tree.drain.graceful, tree.down_at) == (True, 1)


async def test_what_the_tree_dies_of_comes_out_as_it_is_and_ends_the_block(
    autojump_clock: MockClock,
) -> None:
    error = KeyError("tree")
    tree = Sapling(error, is_doomed=True)
    with pytest.raises(KeyError) as caught:
        async with hosted(as_tree(tree)):
            await trio.sleep_forever()
    assert caught.value is error


async def test_of_a_tree_and_a_block_that_both_fail_both_are_told(
    autojump_clock: MockClock,
) -> None:
    of_tree, of_block = KeyError("tree"), ValueError("block")
    with pytest.raises(BaseExceptionGroup) as caught:
        async with hosted(as_tree(Sapling(of_tree))):
            raise of_block
    assert caught.value.message == "the app and its host block both failed"
    assert caught.value.exceptions == (of_tree, of_block)


async def test_a_host_that_is_cancelled_waits_for_the_last_words_only(
    autojump_clock: MockClock,
) -> None:
    tree = Sapling()
    with trio.move_on_after(3) as scope:
        async with hosted(as_tree(tree)):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert (tree.drain.graceful, tree.drain.growing.cancel_called, tree.down_at) == (False, True, 3)


async def test_a_host_that_loses_its_patience_meanwhile_waits_for_the_last_words_only(
    autojump_clock: MockClock,
) -> None:
    tree = Sapling()
    with trio.move_on_after(0.5) as scope:
        async with hosted(as_tree(tree)):
            pass
    assert scope.cancelled_caught
    assert (tree.drain.graceful, tree.down_at) == (False, 0.5)


async def test_an_exception_of_the_block_stands_though_the_host_loses_its_patience(
    autojump_clock: MockClock,
) -> None:
    error = KeyError("block")
    with trio.move_on_after(0.5), pytest.raises(KeyError) as caught:
        async with hosted(as_tree(Sapling())):
            raise error
    assert caught.value is error
