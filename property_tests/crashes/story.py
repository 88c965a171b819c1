"""What the ledger tells, put in order: who asked, which entries there were, and who stood still when."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

import attrs

from .ledger import Line

STILL = 100_000_000
"""Nanoseconds without a pulse, beyond those between two, from which on a process has stood still: by our doing,
or because the machine had no time for it. Less than between the fence of the shortest lease and its end."""

PULSE = 50_000_000


@attrs.define
class Entry:
    """One time that a handler was entered. Places are those of lines in the ledger."""

    name: str
    job: str
    token: int
    number: int
    pid: int
    place: int
    at: int
    line: Line
    end: int | None = None
    ended_at: int = 0
    has_returned: bool = False


@attrs.define
class Story:
    """All of the ledger."""

    entries: dict[str, Entry] = attrs.field(factory=dict[str, Entry])
    of_job: dict[str, list[Entry]] = attrs.field(factory=lambda: defaultdict(list))
    """The entries of each job, by their tokens."""
    asked: list[Line] = attrs.field(factory=list[Line])
    acknowledged: list[Line] = attrs.field(factory=list[Line])
    places: dict[str, int] = attrs.field(factory=dict[str, int])
    """Where it stands that a job is stored."""
    refused: list[Line] = attrs.field(factory=list[Line])
    cancels: set[str] = attrs.field(factory=set[str])
    cancelled: set[str] = attrs.field(factory=set[str])
    schedules: Mapping[str, float] = attrs.field(factory=dict[str, float])
    gone: dict[int, int] = attrs.field(factory=dict[int, int])
    """The place at which a process was killed."""
    _pulses: dict[int, list[int]] = attrs.field(factory=lambda: defaultdict(list))

    def stood_still(self, pid: int, begin: int, end: int) -> bool:
        """Whether a process did, at some time between two instants."""
        pulses = self._pulses[pid]
        if not pulses:
            return True
        first = max(0, bisect.bisect_right(pulses, begin) - 1)
        last = bisect.bisect_left(pulses, end)
        moments = [*pulses[first : last + 1]]
        if last >= len(pulses):
            moments.append(end)
        return any(later - earlier > PULSE + STILL for earlier, later in pairwise(moments))

    def end_of(self, entry: Entry) -> int | None:
        """The place from which on it did nothing more: it had ended, or its process was killed."""
        return entry.end if entry.end is not None else self.gone.get(entry.pid)


def read(lines: Iterable[Line]) -> Story:
    """Put a ledger in order."""
    story = Story()
    for place, line in enumerate(lines):
        match line["word"]:
            case "begun":
                entry = Entry(
                    line["entry"], line["job"], line["token"], line["number"],
                    line["pid"], place, line["at"], line,
                )  # fmt: skip
                story.entries[entry.name] = entry
                story.of_job[entry.job].append(entry)
            case "returned" | "broke":
                entry = story.entries[line["entry"]]
                entry.end, entry.ended_at = place, line["at"]
                entry.has_returned = line["word"] == "returned"
            case "asked":
                story.asked.append(line)
            case "acknowledged":
                story.acknowledged.append(line)
                story.places.update(dict.fromkeys(line["jobs"], place))
            case "refused":
                story.refused.append(line)
            case "cancels":
                story.cancels.add(line["job"])
            case "cancelled":
                story.cancelled.add(line["job"])
            case "schedules":
                story.schedules = line["names"]
            case "kills":
                story.gone[line["process"]] = place
            case "pulse":
                story._pulses[line["pid"]].append(line["at"])
            case _:
                pass
    for entries in story.of_job.values():
        entries.sort(key=lambda entry: (entry.token, entry.place))
    return story
