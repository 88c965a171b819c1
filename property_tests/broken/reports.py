"""Storages that break one promise about reports each."""

from __future__ import annotations

from typing import Any

import attrs

from trio_gusto.model.job import Progress
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.reports import ReportShelf
from trio_gusto.storage.report_messages import LogFound, ReadLog, Report, Reported


class BrokenShelf(MemoryStorage):
    shelf: type[ReportShelf] = ReportShelf

    def __init__(self) -> None:
        super().__init__()
        self._reports = self.shelf(self._index.processing)
        self._verbs = {**self._verbs, Report: self._reports.put}


class HearsStaleAttempts(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            current = [
                attrs.evolve(saying, token=job.version)
                for saying in report.sayings
                if (job := self._processing.get(saying.job_id)) is not None
            ]
            super().put(attrs.evolve(report, sayings=current))
            return Reported()


class RefusesTheNeighbours(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            for saying in report.sayings:
                job = self._processing.get(saying.job_id)
                if job is None or job.version != saying.token:
                    return Reported([each.job_id for each in report.sayings])
            return super().put(report)


class NeverGoesBack(BrokenShelf):
    """Takes the highest percentage for the last one."""

    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            before = {job_id: job.progress for job_id, job in self._processing.items()}
            reply = super().put(report)
            for job_id, progress in before.items():
                now = self._processing[job_id].progress
                if progress is not None and now is not None and now.percent < progress.percent:
                    self._processing[job_id].progress = progress
            return reply


class ForgetsTheMessage(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            reply = super().put(report)
            for job in self._processing.values():
                if job.progress is not None:
                    job.progress = Progress(job.progress.percent, "")
            return reply


class KeepsTheOldestLines(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            reply = super().put(attrs.evolve(report, most_lines=10**6, most_bytes=10**9))
            for log in self._logs.values():
                while len(log.lines) > report.most_lines:
                    log.lines.pop()
                    log.dropped += 1
            return reply


class CountsCharacters(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            return super().put(attrs.evolve(report, most_bytes=2 * report.most_bytes))


class ForgetsWhatWasDropped(BrokenShelf):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        return LogFound(found.lines, 0) if isinstance(query, ReadLog) else found


class BeginsANewLogWithEachAttempt(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            for saying in report.sayings:
                log = self._logs.get(saying.job_id)
                if log is not None and getattr(self, "token", saying.token) != saying.token:
                    del self._logs[saying.job_id]
                self.token = saying.token
            return super().put(report)


class KeepsLinesTwice(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            for log in self._logs.values():
                log.told = 0
            return super().put(report)


class KeepsLogsOfDeletedJobs(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def remove(self, job: Any) -> None:
            pass


class RaisesTheVersion(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            reply = super().put(report)
            for saying in report.sayings:
                if saying.job_id in self._processing and saying.job_id not in reply.refused:
                    self._processing[saying.job_id].version += 1
            return reply


class WritesReportsBehindTheGroup(BrokenShelf):
    async def apply(self, writes: Any) -> Any:
        reports = [write for write in writes if isinstance(write, Report)]
        others = [write for write in writes if not isinstance(write, Report)]
        if not reports or not others:
            return await super().apply(writes)
        replies = iter([*await super().apply(others), *await super().apply(reports)])
        in_order = {id(write): next(replies) for write in [*others, *reports]}
        return [in_order[id(write)] for write in writes]


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (HearsStaleAttempts, "a report is refused without a valid lease"),
    (RefusesTheNeighbours, "one refused saying does not harm the others"),
    (NeverGoesBack, "the last progress reported is kept"),
    (ForgetsTheMessage, "progress outlives the attempt"),
    (KeepsTheOldestLines, "a log keeps its newest lines"),
    (CountsCharacters, "a log keeps no more bytes than it may"),
    (ForgetsWhatWasDropped, "a log keeps its newest lines"),
    (BeginsANewLogWithEachAttempt, "a log goes on in the next attempt"),
    (KeepsLinesTwice, "what is told again is kept once"),
    (KeepsLogsOfDeletedJobs, "reports are deleted with their job"),
    (RaisesTheVersion, "the last progress reported is kept"),
    (WritesReportsBehindTheGroup, "a report goes before the outcome in its group"),
]
