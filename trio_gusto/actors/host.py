"""A tree beside the block of its host: grown before the block, brought down after it.

Rule: the host's cancellation is for the block. The tree is shielded from it, so that actors write their
last words; it is told to come down instead, whether it is up already or still growing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from .tree import Tree


@asynccontextmanager
async def hosted(tree: Tree) -> AsyncGenerator[Tree]:
    """Run ``tree`` beside the block, and bring it down when the block ends.

    An exception of the block comes out as it is, not in a group; so does what the tree died of.
    """
    ended = trio.Event()
    of_block: BaseException | None = None

    async def grow() -> None:
        try:
            await tree.run()
        finally:
            ended.set()

    try:
        async with trio.open_nursery() as nursery:
            # Not `nursery.start`: in a cancelled scope that would wait for the end of the tree.
            nursery.start_soon(grow)
            try:
                await tree.up.wait()
                yield tree
            except BaseException as error:  # noqa: BLE001 - raised again below, when the tree is down
                of_block = error
            tree.drain.ask(graceful=not isinstance(of_block, trio.Cancelled))
            try:
                await ended.wait()
            except BaseException as error:  # noqa: BLE001 - raised again below, like the block's own
                # The host lost its patience while we drained, by a cancellation or a second
                # Ctrl-C: no more than the final writes now.
                tree.drain.ask(graceful=False)
                of_block = of_block or error
    except BaseExceptionGroup as group:
        raise _without_shell(group, of_block) from None
    if of_block is not None:
        raise of_block


def _without_shell(group: BaseExceptionGroup[BaseException], of_block: object) -> BaseException:
    """The one exception that brought the tree down, out of the nursery's group around it."""
    errors = list(group.exceptions)
    if isinstance(of_block, BaseException) and not isinstance(of_block, trio.Cancelled):
        errors.append(of_block)
    if len(errors) == 1:
        return errors[0]
    return BaseExceptionGroup("the app and its host block both failed", errors)
