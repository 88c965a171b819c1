"""Storages that have less room for something than it may need, and cut or round off the rest."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import attrs

from property_tests.broken.changed import Changed
from property_tests.broken.inserts import ChangesRequests
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.lease_messages import Renew
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Commit
from trio_gusto.storage.report_messages import Report, Saying

SIXTEEN_BITS, THIRTY_TWO_BITS = 2**15 - 1, 2**31 - 1


class KeepsPrioritiesInSixteenBits(ChangesRequests):
    def changed(self, request: JobRequest) -> JobRequest:
        priority = max(-SIXTEEN_BITS - 1, min(SIXTEEN_BITS, request.priority))
        return attrs.evolve(request, priority=priority)


class KeepsTimeoutsInThirtyTwoBits(ChangesRequests):
    """As microseconds, of which an hour has more."""

    def changed(self, request: JobRequest) -> JobRequest:
        if request.timeout is None:
            return request
        return attrs.evolve(request, timeout=min(THIRTY_TWO_BITS, request.timeout))


class KeepsMaxAttemptsInAByte(ChangesRequests):
    def changed(self, request: JobRequest) -> JobRequest:
        return attrs.evolve(request, max_attempts=min(255, request.max_attempts))


class KeepsMaxAttemptsInSixteenBits(ChangesRequests):
    def changed(self, request: JobRequest) -> JobRequest:
        return attrs.evolve(request, max_attempts=min(SIXTEEN_BITS, request.max_attempts))


class EndsInTheNearFuture(ChangesRequests):
    """Its instants are seconds in 32 bits, of which there are none after January 2038."""

    def changed(self, request: JobRequest) -> JobRequest:
        if request.execute_after is None:
            return request
        last = THIRTY_TWO_BITS * 1_000_000
        return attrs.evolve(request, execute_after=min(last, request.execute_after))


class KeepsInstantsAsFloats(ChangesRequests):
    """Far ahead, microseconds are lost."""

    def changed(self, request: JobRequest) -> JobRequest:
        if request.execute_after is None:
            return request
        return attrs.evolve(request, execute_after=int(float(request.execute_after)))


class ChangesDetails(ChangesRequests):
    def detailed(self, details: Details) -> Details:
        raise NotImplementedError

    def changed(self, request: JobRequest) -> JobRequest:
        if request.details is None:
            return request
        return attrs.evolve(request, details=self.detailed(request.details))


class LimitsConcurrencyLimits(ChangesDetails):
    """To a hundred."""

    def detailed(self, details: Details) -> Details:
        return attrs.evolve(details, concurrency_limit=min(100, details.concurrency_limit))


class CutsUniqueKeys(ChangesDetails):
    """Behind 255 characters."""

    def detailed(self, details: Details) -> Details:
        if details.unique_key is None:
            return details
        return attrs.evolve(details, unique_key=details.unique_key[:255])


class CutsMessagesOfErrors(Changed):
    """Behind a thousand characters."""

    def told(self, write: Any) -> Any:
        if not isinstance(write, Commit) or write.record is None or write.record.error is None:
            return write
        error = attrs.evolve(write.record.error, message=write.record.error.message[:1_000])
        return attrs.evolve(write, record=attrs.evolve(write.record, error=error))


class ChangesSayings(Changed):
    def said(self, saying: Saying) -> Saying:
        raise NotImplementedError

    def told(self, write: Any) -> Any:
        if not isinstance(write, Report):
            return write
        return attrs.evolve(write, sayings=list(map(self.said, write.sayings)))


class CutsMessagesOfLogs(ChangesSayings):
    """Behind four thousand characters."""

    def said(self, saying: Saying) -> Saying:
        lines = [attrs.evolve(line, message=line.message[:4_096]) for line in saying.lines]
        return attrs.evolve(saying, lines=lines)


class CutsDossiers(ChangesSayings):
    """Behind four thousand characters."""

    def said(self, saying: Saying) -> Saying:
        dossier = saying.dossier if saying.dossier is None else saying.dossier[:4_000]
        return attrs.evolve(saying, dossier=dossier)


class RoundsProgress(ChangesSayings):
    """To a float of 32 bits."""

    def said(self, saying: Saying) -> Saying:
        if saying.progress is None:
            return saying
        (percent,) = struct.unpack("f", struct.pack("f", saying.progress.percent))
        return attrs.evolve(saying, progress=attrs.evolve(saying.progress, percent=percent))


class HearsTwoHundredLinesOfAReport(ChangesSayings):
    def said(self, saying: Saying) -> Saying:
        return attrs.evolve(saying, lines=[*saying.lines][-200:])


class HearsAHundredOfManyReports(Changed):
    """What the others say is neither kept nor refused."""

    def told(self, write: Any) -> Any:
        if not isinstance(write, Report):
            return write
        return attrs.evolve(write, sayings=[*write.sayings][:100])


class RenewsAHundredOfManyLeases(Changed):
    """The others are neither renewed nor reported lost."""

    def told(self, write: Any) -> Any:
        if not isinstance(write, Renew):
            return write
        return attrs.evolve(write, leases=[*write.leases][:100])


class RemembersTwentyAttempts(Changed):
    def found(self, query: Any, reply: Any) -> Any:
        if isinstance(query, Get):
            for job in reply.jobs:
                history: Sequence[Any] = job.history
                job.history = history[-20:]
        return reply


EXTREMES = "what is told is done in a play of extremes"

PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (KeepsPrioritiesInSixteenBits, EXTREMES),
    (KeepsTimeoutsInThirtyTwoBits, EXTREMES),
    (KeepsMaxAttemptsInAByte, EXTREMES),
    (KeepsMaxAttemptsInSixteenBits, EXTREMES),
    (EndsInTheNearFuture, EXTREMES),
    (KeepsInstantsAsFloats, EXTREMES),
    (LimitsConcurrencyLimits, EXTREMES),
    (CutsUniqueKeys, EXTREMES),
    (CutsMessagesOfErrors, EXTREMES),
    (CutsMessagesOfLogs, EXTREMES),
    (CutsDossiers, EXTREMES),
    (RoundsProgress, EXTREMES),
    (HearsTwoHundredLinesOfAReport, "thousands of lines go in one report"),
    (HearsAHundredOfManyReports, "thousands of jobs report in one message"),
    (RenewsAHundredOfManyLeases, "thousands of leases are renewed in one message"),
    (RemembersTwentyAttempts, "hundreds of attempts are remembered"),
]
