"""The reporter: has written what running jobs say of themselves, not too often.

What a job says last goes with its outcome, and needs no reporter. While nobody says anything it
sleeps.
"""

from __future__ import annotations

import trio

from .reports import Reports


class Reporter:
    """Waits for words, lets ``interval`` seconds of them gather, and has them written."""

    def __init__(self, reports: Reports, interval: float) -> None:
        self._reports = reports
        self._interval = interval

    @trio.lowlevel.enable_ki_protection
    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Report until cancelled."""
        reports = self._reports
        reports.open()
        task_status.started()
        while True:
            await reports.news.wait()
            if reports.pending:  # if not, it went with the outcome
                await trio.sleep(self._interval)
                reports.flush()
