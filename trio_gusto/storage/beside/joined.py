"""Two replies, from a storage and from memory, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...model.errors import GustoError
from ...model.ids import JobId
from ...model.job import StoredJob
from ..finding_messages import Tallied
from ..lease_messages import StrandedJobs
from ..messages import Complete, Completions, Conflict, WriteReply
from .transient import Transient

Reply = WriteReply | GustoError


def complete(memory: Transient, write: Complete, answer: Reply | None) -> Reply:
    """Complete what is in memory; ``answer`` is what the storage has said of the rest."""
    if isinstance(answer, GustoError):
        return answer
    here: list[int] = []
    there: list[int] = []
    for position, claim in enumerate(write.claims):
        (here if memory.has(claim.request.id) else there).append(position)
    mine = memory.perform(
        Complete(
            [write.claims[position] for position in here],
            [write.states[position] for position in here],
        )
    )
    assert isinstance(mine, Completions)
    refused: dict[int, Conflict | GustoError] = {}
    awaited: tuple[JobId, ...] = mine.awaited
    parts: list[tuple[Sequence[int], Mapping[int, Conflict | GustoError]]] = [(here, mine.refused)]
    if isinstance(answer, Completions):
        parts.append((there, answer.refused))
        awaited = (*answer.awaited, *awaited)
    for positions, refusals in parts:
        refused.update((positions[index], reply) for index, reply in refusals.items())
    return Completions(refused, awaited)


def has_ref(job: StoredJob, ref_id: str) -> bool:
    """Whether the caller calls a job so."""
    details = job.request.details
    return details is not None and details.ref_id == ref_id


def tallied(theirs: Tallied, mine: Tallied) -> Tallied:
    """The counts of both."""
    counts = dict(theirs.counts)
    for key, count in mine.counts.items():
        counts[key] = counts.get(key, 0) + count
    oldest = [due for due in (theirs.oldest_ready, mine.oldest_ready) if due is not None]
    return Tallied(counts, min(oldest, default=None))


def stranded(theirs: StrandedJobs, mine: StrandedJobs) -> StrandedJobs:
    """What is stranded in either."""
    instants = [at for at in (theirs.next_at, mine.next_at) if at is not None]
    return StrandedJobs(
        [*theirs.lost, *mine.lost],
        [*theirs.overdue, *mine.overdue],
        min(instants, default=None),
        theirs.foreign,
        theirs.stages,
    )
