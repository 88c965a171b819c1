"""Storages that break one promise about schedules each."""

from __future__ import annotations

import attrs

from trio_gusto.model.errors import GustoError
from trio_gusto.model.job import StoredJob
from trio_gusto.model.schedule import StoredSchedule
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.schedules import ScheduleShelf
from trio_gusto.storage.messages import (
    Committed,
    Conflict,
)
from trio_gusto.storage.schedule_messages import (
    FindSchedules,
    Fire,
    KeptSchedule,
    PutSchedule,
    Schedules,
)


class FiresWhateverTheVersion(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        kept = self._schedules._schedules.get(fire.schedule.request.name)
        return super()._fire(attrs.evolve(fire, version=kept.version) if kept else fire)


class FiresByHalves(MemoryStorage):
    """The schedule moves on, its last job is lost."""

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        half = attrs.evolve(fire, requests=fire.requests[:-1], states=fire.states[:-1])
        return super()._fire(half)


class FiresAndStaysWhereItWas(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        name = fire.schedule.request.name
        before = self._schedules._schedules.get(name)
        reply = super()._fire(fire)
        if before is not None and isinstance(reply, Committed):
            self._schedules._schedules[name] = before
        return reply


class RefusesAnInstantThatHasItsJob(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        if any(request.id in self._jobs for request in fire.requests):
            return Conflict()
        return super()._fire(fire)


class StoresAnInstantTwice(MemoryStorage):
    """The job that was there begins again."""

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        if self._schedules.is_at(fire.schedule.request.name, fire.version):
            for request in fire.requests:
                self._jobs.pop(request.id, None)
        return super()._fire(fire)


class EditsWhileItFires(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        reply = super()._fire(fire)
        if isinstance(reply, Committed):
            self._schedules._schedules[fire.schedule.request.name] = fire.schedule
        return reply


class OverwritesSchedules(ScheduleShelf):
    def put(self, put: PutSchedule) -> Committed | Conflict:
        kept = self._schedules.get(put.name)
        return super().put(attrs.evolve(put, version=None if kept is None else kept.version))


class GivesSchedulesInTheOrderTheyCame(ScheduleShelf):
    def find(self, query: FindSchedules) -> Schedules:
        found = super().find(attrs.evolve(query, limit=1_000_000))
        order = list(self._schedules)
        shown = sorted(found.found, key=lambda one: order.index(one.schedule.request.name))
        return attrs.evolve(found, found=tuple(shown[: query.limit]))


class TellsTheFirstInstantOfAll(ScheduleShelf):
    """Also of those that are due, so that who asks again looks for ever."""

    def find(self, query: FindSchedules) -> Schedules:
        first = super().find(attrs.evolve(query, due_by=None)).next_at
        return attrs.evolve(super().find(query), next_at=first)


class CountsJobsStartedByHand(ScheduleShelf):
    def add(self, job: StoredJob) -> None:
        details = job.request.details
        if details is not None and details.schedule_name is not None:
            self._live.setdefault(details.schedule_name, {})[job.request.id] = job

    def _unfinished(self, name: str) -> list[StoredJob]:
        return list(self._live.get(name, {}).values())


class ForgetsJobsThatRunAgain(ScheduleShelf):
    def add(self, job: StoredJob) -> None:
        if job.version == 0:
            super().add(job)


class ForgetsWhoIsHeld(ScheduleShelf):
    def find(self, query: FindSchedules) -> Schedules:
        return attrs.evolve(super().find(query), held=())


class HandsOutItsOwnSchedules(ScheduleShelf):
    def advance(self, schedule: StoredSchedule) -> None:
        mine = self._schedules[schedule.request.name]
        mine.next_at, mine.version = schedule.next_at, schedule.version

    def _kept(self, schedule: StoredSchedule) -> KeptSchedule:
        return attrs.evolve(super()._kept(schedule), schedule=schedule)


def on_shelf(shelf: type[ScheduleShelf]) -> type[MemoryStorage]:
    """A storage that keeps its schedules there."""

    class OnShelf(MemoryStorage):
        def __init__(self) -> None:
            super().__init__()
            self._schedules = shelf(self._jobs)
            self._verbs = {**self._verbs, PutSchedule: self._schedules.put}

    OnShelf.__name__ = shelf.__name__
    return OnShelf


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (FiresWhateverTheVersion, "a schedule fires only at the version that was seen"),
    (FiresByHalves, "a schedule fires together with its jobs"),
    (FiresAndStaysWhereItWas, "a schedule fires together with its jobs"),
    (RefusesAnInstantThatHasItsJob, "an instant has one job whatever happens"),
    (StoresAnInstantTwice, "an instant has one job whatever happens"),
    (EditsWhileItFires, "a firing leaves what was asked for"),
    (on_shelf(OverwritesSchedules), "a schedule is put only at the version that was seen"),
    (on_shelf(GivesSchedulesInTheOrderTheyCame), "schedules come by name in pages"),
    (on_shelf(TellsTheFirstInstantOfAll), "due schedules come by their next instant in slices"),
    (on_shelf(CountsJobsStartedByHand), "jobs started by hand do not count"),
    (on_shelf(ForgetsJobsThatRunAgain), "unfinished jobs are those that live"),
    (on_shelf(ForgetsWhoIsHeld), "held jobs name whom they wait for"),
    (on_shelf(HandsOutItsOwnSchedules), "schedules handed out do not change"),
]
