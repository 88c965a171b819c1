"""What a run has found: a score for each part of a room, and every survivor that nobody has explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from .mutants import Change, Mutant, Verdict
from .record import Entry, stale
from .rooms import Room
from .rules import is_the_same

KILLED, TIMEOUT, RECORDED, BY_RULE, OPEN = "killed", "timeout", "recorded", "by rule", "open"
NOT_ASKED = "not asked"
"""What is to be said of a mutant: the tests have noticed it, it is explained, or neither; or the run was stopped
before it."""

_UNNOTICED = (RECORDED, TIMEOUT, NOT_ASKED)

_COLUMNS = (KILLED, TIMEOUT, RECORDED, BY_RULE, OPEN, NOT_ASKED)


@dataclass(frozen=True)
class Report:
    """The mutants of a room, each with what is to be said of it."""

    counts: Mapping[str, Counter[str]]
    """By part."""

    open: tuple[Mutant, ...]
    """Those that nobody has explained: survivors, and mutants whose verdict says nothing."""

    stale: tuple[Entry, ...]
    """Entries of the record whose mutants a test has noticed, or that match none. Whose time has run out may survive
    on another day."""

    @classmethod
    def of(cls, room: Room, mutants: Sequence[Mutant], record: Sequence[Entry]) -> Report:
        """Hold the mutants against the rules and the record."""
        known = {entry.change for entry in record}
        said = [(mutant, _said_of(mutant, known)) for mutant in mutants]
        counts: dict[str, Counter[str]] = {}
        for mutant, word in said:
            counts.setdefault(_part(room, mutant), Counter())[word] += 1
        modules = {mutant.name.rpartition(".")[0] for mutant in mutants}
        return cls(
            {part: counts[part] for part in room.parts if part in counts},
            tuple(mutant for mutant, word in said if word == OPEN),
            tuple(
                stale(
                    [entry for entry in record if _is_of(entry.change, modules)],
                    [mutant.change for mutant, word in said if word in _UNNOTICED],
                )
            ),
        )

    @property
    def is_explained(self) -> bool:
        """Whether all were asked, every survivor is explained, and every explanation has its survivor."""
        unasked = any(counts[NOT_ASKED] for counts in self.counts.values())
        return not self.open and not self.stale and not unasked

    def lines(self) -> Iterator[str]:
        """As it is printed."""
        for mutant in self.open:
            yield f"{mutant.verdict.value}: {mutant.change.function}  ({mutant.name})"
            yield from _diff(mutant.change)
        for entry in self.stale:
            yield f"recorded as equivalent, but it did not survive: {entry.change.function}"
            yield from _diff(entry.change)
        yield f"{'':<20}{'mutants':>9}{''.join(f'{word:>10}' for word in _COLUMNS)}{'score':>8}"
        for part, counts in self.counts.items():
            yield _line(part, counts)
        if len(self.counts) > 1:
            yield _line("all", sum(self.counts.values(), Counter[str]()))


def _said_of(mutant: Mutant, known: set[Change]) -> str:
    match mutant.verdict:
        case Verdict.KILLED:
            return KILLED
        case Verdict.TIMEOUT:
            return TIMEOUT
        case Verdict.NOT_ASKED:
            return NOT_ASKED
        case Verdict.SURVIVED | Verdict.NO_TESTS if mutant.change in known:
            return RECORDED
        case Verdict.SURVIVED | Verdict.NO_TESTS if is_the_same(mutant.original, mutant.mutated):
            return BY_RULE
        case _:
            return OPEN


def _part(room: Room, mutant: Mutant) -> str:
    """The first part whose pattern the module matches."""
    module = mutant.name.rpartition(".")[0]
    return next(
        part
        for part, patterns in room.parts.items()
        if any(fnmatch(module, pattern) for pattern in patterns)
    )


def _is_of(change: Change, modules: set[str]) -> bool:
    return any(change.function.startswith(f"{module}.") for module in modules)


def _diff(change: Change) -> Iterator[str]:
    yield f"    - {change.was}"
    yield f"    + {change.becomes}"


def _line(part: str, counts: Counter[str]) -> str:
    """Timeouts count as noticed. What is explained does not: the score is the share, of those asked, that tests notice."""
    share = (counts[KILLED] + counts[TIMEOUT]) / max(1, counts.total() - counts[NOT_ASKED])
    columns = "".join(f"{counts[word]:>10}" for word in _COLUMNS)
    return f"{part:<20}{counts.total():>9}{columns}{share:>8.1%}"
