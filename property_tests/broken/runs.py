"""Storages that break one promise about earlier runs each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from trio_gusto.model.job import StoredJob
from trio_gusto.model.states import Completed
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.runs import past_runs
from trio_gusto.storage.run_messages import PastRuns, RunsFound


class Broken(MemoryStorage):
    async def read(self, query: Any) -> Any:
        if isinstance(query, PastRuns):
            return self.runs(self._jobs.values(), query)
        return await super().read(query)

    def runs(self, jobs: Iterable[StoredJob], query: PastRuns) -> RunsFound:
        raise NotImplementedError


class TellsThemAsTheyWereInserted(Broken):
    def runs(self, jobs: Iterable[StoredJob], query: PastRuns) -> RunsFound:
        same = [
            job.state.ended_at - job.state.started_at
            for job in jobs
            if isinstance(job.state, Completed) and job.request.name == query.name
        ]
        return RunsFound(same[::-1][: query.limit])


class LooksAtEverything(Broken):
    def runs(self, jobs: Iterable[StoredJob], query: PastRuns) -> RunsFound:
        return past_runs(jobs, attrs.evolve(query, look=10**6))


class CountsEveryHandler(Broken):
    def runs(self, jobs: Iterable[StoredJob], query: PastRuns) -> RunsFound:
        renamed = [
            attrs.evolve(job, request=attrs.evolve(job.request, name=query.name)) for job in jobs
        ]
        return past_runs(renamed, query)


class CountsEveryWorker(Broken):
    def runs(self, jobs: Iterable[StoredJob], query: PastRuns) -> RunsFound:
        free = [
            job
            if job.request.details is None
            else attrs.evolve(
                job,
                request=attrs.evolve(
                    job.request, details=attrs.evolve(job.request.details, worker=query.worker)
                ),
            )
            for job in jobs
        ]
        return past_runs(free, query)


class KnowsNoSchedules(Broken):
    def runs(self, jobs: Iterable[StoredJob], query: PastRuns) -> RunsFound:
        return past_runs(jobs, attrs.evolve(query, schedule=None))


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (TellsThemAsTheyWereInserted, "earlier runs are told newest end first"),
    (LooksAtEverything, "only so many of the jobs that ended last are looked at"),
    (CountsEveryHandler, "only completed runs of the handler count"),
    (CountsEveryWorker, "runs of another named worker do not count"),
    (KnowsNoSchedules, "runs of a schedule are those of the jobs it made last"),
]
