"""The jobs of an open block: a few of them here, the others put by in the storage.

However many are poured in, what is kept here is one slice of them, and a few bytes for each if somebody
wants to be told of it.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import trio

from ..model.errors import GustoError
from ..model.facts import JobEnqueued
from ..model.ids import JobId, to_uuid
from ..model.instants import to_datetime
from ..model.job import JobRequest
from ..model.lifecycle import admit
from ..model.states import JobState, Ready, Scheduled, State
from ..storage.messages import Insert

if TYPE_CHECKING:
    from .jobqueue import JobQueue

logger = logging.getLogger("trio_gusto")

SLICE = 250
"""Jobs that are put by in one go: many enough to make a transaction worth while, and few enough to be
drafted in a small part of the time in which the event loop has to come round."""

DISCARDING = 5.0
"""Seconds for throwing away what an abandoned block has staged; what is left then is swept."""

_FACT = struct.Struct(">16sqI")

Kind = tuple[str, str, JobState]
"""What facts of many jobs have in common: the handler's name, the queue, the first state."""


class Staging:
    """What one block has taken."""

    def __init__(self, queue: JobQueue, batch_id: JobId) -> None:
        self._queue = queue
        self._batch_id = batch_id
        self.stage: JobId | None = None
        """Under which name jobs are put by; ``None`` as long as none are."""
        self.staged = 0
        """How many are."""
        self.held: list[JobRequest] = []
        """The others; they come after those."""
        self.is_incomplete = False
        """Whether jobs are missing that the block was given."""
        self.earliest: int | None = None
        """The first instant at which one of those put by falls due."""
        self.is_expiring = False
        """Whether one of those put by has an ``expire_on``."""
        self._facts = bytearray()
        self._kinds: dict[Kind, int] = {}

    async def put_by(self) -> None:
        """Hand over to the storage the first slice of what is held."""
        requests, self.held = self.held[:SLICE], self.held[SLICE:]
        states = [admit(request) for request in requests]
        if self.stage is None:
            self.stage = self._queue.new_id()
        position, self.staged = self.staged, self.staged + len(requests)
        for request, state in zip(requests, states, strict=True):
            self._note(request, state)
        jobs = Insert(requests, states)
        await self._queue.put_by(self.stage, self._batch_id, position, jobs)

    async def discard(self) -> None:
        """The block is abandoned, so nothing of it is to be left. Never raises a fault."""
        stage, self.stage, self.held = self.stage, None, []
        if stage is None:
            return
        # Shielded: a cancelled block would leave it to the sweeper of another start, and what is
        # waited for are a few short transactions, with a deadline.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + DISCARDING):
            try:
                while await self._queue.discard(stage, SLICE) == SLICE:
                    pass
            except GustoError as fault:
                logger.warning(
                    "jobs put by for batch %s are left to a sweep: %s",
                    to_uuid(self._batch_id),
                    fault,
                )

    def facts(self) -> Iterator[JobEnqueued]:
        """What is to be told of those put by, once they are stored."""
        kinds = list(self._kinds)
        for job_id, created_at, number in _FACT.iter_unpack(self._facts):
            name, queue, state = kinds[int(number)]
            yield JobEnqueued(
                at=to_datetime(created_at),
                job_id=to_uuid(JobId(job_id)),
                name=name,
                queue=queue,
                state=state,
            )

    def _note(self, request: JobRequest, state: State) -> None:
        if isinstance(state, Ready | Scheduled):
            is_first = self.earliest is None or state.due < self.earliest
            self.earliest = state.due if is_first else self.earliest
        self.is_expiring = self.is_expiring or request.expire_on is not None
        if self._queue.is_heard():
            kind = (request.name, request.queue, state.word)
            number = self._kinds.setdefault(kind, len(self._kinds))
            self._facts += _FACT.pack(request.id, request.created_at, number)
