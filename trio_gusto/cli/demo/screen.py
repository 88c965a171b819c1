"""What the demo shows: live progress, and at the end a table.

On a terminal progress is a bar, and the end a table; elsewhere they are lines, for logs and pipes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import attrs
import trio
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ... import BatchStatus, JobState
from ..showing import in_one_line
from .fanout import BEAT, LATER
from .files import Plan

UNDER_WAY = (JobState.PROCESSING, JobState.READY, JobState.SCHEDULED)

Counts = Mapping[JobState, int]


class Watch:
    """How far ``total`` files have come, with what the jobs are doing beside it."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        self.total = total
        self._what = what
        self._console = console
        self._next_line = trio.current_time() + 1
        self._is_complete = False
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._bar = Progress(
                TextColumn(f"[bold]{what:9}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[doing]}"),
                console=console,
            )
            self._task = self._bar.add_task(what, total=total, doing="")
            self._live = Live(self._bar, console=console)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, batch: BatchStatus, ticks: Counts) -> None:
        """Draw how the batch and the heartbeat are now."""
        doing = "  ".join(
            f"{state.value} {count}"
            for state in UNDER_WAY
            if (count := getattr(batch, state.value))
        )
        done, skipped = ticks.get(JobState.COMPLETED, 0), ticks.get(JobState.SKIPPED, 0)
        if self._live is not None:
            beat = Text.assemble(("heartbeat ", "bold"), f"{done} ticks, {skipped} skipped")
            self._bar.update(self._task, completed=batch.completed, doing=doing)
            self._live.update(Group(self._bar, beat))
        else:
            self._line(batch.completed, f"{doing}  ticks {done}  skipped {skipped}")

    def count(self, done: int) -> None:
        """Draw how many files are done."""
        if self._live is not None:
            self._bar.update(self._task, completed=done)
        else:
            self._line(done, "")

    def _line(self, done: int, more: str) -> None:
        is_last = done == self.total and not self._is_complete
        if trio.current_time() >= self._next_line or is_last:
            self._next_line = trio.current_time() + 1
            self._is_complete = done == self.total
            say(self._console, f"{self._what} {done} of {self.total}  {more.strip()}".rstrip())


def say(console: Console, sentence: str, style: str = "") -> None:
    """Print one sentence; elsewhere than on a terminal it stays in one line."""
    console.print(
        in_one_line(sentence),
        style=style,
        soft_wrap=not console.is_terminal,
        highlight=False,
        markup=False,
    )


def announce(console: Console, plan: Plan) -> None:
    """Say what is about to happen."""
    say(
        console,
        f"{len(plan.files)} files of {plan.folder} are one batch of {len(plan.files)} jobs, "
        f"{plan.concurrency} at once; one is due in {LATER.total_seconds():g} s, and one more expires where nobody serves. "
        f"A summary waits for the batch, and a heartbeat ticks every {BEAT.total_seconds()} s.",
    )


@attrs.frozen
class Check:
    """Something that has to hold at the end: what was ``found``, and what is wrong with it."""

    name: str
    found: str
    complaints: Sequence[str] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.complaints


Rows = Sequence[tuple[str, str]]


def report(console: Console, figures: Sequence[Rows], checks: Sequence[Check]) -> None:
    """The figures, in groups, and the checks."""
    if not console.is_terminal:
        for name, value in (row for rows in figures for row in rows):
            say(console, f"{name}: {value}")
        for check in checks:
            say(console, f"check: {check.name}: {'ok' if check.holds else 'WRONG'}: {check.found}")
        return
    table = Table(title="Outcomes", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for rows in figures:
        for name, value in rows:
            table.add_row(name, Text(in_one_line(value)))
        table.add_section()
    for check in checks:
        good, bad = ("ok", "!!") if console.options.ascii_only else ("✓", "✗")
        mark, style = (good, "green") if check.holds else (bad, "red")
        table.add_row(Text(f"{mark} {check.name}", style), Text(check.found))
    console.print(table)
