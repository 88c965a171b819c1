"""What is put by for batches: no job yet, and seen by nobody."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from ...model.errors import BatchError
from ...model.ids import JobId, to_uuid
from ...model.job import JobRequest
from ...model.states import State
from ..batch_messages import Discard, Discarded, InsertBatch, Stage, Staged
from ..messages import Insert

_STAGED = Staged()


@attrs.define
class Pile:
    """What is staged under one name."""

    node: str
    requests: list[JobRequest] = attrs.field(factory=list[JobRequest])
    states: list[State] = attrs.field(factory=list[State])
    is_abandoned: bool = False
    """Whether some of it was thrown away."""

    def whole(self) -> int:
        """How many jobs there are of which none is missing."""
        return 0 if self.is_abandoned else len(self.requests)


class Staging:
    """All piles."""

    def __init__(self) -> None:
        self._piles: dict[JobId, Pile] = {}

    def put(self, stage: Stage) -> Staged | BatchError:
        """Add to a pile."""
        pile = self._piles.get(stage.stage)
        found = 0 if pile is None else pile.whole()
        if found != stage.position or (pile is not None and pile.is_abandoned):
            return BatchError.unstaged(to_uuid(stage.batch), stage.position, found)
        if pile is None:
            pile = self._piles[stage.stage] = Pile(stage.node)
        pile.requests += stage.jobs.requests
        pile.states += stage.jobs.states
        return _STAGED

    def discard(self, discard: Discard) -> Discarded:
        """Throw away a part of a pile, and with its last job the pile."""
        pile = self._piles.get(discard.stage)
        if pile is None:
            return Discarded(0)
        count = min(discard.limit, len(pile.requests))
        del pile.requests[:count], pile.states[:count]
        pile.is_abandoned = True
        if not pile.requests:
            del self._piles[discard.stage]
        return Discarded(count)

    def jobs_of(self, write: InsertBatch) -> Insert | BatchError:
        """All jobs of a message, with what is staged for it."""
        if write.stage is None:
            return write.jobs
        pile = self._piles.get(write.stage)
        found = 0 if pile is None else pile.whole()
        if pile is None or pile.is_abandoned or found != write.staged:
            return BatchError.unstaged(to_uuid(write.batch.id), write.staged, found)
        return Insert([*pile.requests, *write.jobs.requests], [*pile.states, *write.jobs.states])

    def drop(self, stage: JobId | None) -> None:
        """What was staged are jobs now."""
        if stage is not None:
            del self._piles[stage]

    def left_behind(self, present: Collection[str]) -> list[JobId]:
        """The piles of nodes that are not there."""
        return [stage for stage, pile in self._piles.items() if pile.node not in present]
