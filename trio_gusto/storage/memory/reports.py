"""What running jobs have said of themselves. Progress stands in the job itself, the rest stands here."""

from __future__ import annotations

from collections.abc import Mapping

from ...model.ids import JobId
from ...model.job import StoredJob
from ...model.joblog import LogTail
from ..report_messages import DossiersFound, LogFound, ReadDossiers, ReadLog, Report, Reported


class ReportShelf:
    """Logs and dossiers, by job; those that have none are not in it. ``processing`` are the jobs under a
    lease."""

    def __init__(self, processing: Mapping[JobId, StoredJob]) -> None:
        self._processing = processing
        self._logs: dict[JobId, LogTail] = {}
        self._dossiers: dict[JobId, dict[int, str]] = {}

    def put(self, report: Report) -> Reported:
        """Keep what is said under a valid lease."""
        refused: list[JobId] = []
        for saying in report.sayings:
            job = self._processing.get(saying.job_id)
            if job is None or job.version != saying.token:
                refused.append(saying.job_id)
                continue
            if saying.progress is not None:
                job.progress = saying.progress
            if saying.lines:
                log = self._logs.setdefault(saying.job_id, LogTail())
                log.extend(
                    saying.token,
                    saying.told,
                    saying.lines,
                    saying.dropped,
                    report.most_lines,
                    report.most_bytes,
                )
            if saying.dossier is not None:
                dossiers = self._dossiers.setdefault(saying.job_id, {})
                # Of an attempt after all others, or of the last one once more.
                dossiers[saying.token] = saying.dossier
                while len(dossiers) > report.most_dossiers:
                    del dossiers[min(dossiers)]
        return Reported(tuple(refused))

    def log_of(self, query: ReadLog) -> LogFound:
        """The log of one job."""
        log = self._logs.get(query.job_id)
        return LogFound((), 0) if log is None else LogFound(tuple(log.lines), log.dropped)

    def dossiers_of(self, query: ReadDossiers) -> DossiersFound:
        """The dossiers of one job."""
        return DossiersFound(dict(self._dossiers.get(query.job_id, {})))

    def remove(self, job: StoredJob) -> None:
        """A job was deleted."""
        if self._logs:
            self._logs.pop(job.request.id, None)
        if self._dossiers:
            self._dossiers.pop(job.request.id, None)
