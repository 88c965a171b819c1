"""`JobLogHandler`: what any library logs while a job runs, in that job's log."""

from __future__ import annotations

import logging

from .context import job_log
from .joblog import LOGGER, write_down

WRITTEN = "written_to_job_log"
"""The attribute of a record that tells that one of these handlers has had it."""


class JobLogHandler(logging.Handler):
    """Writes records to the log of the job in which they are made, and no others.

    Which job that is the record's own context tells: its task, a task started there, or its worker
    thread. Add it to the loggers that you want to hear, by yourself: this package adds no handlers.
    A record that comes by several of them, since their loggers are parent and child, is written once.

    Args:
        level: records below it are left out.

    >>> logging.getLogger().addHandler(JobLogHandler(logging.INFO))
    """

    def __init__(self, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, if a job runs here whose storage keeps logs."""
        note = job_log()
        if note is None or record.name == LOGGER:  # that has written it by itself
            return
        if not hasattr(record, WRITTEN):
            setattr(record, WRITTEN, True)
            write_down(record, note)
