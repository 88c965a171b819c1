"""What the demo shows: live progress, and at the end a table.

On a terminal progress is a bar; elsewhere it is a line every second, for logs and pipes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import attrs
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ... import JobState

UNDER_WAY = (JobState.PROCESSING, JobState.READY, JobState.SCHEDULED)

Counts = Mapping[JobState, int]


class Watch:
    """How far ``total`` files have come, with what the jobs are doing beside it."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        self.total = total
        self._what = what
        self._console = console
        self._next_line = trio.current_time() + 1
        self._bar = (
            Progress(
                TextColumn(f"[bold]{what:9}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[doing]}"),
                console=console,
            )
            if console.is_terminal and not console.is_dumb_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._task = self._bar.add_task(self._what, total=self.total, doing="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, counts: Counts) -> None:
        """Draw the figures of now."""
        doing = "  ".join(
            f"{state.value} {counts[state]}" for state in UNDER_WAY if counts.get(state)
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=done, doing=doing)
        elif trio.current_time() >= self._next_line or done == self.total:
            self._next_line = trio.current_time() + 1
            say(self._console, f"{self._what} {done} of {self.total}  {doing}".rstrip())


def say(console: Console, sentence: str, style: str = "") -> None:
    """Print one sentence; elsewhere than on a terminal it stays in one line."""
    console.print(sentence, style=style, soft_wrap=not console.is_terminal, highlight=False)


@attrs.frozen
class Figures:
    """What there is to report."""

    counts: Counts
    retried: int
    lost: int
    seconds: float
    size: int
    files_per_second: float | None
    """Of the files that did not wait on purpose."""


def report(console: Console, figures: Figures) -> None:
    """The outcomes and the throughput."""
    table = Table(title="Outcomes", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for state in JobState:
        if figures.counts.get(state):
            table.add_row(state.value, f"{figures.counts[state]:,}")
    table.add_section()
    table.add_row("needed more than one attempt", f"{figures.retried:,}")
    if figures.lost:
        table.add_row("attempts lost in the crash", f"{figures.lost:,}")
    table.add_section()
    table.add_row("seconds in all", f"{figures.seconds:.2f}")
    table.add_row("MB hashed", f"{figures.size / 1e6:,.1f}")
    if figures.files_per_second is not None:
        table.add_row("files per second, while due", f"{figures.files_per_second:,.0f}")
    console.print(table)
