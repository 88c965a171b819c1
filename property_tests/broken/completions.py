"""Storages that break one promise about many successes in one message each."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from trio_gusto.model.errors import GustoError
from trio_gusto.model.states import Processing
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.index import Index
from trio_gusto.storage.messages import (
    Complete,
    Completions,
    Conflict,
    Write,
    WriteReply,
)


class ForgetsTheTokensOfSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        claims = [
            attrs.evolve(claimed, token=self._jobs[claimed.request.id].version)
            if claimed.request.id in self._jobs
            else claimed
            for claimed in complete.claims
        ]
        return super()._complete(attrs.evolve(complete, claims=claims))


class ForgetsToRaiseTheVersionsOfSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        reply = super()._complete(complete)
        for position, claimed in enumerate(complete.claims):
            if position not in reply.refused:
                self._jobs[claimed.request.id].version = claimed.token
        return reply


class RefusesAllBecauseOfOne(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        held = self._index.processing
        claims = complete.claims
        if all(
            claimed.request.id in held and held[claimed.request.id].version == claimed.token
            for claimed in claims
        ):
            return super()._complete(complete)
        return Completions(dict.fromkeys(range(len(claims)), Conflict()))


class StopsAtTheFirstRefused(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        for position in range(len(complete.claims)):
            until = Complete(complete.claims[: position + 1], complete.states[: position + 1])
            last = Complete(until.claims[-1:], until.states[-1:])
            if super()._complete(last).refused:
                rest = range(position, len(complete.claims))
                return Completions(dict.fromkeys(rest, Conflict()))
        return Completions()


class CountsTheRefused(MemoryStorage):
    """From nought, wherever they stand."""

    def _complete(self, complete: Complete) -> Completions:
        return Completions(dict(enumerate(super()._complete(complete).refused.values())))


class HidesWhatItRefused(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        super()._complete(complete)
        return Completions()


class SettlesWhatIsGone(MemoryStorage):
    """Or says so."""

    def _complete(self, complete: Complete) -> Completions:
        refused = super()._complete(complete).refused
        return Completions(
            {
                position: reply
                for position, reply in refused.items()
                if complete.claims[position].request.id in self._jobs
            }
        )


class CountsASuccessTwice(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        refused = dict(super()._complete(complete).refused)
        for position in tuple(refused):
            claimed = complete.claims[position]
            if claimed in complete.claims[:position]:
                del refused[position]
                self._jobs[claimed.request.id].state = complete.states[position]
        return Completions(refused)


class LosesOneResult(MemoryStorage):
    """The others keep theirs."""

    def _complete(self, complete: Complete) -> Completions:
        states = list(complete.states)
        if len(states) > 1:
            states[-2] = attrs.evolve(states[-2], result=None)
        return super()._complete(attrs.evolve(complete, states=states))


class GivesEveryOneAResult(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        states = [attrs.evolve(state, result=state.result or "null") for state in complete.states]
        return super()._complete(attrs.evolve(complete, states=states))


class LosesWhyAResultIsMissing(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        states = [attrs.evolve(state, result_error=None) for state in complete.states]
        return super()._complete(attrs.evolve(complete, states=states))


class TakesTheRequestToCancelForAnError(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        states = list(complete.states)
        for position, claimed in enumerate(complete.claims):
            job = self._index.processing.get(claimed.request.id)
            if job is not None and isinstance(job.state, Processing):
                reason = job.state.cancel_reason
                error = states[position].result_error or reason
                states[position] = attrs.evolve(states[position], result_error=error)
        return super()._complete(attrs.evolve(complete, states=states))


class LetsRequestsToCancelBeatSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        asked = {
            job_id: job.state.cancel_reason
            for job_id, job in self._index.processing.items()
            if isinstance(job.state, Processing) and job.state.cancel_reason is not None
        }
        refused: dict[int, Conflict | GustoError] = {}
        for position, claimed in enumerate(complete.claims):
            alone = Complete([claimed], [complete.states[position]])
            if claimed.request.id in asked:
                refused[position] = Conflict(asked[claimed.request.id])
            elif super()._complete(alone).refused:
                refused[position] = Conflict()
        return Completions(refused)


class RefusesNodesThatLeft(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        refused = dict(super()._complete(complete).refused)
        for position, claimed in enumerate(complete.claims):
            if claimed.node not in self._bells:
                refused[position] = Conflict()
        return Completions(refused)


class RefusesPassedLeases(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        jobs = [self._jobs.get(claimed.request.id) for claimed in complete.claims]
        late = [
            job is not None
            and isinstance(job.state, Processing)
            and job.state.lease_until <= state.ended_at
            for job, state in zip(jobs, complete.states, strict=True)
        ]
        if any(late):
            return Completions({late.index(True): Conflict()})
        return super()._complete(complete)


class LosesTheHistoryOfSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        for claimed in complete.claims:
            if claimed.request.id in self._jobs:
                self._jobs[claimed.request.id].history = ()
        return super()._complete(complete)


class SpendsAnotherAttempt(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        reply = super()._complete(complete)
        for position, claimed in enumerate(complete.claims):
            if position not in reply.refused:
                self._jobs[claimed.request.id].attempt += 1
        return reply


class TakesAllForItsOwn(MemoryStorage):
    """The first node of a message is that of all."""

    def _complete(self, complete: Complete) -> Completions:
        states = [attrs.evolve(it, node=complete.states[0].node) for it in complete.states]
        return super()._complete(attrs.evolve(complete, states=states))


class KeepsTheLeasesOfSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        held = dict(self._index.processing)
        reply = super()._complete(complete)
        for position, claimed in enumerate(complete.claims):
            if position not in reply.refused:
                job = held[claimed.request.id]
                again = attrs.evolve(
                    job, state=Processing(claimed.node, claimed.claimed_at, claimed.claimed_at)
                )
                self._index.processing[claimed.request.id] = again
        return reply


class NeverPrunesSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        ended, self._index.ended = self._index.ended, Index().ended
        try:
            return super()._complete(complete)
        finally:
            self._index.ended = ended


class RefusesNothing(MemoryStorage):
    """It takes a message without successes for a mistake."""

    def _complete(self, complete: Complete) -> Completions:
        if not complete.claims:
            return Completions({0: Conflict()})
        return super()._complete(complete)


class PerformsSuccessesFirst(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        order = sorted(range(len(writes)), key=lambda it: not isinstance(writes[it], Complete))
        replies = await super().apply([writes[position] for position in order])
        return [replies[order.index(position)] for position in range(len(writes))]


class PerformsSuccessesLast(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        order = sorted(range(len(writes)), key=lambda it: isinstance(writes[it], Complete))
        replies = await super().apply([writes[position] for position in order])
        return [replies[order.index(position)] for position in range(len(writes))]


class ForgetsWhatIsBehindTheFirstPiece(MemoryStorage):
    """It cuts long messages into pieces, and counts in each of them."""

    def _complete(self, complete: Complete) -> Completions:
        refused: dict[int, Conflict | GustoError] = {}
        for first in range(0, len(complete.claims), 128):
            piece = slice(first, first + 128)
            part = Complete(complete.claims[piece], complete.states[piece])
            refused.update(super()._complete(part).refused)
        return Completions(refused)


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (ForgetsTheTokensOfSuccesses, "a success of a stale claim is refused alone"),
    (ForgetsTheTokensOfSuccesses, "a success with another token is refused alone"),
    (ForgetsToRaiseTheVersionsOfSuccesses, "successes together do what they do one by one"),
    (LosesTheHistoryOfSuccesses, "successes together do what they do one by one"),
    (SpendsAnotherAttempt, "successes together do what they do one by one"),
    (RefusesAllBecauseOfOne, "a success of a stale claim is refused alone"),
    (StopsAtTheFirstRefused, "a success of a stale claim is refused alone"),
    (CountsTheRefused, "a success with another token is refused alone"),
    (HidesWhatItRefused, "a success of a stale claim is refused alone"),
    (SettlesWhatIsGone, "a success of a job that is gone is refused alone"),
    (CountsASuccessTwice, "a success told twice in one message counts once"),
    (LosesOneResult, "every success keeps its own result"),
    (GivesEveryOneAResult, "every success keeps its own result"),
    (GivesEveryOneAResult, "successes without results keep none"),
    (LosesWhyAResultIsMissing, "every success keeps its own result"),
    (RefusesNothing, "a message without successes does nothing"),
    (PerformsSuccessesFirst, "successes stand in a group in order"),
    (PerformsSuccessesLast, "successes stand in a group in order"),
    (TakesTheRequestToCancelForAnError, "successes together beat requests to cancel"),
    (LetsRequestsToCancelBeatSuccesses, "successes together beat requests to cancel"),
    (RefusesPassedLeases, "a late success counts while nobody else has settled it"),
    (TakesAllForItsOwn, "nodes may tell their successes together"),
    (KeepsTheLeasesOfSuccesses, "jobs completed together have ended"),
    (NeverPrunesSuccesses, "jobs completed together have ended"),
    (ForgetsWhatIsBehindTheFirstPiece, "hundreds of successes go in one message"),
]
