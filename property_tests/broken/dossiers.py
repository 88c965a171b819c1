"""Storages that break one promise about dossiers each."""

from __future__ import annotations

from typing import Any

import attrs

from property_tests.broken.reports import BrokenShelf, WritesReportsBehindTheGroup
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.reports import ReportShelf
from trio_gusto.storage.report_messages import DossiersFound, ReadDossiers, Report, Reported


class KeepsTheFirstDossier(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            before = {job_id: dict(kept) for job_id, kept in self._dossiers.items()}
            reply = super().put(report)
            for job_id, kept in before.items():
                self._dossiers[job_id] |= kept
            return reply


class ForgetsTheAttemptBefore(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            return super().put(attrs.evolve(report, most_dossiers=1))


class ShowsThoseOfAll(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def dossiers_of(self, query: ReadDossiers) -> DossiersFound:
            everything = sorted(pair for kept in self._dossiers.values() for pair in kept.items())
            return DossiersFound(dict(everything))


class KeepsEveryDossier(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            return super().put(attrs.evolve(report, most_dossiers=1_000))


class KeepsTheOldestDossiers(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            reply = super().put(attrs.evolve(report, most_dossiers=1_000))
            for kept in self._dossiers.values():
                while len(kept) > report.most_dossiers:
                    del kept[max(kept)]
            return reply


class FilesUnderAnyLease(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def put(self, report: Report) -> Reported:
            super().put(report)
            for saying in report.sayings:
                if saying.dossier is not None:
                    self._dossiers.setdefault(saying.job_id, {})[saying.token] = saying.dossier
            return Reported()


class KeepsDossiersOfDeletedJobs(BrokenShelf):
    class shelf(ReportShelf):  # noqa: N801 - a part of the storage
        def remove(self, job: Any) -> None:
            self._logs.pop(job.request.id, None)


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (KeepsTheFirstDossier, "the last dossier of each attempt is kept"),
    (ForgetsTheAttemptBefore, "the last dossier of each attempt is kept"),
    (ShowsThoseOfAll, "a dossier is of one job"),
    (KeepsEveryDossier, "dossiers are kept of the newest attempts"),
    (KeepsTheOldestDossiers, "dossiers are kept of the newest attempts"),
    (FilesUnderAnyLease, "a dossier is refused without a valid lease"),
    (WritesReportsBehindTheGroup, "a dossier goes before the outcome in its group"),
    (KeepsDossiersOfDeletedJobs, "dossiers are deleted with their job"),
]
