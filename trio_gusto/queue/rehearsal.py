"""Stored jobs and schedules tried on the handlers of an app: what would fail, without running any."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from uuid import UUID

import attrs

from ..model.errors import GustoError, UnknownHandler
from ..model.job import JobRequest
from ..model.rehearsing import KnownSchedule, LiveJob
from ..model.retry import from_wire
from ..model.schedule import StoredSchedule, following
from ..serialization.calls import Calls
from ..serialization.handler import Handler
from ..serialization.registry import Registry
from .callbacks import Callbacks

FIRST = 5
"""Jobs that a problem names."""


class ProblemKind(StrEnum):
    """What would go wrong."""

    UNKNOWN_HANDLER = "unknown handler"
    ARGUMENTS = "arguments"
    CALLBACK = "callback"
    RETRY = "retry policy"
    NEVER_FIRES = "never fires"
    UNREADABLE = "unreadable"


@attrs.define
class Problem:
    """What would go wrong with jobs and schedules of one handler; ``reason`` is that of the first.

    ``jobs`` says how many jobs, ``first_jobs`` are the ids of the first few, ``schedules`` the names.
    """

    handler: str
    problem: ProblemKind
    reason: str
    jobs: int = 0
    first_jobs: list[UUID] = attrs.field(factory=list[UUID])
    schedules: list[str] = attrs.field(factory=list[str])


@attrs.define
class Rehearsed:
    """How many were tried, how many of them would fail, and why."""

    jobs: int = 0
    schedules: int = 0
    failing: int = 0
    problems: list[Problem] = attrs.field(factory=list[Problem])


@attrs.frozen
class _Fault:
    kind: ProblemKind
    reason: str


class Rehearsal:
    """Tries one after the other; ``rehearsed`` is what came of those so far."""

    def __init__(self, registry: Registry, calls: Calls, callbacks: Callbacks) -> None:
        self.rehearsed = Rehearsed()
        self._registry = registry
        self._calls = calls
        self._callbacks = callbacks
        self._problems: dict[tuple[str, ProblemKind], Problem] = {}

    def try_job(self, job: LiveJob) -> None:
        """Everything that is done with a job before its handler is entered, and what is done after."""
        self.rehearsed.jobs += 1
        if job.has_returned:
            return  # its handler is not entered again
        fault = _Fault(ProblemKind.UNREADABLE, job.fault)
        found = fault if job.request is None else self._fault_of(job.request)
        if found is None:
            return
        problem = self._problem(job.name, found)
        problem.jobs += 1
        if job.id is not None and len(problem.first_jobs) < FIRST:
            problem.first_jobs.append(job.id)

    def try_schedule(self, schedule: KnownSchedule) -> None:
        """A job that the schedule would make, and whether it makes one."""
        self.rehearsed.schedules += 1
        kept = schedule.kept
        if kept is None:
            found: _Fault | None = _Fault(ProblemKind.UNREADABLE, schedule.fault)
        else:
            found = self._fault_of(kept.request.template) or _never(kept)
        if found is not None:
            name = "" if kept is None else kept.request.template.name
            self._problem(name, found).schedules.append(schedule.name)

    def _problem(self, handler: str, fault: _Fault) -> Problem:
        self.rehearsed.failing += 1
        key = (handler, fault.kind)
        problem = self._problems.get(key)
        if problem is None:
            problem = self._problems[key] = Problem(handler, fault.kind, fault.reason)
            self.rehearsed.problems.append(problem)
        return problem

    def _fault_of(self, request: JobRequest) -> _Fault | None:
        handler = self._registry.find(request.name)
        if handler is None:
            unknown = UnknownHandler(request.name, self._registry.names())
            return _Fault(ProblemKind.UNKNOWN_HANDLER, str(unknown))
        try:
            self._calls.decoder(handler)(request.args)
        except GustoError as error:
            return _Fault(ProblemKind.ARGUMENTS, str(error))
        except Exception as error:  # noqa: BLE001 - a user's annotations may break in any way
            return _Fault(ProblemKind.ARGUMENTS, f"its arguments cannot be read ({error!r})")
        return self._fault_of_details(handler, request)

    def _fault_of_details(self, handler: Handler[..., Any], request: JobRequest) -> _Fault | None:
        details = request.details
        if details is None:
            return None
        if details.callback is not None:
            try:
                self._callbacks.require_fit(handler, details.callback)
            except GustoError as error:
                return _Fault(ProblemKind.CALLBACK, str(error))
        if details.retry is not None:
            try:
                from_wire(details.retry)
            except ValueError as error:
                reason = f"{error}, so no attempt would follow one that failed"
                return _Fault(ProblemKind.RETRY, f"{reason}; retry it by hand, or cancel it")
        return None


def _never(schedule: StoredSchedule) -> _Fault | None:
    """Paused or not: it counts what would fire if it were resumed."""
    if following(schedule.request, schedule.anchor, schedule.since) is not None:
        return None
    trigger = schedule.request.trigger
    return _Fault(
        ProblemKind.NEVER_FIRES,
        f"{trigger} has no instant after {schedule.request.name!r} fired last, or its end has come; "
        "register it with another trigger or end, or remove it",
    )
