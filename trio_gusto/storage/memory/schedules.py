"""The schedules that a `MemoryStorage` keeps, and which of its jobs are theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from ...model.ids import JobId
from ...model.job import StoredJob
from ...model.schedule import StoredSchedule
from ...model.states import Waiting
from ..messages import Committed, Conflict
from ..schedule_messages import FindSchedules, HeldJob, KeptSchedule, PutSchedule, Schedules
from .index import ENDED


class ScheduleShelf:
    """Schedules by name. ``jobs`` are all jobs of the storage."""

    def __init__(self, jobs: Mapping[JobId, StoredJob]) -> None:
        self._jobs = jobs
        self._schedules: dict[str, StoredSchedule] = {}
        self._live: dict[str, dict[JobId, StoredJob]] = {}
        """Jobs of each schedule's instants, without most of those that have ended."""

    # --- what the storage tells it ---

    def add(self, job: StoredJob) -> None:
        """A job is stored, or has changed. Only those that a schedule made for an instant count."""
        details = job.request.details
        if details is None or details.fire_time is None or details.schedule_name is None:
            return
        self._live.setdefault(details.schedule_name, {})[job.request.id] = job

    def remove(self, job: StoredJob) -> None:
        """A job is deleted."""
        details = job.request.details
        if details is not None and details.schedule_name in self._live:
            self._live[details.schedule_name].pop(job.request.id, None)

    # --- writes ---

    def is_at(self, name: str, version: int | None) -> bool:
        """Whether the schedule of this name has this version; ``None``: whether there is none."""
        schedule = self._schedules.get(name)
        return (None if schedule is None else schedule.version) == version

    def put(self, put: PutSchedule) -> Committed | Conflict:
        """Keep, change or remove a schedule."""
        if not self.is_at(put.name, put.version):
            return Conflict()
        if put.schedule is None:
            self._schedules.pop(put.name, None)
        else:
            self._schedules[put.name] = attrs.evolve(put.schedule)
        return Committed()

    def advance(self, schedule: StoredSchedule) -> None:
        """A schedule has fired; what was asked for stays."""
        name = schedule.request.name
        request = self._schedules[name].request
        self._schedules[name] = attrs.evolve(schedule, request=request)

    def is_newest(self, job: StoredJob) -> bool:
        """Whether ``job`` is the newest of its schedule."""
        details = job.request.details
        if details is None or details.schedule_name is None:
            return False
        schedule = self._schedules.get(details.schedule_name)
        return schedule is not None and schedule.last_job_id == job.request.id

    # --- looking ---

    def find(self, query: FindSchedules) -> Schedules:
        """Answer a query."""
        schedules, due_by = self._schedules.values(), query.due_by
        if due_by is None:
            found = [one for one in schedules if _is_wanted(one, query)]
            found.sort(key=lambda one: one.request.name)
        else:  # asked for again and again, mostly for nothing
            due = sorted(
                (one.next_at, one.request.name, one)
                for one in schedules
                if one.next_at is not None and one.next_at <= due_by and _is_wanted(one, query)
            )
            found = [one for _, _, one in due]
        ahead = [
            one.next_at
            for one in schedules
            if one.next_at is not None and (due_by is None or one.next_at > due_by)
        ]
        held = tuple(self._held()) if query.name is None else ()
        kept = tuple(self._kept(one) for one in found[: query.limit])
        return Schedules(kept, min(ahead, default=None), held)

    def _kept(self, schedule: StoredSchedule) -> KeptSchedule:
        unfinished = tuple(job.request.id for job in self._unfinished(schedule.request.name))
        last = None if schedule.last_job_id is None else self._jobs.get(schedule.last_job_id)
        state = None if last is None else last.state
        ended_at = state.ended_at if isinstance(state, ENDED) else None
        return KeptSchedule(attrs.evolve(schedule), unfinished, ended_at)

    def _held(self) -> Iterator[HeldJob]:
        for name in sorted(self._live):
            behind: list[JobId] = []
            for job in self._unfinished(name):
                if isinstance(job.state, Waiting):
                    yield HeldJob(job.request.id, name, tuple(behind))
                behind.append(job.request.id)

    def _unfinished(self, name: str) -> list[StoredJob]:
        jobs = self._live.pop(name, {})
        live = [job for job in jobs.values() if not isinstance(job.state, ENDED)]
        if live:
            self._live[name] = {job.request.id: job for job in live}
        return sorted(live, key=_fire_time)


def _is_wanted(schedule: StoredSchedule, query: FindSchedules) -> bool:
    name = schedule.request.name
    return query.name in (None, name) and (query.after is None or name > query.after)


def _fire_time(job: StoredJob) -> int:
    details = job.request.details
    assert details is not None
    assert details.fire_time is not None
    return details.fire_time
