"""The ways in which a play is performed; in each of them all has to be as it was recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from ....model.errors import GustoError, StorageError
from ....model.states import JobState
from ....storage.batch_messages import Discard
from ....storage.finding_messages import Find
from ....storage.messages import ClaimDue, Conflict, Write, WriteReply
from ....storage.retention_messages import Prune
from ....storage.storage import Storage
from ..subject import EVERYTHING, Subject, same
from .meanwhile import (
    a_group_that_was_cut_off_is_done_as_a_whole_or_not_at_all,
    whoever_looks_meanwhile_sees_a_group_as_a_whole_or_not_at_all,
)
from .play import Moment, Reply, look, numbered, same_replies, tell
from .props import Props
from .refusals import check_refused, hopeless, outdated, versions
from .seen import same_seen

Way = Callable[[Subject, Sequence[Moment]], Awaitable[None]]
"""Performs the moments of a play on a fresh storage; its name is the sentence."""

REMEMBERED = 20
"""How many of the last writes are told again under tokens that hold no more."""

NOT_AGAIN = (ClaimDue, Discard, Prune)
"""Of these each does a little more."""


async def what_is_told_is_done(subject: Subject, moments: Sequence[Moment]) -> None:
    for moment in moments:
        same_replies(await tell(subject.storage, moment.writes), moment.replies, moment)
        same_seen(await look(subject.storage, moment), moment.seen, moment.when())


async def a_group_does_what_its_writes_do_one_by_one(
    subject: Subject, moments: Sequence[Moment]
) -> None:
    for moment in moments:
        replies = [
            reply for write in moment.writes for reply in await tell(subject.storage, [write])
        ]
        same_replies(replies, moment.replies, moment)
        same_seen(await look(subject.storage, moment), moment.seen, f"one by one {moment.when()}")


async def a_submitted_group_does_what_an_applied_one_does(
    subject: Subject, moments: Sequence[Moment]
) -> None:
    """For storages that take any."""
    for moment in moments:
        replies = await submitted(subject.storage, await numbered(subject.storage, moment.writes))
        if replies is None:
            return
        same_replies(replies, moment.replies, moment)
        same_seen(await look(subject.storage, moment), moment.seen, f"submitted {moment.when()}")


async def submitted(storage: Storage, writes: Sequence[Write]) -> Sequence[Reply] | None:
    """The replies to a group that was submitted; ``None`` when the storage took none."""
    answers: list[Sequence[WriteReply | GustoError] | StorageError] = []
    answered = trio.Event()

    def answer(replies: Sequence[WriteReply | GustoError] | StorageError) -> None:
        answers.append(replies)
        answered.set()

    if not storage.submit(writes, answer):
        same(answers, [], "the answers to a group that was not taken")
        return None
    await answered.wait()
    same(len(answers), 1, "the number of answers to a group that was submitted")
    if isinstance(answers[0], StorageError):
        raise answers[0]
    return answers[0]


async def what_is_told_twice_counts_once(subject: Subject, moments: Sequence[Moment]) -> None:
    """As by somebody who has not heard the reply; but for what was refused and may be done by now."""
    for moment in moments:
        same_replies(await tell(subject.storage, moment.writes), moment.replies, moment)
        again = [
            write
            for write, reply in zip(moment.writes, moment.replies, strict=True)
            if not isinstance(write, NOT_AGAIN) and not isinstance(reply, GustoError | Conflict)
        ]
        await tell(subject.storage, again)
        same_seen(await look(subject.storage, moment), moment.seen, f"told twice {moment.when()}")


async def a_token_that_does_not_hold_changes_nothing(
    subject: Subject, moments: Sequence[Moment]
) -> None:
    """Neither one of an earlier lease or version, nor one that is yet to come."""
    told: list[Write] = []
    for moment in moments:
        same_replies(await tell(subject.storage, moment.writes), moment.replies, moment)
        told = [*told, *moment.writes][-REMEMBERED:]
        late = list(outdated(told, await versions(subject.storage)))
        check_refused(late, await subject.apply(late), "under a token that does not hold")
        when = f"when writes were refused {moment.when()}"
        same_seen(await look(subject.storage, moment), moment.seen, when)


async def a_refused_write_harms_nobody_in_its_group(
    subject: Subject, moments: Sequence[Moment]
) -> None:
    """Wherever it stands, and nothing of it is done, though a part could be."""
    for number, moment in enumerate(moments):
        jobs = (await subject.storage.read(Find(EVERYTHING))).jobs
        known = [job.request.id for job in jobs]
        running = {
            job.request.id: job.version for job in jobs if job.state.word is JobState.PROCESSING
        }
        bad = hopeless(Props(1_000 * (number + 1)), known, running)
        good = moment.writes
        # What is deleted leaves its id to others, who are not refused then.
        again = [] if any(isinstance(write, Prune) for write in good) else bad
        replies = await tell(subject.storage, [*bad, *good, *again])
        first, last = len(bad), len(bad) + len(good)
        same_replies(replies[first:last], moment.replies, moment)
        bad_replies = [*replies[:first], *replies[last:]]
        check_refused([*bad, *again], bad_replies, "that cannot be done as a whole")
        when = f"when others of the group were refused {moment.when()}"
        same_seen(await look(subject.storage, moment), moment.seen, when)


WAYS: tuple[Way, ...] = (
    what_is_told_is_done,
    a_group_does_what_its_writes_do_one_by_one,
    a_submitted_group_does_what_an_applied_one_does,
    what_is_told_twice_counts_once,
    a_token_that_does_not_hold_changes_nothing,
    a_refused_write_harms_nobody_in_its_group,
    whoever_looks_meanwhile_sees_a_group_as_a_whole_or_not_at_all,
    a_group_that_was_cut_off_is_done_as_a_whole_or_not_at_all,
)
