"""Storages that break one promise about new jobs, or about how they are found, each."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import attrs

from property_tests.broken.changed import Changed
from trio_gusto.model.errors import DuplicateJob, GustoError
from trio_gusto.model.job import JobRequest
from trio_gusto.model.states import Cancelled, Processing, Ready, Scheduled, Skipped
from trio_gusto.model.uniqueness import key_of
from trio_gusto.storage.finding_messages import Find, Get, Tally
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Commit, Insert, Inserted, Write, WriteReply


class ChangesRequests(Changed):
    def changed(self, request: JobRequest) -> JobRequest:
        raise NotImplementedError

    def told(self, write: Any) -> Any:
        if not isinstance(write, Insert):
            return write
        return attrs.evolve(write, requests=list(map(self.changed, write.requests)))


class LosesTimeouts(ChangesRequests):
    def changed(self, request: JobRequest) -> JobRequest:
        return attrs.evolve(request, timeout=None)


class NormalisesTexts(ChangesRequests):
    """Two ways to write one letter become one."""

    def changed(self, request: JobRequest) -> JobRequest:
        return attrs.evolve(request, args=unicodedata.normalize("NFC", request.args))


class BeginsSkippedJobs(Changed):
    def told(self, write: Any) -> Any:
        if not isinstance(write, Insert):
            return write
        states = [
            Ready(state.ended_at) if isinstance(state, Skipped) else state for state in write.states
        ]
        return attrs.evolve(write, states=states)


class StoresBackwards(Changed):
    def told(self, write: Any) -> Any:
        if not isinstance(write, Insert):
            return write
        return Insert(write.requests[::-1], write.states[::-1])


class ForgetsRefIds(Changed):
    def told(self, write: Any) -> Any:
        self._by_ref.clear()
        return write


class LooksOnlyAtWhatIsStored(Changed):
    """Of two in one message that are the same it takes the first."""

    def told(self, write: Any) -> Any:
        if not isinstance(write, Insert):
            return write
        pairs = dict[Any, Any]()
        for request, state in zip(write.requests, write.states, strict=True):
            ref_id = None if request.details is None else request.details.ref_id
            pairs.setdefault(ref_id or request.id, (request, state))
        return Insert([pair[0] for pair in pairs.values()], [pair[1] for pair in pairs.values()])


class LooksAtWhatWasBeforeTheGroup(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        before = set(self._jobs)
        return [
            Inserted()
            if isinstance(reply, DuplicateJob) and reply.existing_id.bytes not in before
            else reply
            for reply in await super().apply(writes)
        ]


class StoresTheFirstThousand(Changed):
    def told(self, write: Any) -> Any:
        return (
            Insert(write.requests[:1000], write.states[:1000]) if type(write) is Insert else write
        )


class ReplacesRunningJobs(Changed):
    def told(self, write: Any) -> Any:
        for request in write.requests if isinstance(write, Insert) else ():
            holder = self._keys._held.get(key_of(request) or "")
            replaces = request.details is not None and request.details.on_conflict == "replace"
            if replaces and holder is not None and isinstance(holder.state, Processing):
                self._keys.set_aside(holder)
        return write


class CallsOffBeforeItLooks(Changed):
    """What a new job replaces is called off, whether the new one is stored or not."""

    def told(self, write: Any) -> Any:
        for request in write.requests if isinstance(write, Insert) else ():
            holder = self._keys._held.get(key_of(request) or "")
            replaces = request.details is not None and request.details.on_conflict == "replace"
            if replaces and holder is not None and isinstance(holder.state, Ready):
                end = Cancelled(request.created_at, "replaced")
                self._commit(Commit(holder.request.id, holder.version, end, holder.attempt))
        return write


class FindsNothingByRefId(Changed):
    def asked(self, query: Any) -> Any:
        return attrs.evolve(query, ref_id=None) if isinstance(query, Get) else query


class ListsWholeHistories(Changed):
    def found(self, query: Any, reply: Any) -> Any:
        if isinstance(query, Find):
            for job in reply.jobs:
                job.history = self._jobs[job.request.id].history
        return reply


class FindsNoScheduledJobs(Changed):
    def found(self, query: Any, reply: Any) -> Any:
        if not isinstance(query, Find) or not query.states:
            return reply
        jobs = [job for job in reply.jobs if not isinstance(job.state, Scheduled)]
        return attrs.evolve(reply, jobs=jobs)


class CountsNothingAsSomething(Changed):
    """The oldest ready job is due at 0 when there is none."""

    def found(self, query: Any, reply: Any) -> Any:
        if not isinstance(query, Tally):
            return reply
        return attrs.evolve(reply, oldest_ready=reply.oldest_ready or 0)


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (LosesTimeouts, "a job is kept as it was asked for"),
    (BeginsSkippedJobs, "a job may begin in any state"),
    (NormalisesTexts, "odd texts survive"),
    (StoresBackwards, "sequences rise in the order of insertion"),
    (ForgetsRefIds, "a duplicate ref id is refused"),
    (LooksOnlyAtWhatIsStored, "duplicates inside one insert are refused"),
    (LooksAtWhatWasBeforeTheGroup, "a later message of a group sees the earlier ones"),
    (StoresTheFirstThousand, "thousands of jobs go in one insert"),
    (ReplacesRunningJobs, "a running job is not replaced"),
    (CallsOffBeforeItLooks, "what is refused replaces nothing"),
    (FindsNothingByRefId, "jobs are got by id and by ref id"),
    (ListsWholeHistories, "a list has the last record at most"),
    (FindsNoScheduledJobs, "every state can be looked for"),
    (CountsNothingAsSomething, "an empty storage counts nothing"),
]
