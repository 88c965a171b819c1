"""What the demo shows: a live progress bar, and at the end a table."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .. import JobState, QueueStats


class Watch:
    """A progress bar over all files, with what the jobs are doing beside it."""

    def __init__(self, console: Console, total: int) -> None:
        self.total = total
        self._progress = Progress(
            TextColumn("[bold]hashing"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[doing]}"),
            console=console,
        )
        self._task = self._progress.add_task("hashing", total=total, doing="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, done: int, stats: QueueStats) -> None:
        """Draw the figures of now."""
        doing = " ".join(
            f"{state.value} {stats.by_state[state]}"
            for state in (JobState.PROCESSING, JobState.READY, JobState.SCHEDULED)
            if stats.by_state.get(state)
        )
        self._progress.update(self._task, completed=done, doing=doing)


def report(
    console: Console,
    stats: QueueStats,
    files: int,
    size: int,
    retried: int,
    seconds: float,
    lost: int,
) -> None:
    """The outcomes and the throughput."""
    table = Table(title="Outcomes")
    table.add_column("state")
    table.add_column("jobs", justify="right")
    for state in JobState:
        if stats.by_state.get(state):
            table.add_row(state.value, str(stats.by_state[state]))
    table.add_section()
    table.add_row("retried", str(retried))
    if lost:
        table.add_row("attempts lost in the crash", str(lost))
    table.add_section()
    table.add_row("seconds", f"{seconds:.2f}")
    table.add_row("files per second", f"{files / seconds:,.0f}")
    table.add_row("MB per second", f"{size / 1e6 / seconds:,.1f}")
    console.print(table)
