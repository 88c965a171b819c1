"""The ways in which a play is performed on a storage that is opened again and again."""

from __future__ import annotations

from collections.abc import Sequence

from ..subject import Subject
from .meanwhile import each_cut_off
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
    await each_cut_off(subject, moments, subject.reopen)


REOPENING_WAYS: tuple[Way, ...] = (
    all_that_was_told_is_there_when_it_is_opened_again,
    a_group_that_was_cut_off_is_there_as_a_whole_or_not_at_all,
)
