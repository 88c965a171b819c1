"""The ways in which a play is performed on a storage that is opened again and again."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from ....storage.batch_messages import Discard
from ..subject import Subject
from .play import Moment, look, same_replies, tell
from .seen import same_seen
from .ways import Way


async def all_that_was_told_is_there_when_it_is_opened_again(
    subject: Subject, moments: Sequence[Moment]
) -> None:
    """After each group; and what comes then is as if it had not been closed."""
    for moment in moments:
        same_replies(await tell(subject.storage, moment.writes), moment.replies, moment)
        await subject.reopen()
        same_seen(await look(subject.storage, moment), moment.seen, f"opened again {moment.when()}")


async def a_group_that_was_cut_off_is_there_as_a_whole_or_not_at_all(
    subject: Subject, moments: Sequence[Moment]
) -> None:
    """The caller is cancelled at once, or a little later, and the storage is opened again.

    A group that is not there is told once more.
    """
    for number, moment in enumerate(moments):
        if any(isinstance(write, Discard) for write in moment.writes):
            await tell(subject.storage, moment.writes)  # nothing would show whether it was done
            continue
        before = await look(subject.storage, moment)
        await cut_off(subject, moment, after=number % 4)
        await subject.reopen()
        found = await look(subject.storage, moment)
        if found == before:
            replies = await tell(subject.storage, moment.writes)
            if before != moment.seen:  # if not, nobody can tell whether it has been done before
                same_replies(replies, moment.replies, moment)
            found = await look(subject.storage, moment)
        same_seen(found, moment.seen, f"cut off {moment.when()}, which was begun or told again")


async def cut_off(subject: Subject, moment: Moment, *, after: int) -> None:
    """Tell a group, and cancel that after so many checkpoints."""

    async def cancel() -> None:
        for _ in range(after):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            await tell(subject.storage, moment.writes)


REOPENING_WAYS: tuple[Way, ...] = (
    all_that_was_told_is_there_when_it_is_opened_again,
    a_group_that_was_cut_off_is_there_as_a_whole_or_not_at_all,
)
