"""Plays: groups of writes, one after the other, with what they have to be answered and to show.

A play is a generator: it yields groups of writes and is sent the replies, or yields a question and is
sent the answer. It is recorded once, on a `MemoryStorage`; what is checked on other storages is the
record, which decides nothing any more. So the same play can be performed in many ways.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from typing import Any

import attrs

from ....model.errors import GustoError
from ....model.ids import JobId
from ....storage.lease_messages import Renewed
from ....storage.memory import MemoryStorage
from ....storage.messages import (
    ClaimDue,
    ClaimReply,
    Committed,
    Completions,
    Inserted,
    Query,
    Write,
    WriteReply,
)
from ....storage.pause_messages import HeardPauses, Pauses
from ....storage.report_messages import Report, Reported
from ....storage.retention_messages import Pruned
from ....storage.storage import Storage
from ..subject import NOW, same
from .seen import Seen, difference, seen

Reply = WriteReply | GustoError

Act = list[Write] | Query

Play = Generator[Act, Any, None]
"""A play as it is written."""

Make = Callable[[Storage], Play]
"""Makes a play of what a storage can keep."""


@attrs.frozen
class Moment:
    """A group of writes, the replies to it, and what is to be seen afterwards."""

    writes: Sequence[Write]
    replies: Sequence[Reply]
    seen: Seen
    now: int
    """The latest instant at which anything was claimed."""
    told: tuple[JobId, ...]
    """The jobs of which something was reported."""

    def when(self) -> str:
        """A clause that names it."""
        told = Counter(type(write).__name__ for write in self.writes)
        named = [name if count == 1 else f"{count} {name}" for name, count in told.items()]
        return f"after {', '.join(named) or 'nothing'}"


NOTHING = Moment((), (), {}, NOW, ())


_RECORDS: dict[tuple[Make, bool, bool, bool], Sequence[Moment]] = {}
"""What was recorded in this process. A play is the same each time, and its record is never changed."""


async def recorded(make: Make, storage: Storage) -> Sequence[Moment]:
    """The record of a play, made once for all storages that keep the same."""
    kept = make, storage.keeps_reports, storage.keeps_children, storage.keeps_rates
    if kept not in _RECORDS:
        _RECORDS[kept] = await record(make, storage)
    return _RECORDS[kept]


async def record(make: Make, storage: Storage) -> list[Moment]:
    """The moments of a play, performed by the reference as a storage like ``storage`` should."""
    reference = MemoryStorage()
    await reference.attach("recorder")
    reference.keeps_reports, reference.keeps_rates = storage.keeps_reports, storage.keeps_rates
    moments: list[Moment] = []
    last = NOTHING
    play = make(storage)
    answer: object = None
    try:
        while True:
            act = play.send(answer)
            if not isinstance(act, list):
                answer = await reference.read(act)
                continue
            answer = replies = await tell(reference, act)
            last = await moment(reference, act, replies, last)
            moments.append(last)
    except StopIteration:
        return moments
    finally:
        await reference.detach("recorder")


async def moment(
    storage: Storage, writes: Sequence[Write], replies: Sequence[Reply], last: Moment
) -> Moment:
    """What has become of a storage that is at ``last`` no more."""
    told = dict.fromkeys(last.told)
    now = last.now
    for write in writes:
        if isinstance(write, ClaimDue):
            now = max(now, write.now)
        elif isinstance(write, Report):
            told.update(dict.fromkeys(saying.job_id for saying in write.sayings))
    return Moment(writes, replies, await seen(storage, now, told), now, tuple(told))


async def look(storage: Storage, at: Moment) -> Seen:
    """What can be seen of a storage that should be at this moment."""
    return await seen(storage, at.now, at.told)


async def tell(storage: Storage, writes: Sequence[Write]) -> Sequence[Reply]:
    """The replies to a group, as many as it has writes."""
    replies = await storage.apply(await numbered(storage, writes))
    same(len(replies), len(writes), "the number of replies to a group of writes")
    return replies


async def numbered(storage: Storage, writes: Sequence[Write]) -> Sequence[Write]:
    """The same writes, where those who have heard of pauses have heard of all there are before the group.

    The numbers of pauses are the storage's own.
    """
    if not any(isinstance(write, HeardPauses) for write in writes):
        return writes
    pauses = (await storage.read(Pauses(NOW))).pauses
    last = max((pause.number for pause in pauses), default=0)
    return [
        attrs.evolve(write, number=last) if isinstance(write, HeardPauses) else write
        for write in writes
    ]


def same_replies(found: Sequence[Reply], wanted: Sequence[Reply], at: Moment) -> None:
    """Raise an AssertionError unless the replies to a group are those of the record."""
    for position, (write, one, other) in enumerate(zip(at.writes, found, wanted, strict=True)):
        reply, right = essence(one), essence(other)
        if reply != right:
            of = f"the reply to the {type(write).__name__} at position {position} of a group"
            raise AssertionError(f"{of}: {difference(reply, right)}")


def essence(reply: Reply) -> object:
    """What has to be the same of a reply, whoever gives it."""
    match reply:
        case GustoError():
            return type(reply).__name__, vars(reply)
        case ClaimReply(jobs=jobs):
            return attrs.evolve(reply, jobs=tuple(jobs))
        case Committed(awaited=awaited, inserted=inserted):
            return Committed, sorted(awaited), inserted and essence(inserted)
        case Inserted(existing=existing, replaced=replaced, awaited=awaited):
            return Inserted, dict(existing), replaced, sorted(awaited)
        case Completions(refused=refused, awaited=awaited):
            each = {position: essence(why) for position, why in refused.items()}
            return Completions, each, sorted(awaited)
        case Renewed(lost=lost, cancels=cancels):
            return Renewed, sorted(lost), sorted(cancels)
        case Reported(refused=refused):
            return Reported, sorted(refused)
        case Pruned(count=count):
            return Pruned, count  # whether there may be more, storages know more or less exactly
        case _:
            return reply
