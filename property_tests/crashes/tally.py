"""What a campaign has seen, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs

from .ledger import Line
from .points import POINTS
from .rows import WORDS, Rows
from .story import Story, read

ANYBODY, EVERYBODY = "anywhere", "everybody at once"
KILLS = (*POINTS, ANYBODY, EVERYBODY)
"""Where processes are killed."""


@attrs.define
class Tally:
    """Figures of several rounds."""

    rounds: int = 0
    points: Counter[str] = attrs.field(factory=Counter[str])
    counts: Counter[str] = attrs.field(factory=Counter[str])
    states: Counter[str] = attrs.field(factory=Counter[str])
    outcomes: Counter[str] = attrs.field(factory=Counter[str])

    def add(self, lines: Sequence[Line], rows: Rows) -> None:
        """Count what one round has come to."""
        story = read(lines)
        words = Counter[str](line["word"] for line in lines)
        self.rounds += 1
        self.points.update(line["point"] for line in lines if line["word"] == "kills")
        self.states.update(WORDS[job.state] for job in rows.jobs.values())
        self.outcomes.update(attempt.outcome for attempt in rows.attempts)
        fired = [job for job in rows.jobs.values() if job.fire_time is not None]
        self.counts.update(
            {
                "processes started": words["starts"],
                "told to stop": words["stopped"],
                "stood still beyond a lease": words["stops"],
                "disk full": words["full"],
                "file locked": words["locks"],
                "jobs acknowledged": sum(len(line["jobs"]) for line in story.acknowledged),
                "jobs refused": sum(len(line["refs"]) for line in story.refused),
                "jobs in the file": len(rows.jobs),
                "handlers entered": len(story.entries),
                "went on after they were taken over": _fenced(story),
                "occurrences": len(fired),
                "batches": sum(line["what"] == "batch" for line in story.acknowledged),
            }
        )

    def lines(self) -> Iterator[str]:
        """The figures, a line each."""
        yield "killed:"
        yield from (f"  {point:<42}{self.points[point]:>9,}" for point in KILLS)
        yield "of all rounds:"
        yield from (f"  {what:<42}{count:>9,}" for what, count in self.counts.items())
        for what, counter in (("jobs", self.states), ("attempts", self.outcomes)):
            yield from (f"  {f'{what} {word}':<42}{count:>9,}" for word, count in counter.items())
        missing = [point for point in KILLS if not self.points[point]]
        yield f"never reached: {', '.join(missing)}" if missing else "every point was reached"


def _fenced(story: Story) -> int:
    """How many entries went on after their jobs had been taken over, and so for nobody."""
    return sum(
        any(
            other.token > entry.token and other.place < (entry.end or 0)
            for other in story.of_job[entry.job]
        )
        for entry in story.entries.values()
    )
