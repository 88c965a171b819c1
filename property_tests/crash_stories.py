"""A story as a crash campaign leaves it, with one of everything, for those who want to spoil it."""

from __future__ import annotations

from typing import Any

import attrs

from property_tests.crashes.rows import (
    CANCELLED,
    COMPLETED,
    FAILED,
    AttemptRow,
    JobRow,
    Rows,
)

PRODUCER, FIRST, SECOND = 10, 11, 12
"""Processes."""

BEAT = 10_000_000
"""Nanoseconds between two lines."""


@attrs.define
class Tale:
    """Lines of a ledger and rows of a file, that may still be changed."""

    lines: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    jobs: dict[str, JobRow] = attrs.field(factory=dict[str, JobRow])
    attempts: list[AttemptRow] = attrs.field(factory=list[AttemptRow])

    @property
    def rows(self) -> Rows:
        """What the file says."""
        return Rows(self.jobs, self.attempts)

    def note(self, word: str, pid: int = PRODUCER, **fields: Any) -> None:
        """Add a line."""
        self.lines.append({"word": word, "pid": pid, "at": 0, **fields})

    def timed(self) -> list[dict[str, Any]]:
        """The lines with their instants, and the pulses of both workers between them."""
        found: list[dict[str, Any]] = []
        for beat, line in enumerate(self.lines):
            at = beat * BEAT
            if not beat % 3:
                found += [{"word": "pulse", "pid": pid, "at": at} for pid in self.alive()]
            found.append({**line, "at": at})
        return found

    def alive(self) -> list[int]:
        """Whose pulses there are."""
        still = {line["pid"] for line in self.lines if line["word"] == "no pulse"}
        return [pid for pid in (FIRST, SECOND) if pid not in still]

    def store(self, what: str, jobs: list[str], **fields: Any) -> None:
        """Have jobs be asked for and acknowledged; their names are their ids."""
        self.note("asked", what=what, refs=jobs)
        self.note("acknowledged", what=what, refs=jobs, jobs=jobs, **fields)

    def begin(self, entry: str, job: str, token: int, number: int, pid: int, **more: Any) -> None:
        """Have a handler be entered."""
        self.note("begun", pid, entry=entry, job=job, token=token, number=number, **more)

    def run(self, job: str, pid: int = FIRST, **row: Any) -> None:
        """Have a job be run once, by an entry that is called like it, and completed."""
        parts, told = row.pop("parts", None), row.pop("told", None)
        more = {"parts": parts} if parts else {"told": told} if told else {}
        self.begin(f"{job}!", job, 1, 1, pid, **more)
        self.note("returned", pid, entry=f"{job}!")
        self.keep(job, result=f"{job}!", **row)

    def keep(self, job: str, **row: Any) -> None:
        """Have the file say something of a job."""
        fields: dict[str, Any] = {
            "id": job, "name": "plain", "state": COMPLETED, "attempt": 1,
            "max_attempts": 10, "version": 2, "ref": job, **row,
        }  # fmt: skip
        self.jobs[job] = JobRow(**fields)

    # --- for those who spoil it -------------------------------------------------------------------

    def change(self, job: str, **row: Any) -> None:
        """Have the file say something else."""
        self.jobs[job] = attrs.evolve(self.jobs[job], **row)

    def place(self, word: str, **fields: Any) -> int:
        """Where a line stands."""
        wanted = {"word": word, **fields}
        return next(n for n, line in enumerate(self.lines) if wanted.items() <= line.items())

    def drop(self, word: str, **fields: Any) -> dict[str, Any]:
        """Take a line out."""
        return self.lines.pop(self.place(word, **fields))


def tale() -> Tale:
    """The story as it should be."""
    told = Tale()
    told.note("schedules", names={"tick": 0.2, "tock": 0.7})
    told.store("jobs", ["one", "again", "doomed", "split", "measure"])
    told.run("one")
    told.begin("again?", "again", 1, 1, FIRST)
    told.note("kills", process=FIRST, point="begun, not ended")
    told.begin("again!", "again", 2, 2, SECOND)
    told.note("returned", SECOND, entry="again!")
    told.keep("again", result="again!", attempt=2, version=3)
    told.attempts.append(AttemptRow("again", 1, 1, "lost"))
    for number, token in ((1, 1), (2, 3)):
        told.begin(f"doomed{number}", "doomed", token, number, SECOND)
        told.note("broke", SECOND, entry=f"doomed{number}")
        told.attempts.append(AttemptRow("doomed", token, number, "failed"))
    told.keep("doomed", state=FAILED, attempt=2, max_attempts=2, version=4, reason="always")
    told.run("split", SECOND, parts=1)
    told.run("child", SECOND, ref="split!-0")
    told.run("last", SECOND, ref="split!-last")
    told.run("measure", SECOND, name="measure")
    told.run("tell", SECOND, name="tell", told="measure!")
    told.store("jobs", ["off"])
    told.note("cancels", job="off")
    told.note("cancelled", job="off")
    told.keep("off", state=CANCELLED, attempt=0, version=1, reason="not needed")
    told.store("jobs", ["parent"])
    told.store("continuation", ["follower"], parents=["parent"], on="success")
    told.run("parent", SECOND)
    told.run("follower", SECOND, name="gather")
    told.store("batch", ["member 1", "member 2", "end"], batch="b", end="end", on="finish")
    told.run("member 1", SECOND, batch="b")
    told.run("member 2", SECOND, batch="b")
    told.run("end", SECOND, name="gather")
    told.store("lane", ["behind 1", "behind 2"])
    told.run("behind 1", SECOND, lane="worker till", room=1)
    told.run("behind 2", SECOND, lane="worker till", room=1)
    told.store("key", ["key 1"])
    told.run("key 1", SECOND, key="k", created_at=1)
    told.store("key", ["key 2"])
    told.run("key 2", SECOND, key="k", created_at=2)
    for beat in range(3):
        told.run(f"tick {beat}", SECOND, schedule="tick", fire_time=beat * 200_000)
    return told
