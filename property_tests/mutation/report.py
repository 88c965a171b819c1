"""What a run has found: a score for each part of a room, and every survivor that nobody has explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from .mutants import Mutant, Verdict
from .record import Entry, stale
from .rooms import Room

_FOUND = {Verdict.KILLED, Verdict.TIMEOUT}
_LOST = {Verdict.SURVIVED, Verdict.NO_TESTS}


@dataclass(frozen=True)
class Report:
    """The mutants of a room, each with what is to be said of it."""

    scores: tuple[Score, ...]
    open: tuple[Mutant, ...]
    """Survivors that are not recorded, and mutants whose verdict says nothing."""

    stale: tuple[Entry, ...]
    """Entries of the record that match no survivor."""

    @classmethod
    def of(cls, room: Room, mutants: Sequence[Mutant], record: Sequence[Entry]) -> Report:
        """Hold the mutants against the record."""
        known = {entry.change for entry in record}
        modules = {_module(mutant.name) for mutant in mutants}
        scores = {part: Score(part) for part in room.parts}
        open_: list[Mutant] = []
        for mutant in mutants:
            scores[_part(room, mutant.name)].count(mutant, known)
            if mutant.verdict not in _FOUND and mutant.change not in known:
                open_.append(mutant)
        lost = [mutant.change for mutant in mutants if mutant.verdict in _LOST]
        asked = [
            entry
            for entry in record
            if any(entry.change.function.startswith(f"{module}.") for module in modules)
        ]
        return cls(
            tuple(score for score in scores.values() if score.mutants),
            tuple(open_),
            tuple(stale(asked, lost)),
        )

    @property
    def explained(self) -> bool:
        """Whether every survivor is explained, and every explanation has its survivor."""
        return not self.open and not self.stale

    def lines(self) -> Iterator[str]:
        """As it is printed."""
        for mutant in self.open:
            yield f"{mutant.verdict.value}: {mutant.change.function}  ({mutant.name})"
            yield f"    - {mutant.change.was}"
            yield f"    + {mutant.change.becomes}"
        for entry in self.stale:
            yield f"recorded as equivalent, but it did not survive: {entry.change.function}"
            yield f"    - {entry.change.was}"
            yield f"    + {entry.change.becomes}"
        yield _HEAD
        for score in self.scores:
            yield score.line()


_HEAD = (
    f"{'':<20}{'mutants':>9}{'killed':>9}{'timeout':>9}{'equivalent':>12}{'open':>7}{'score':>9}"
)


class Score:
    """What is counted of one part."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.mutants = 0
        self.equivalent = 0
        self._verdicts: Counter[Verdict] = Counter()

    def count(self, mutant: Mutant, known: Iterable[object]) -> None:
        """One more."""
        self.mutants += 1
        self._verdicts[mutant.verdict] += 1
        self.equivalent += mutant.verdict in _LOST and mutant.change in known

    @property
    def found(self) -> int:
        """Those that the tests have noticed."""
        return self._verdicts[Verdict.KILLED] + self._verdicts[Verdict.TIMEOUT]

    def line(self) -> str:
        """As it is printed."""
        rest = self.mutants - self.found - self.equivalent
        return (
            f"{self.part:<20}{self.mutants:>9}{self._verdicts[Verdict.KILLED]:>9}"
            f"{self._verdicts[Verdict.TIMEOUT]:>9}{self.equivalent:>12}{rest:>7}"
            f"{self.found / self.mutants:>9.1%}"
        )


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _part(room: Room, name: str) -> str:
    """The first part whose pattern the module matches."""
    return next(
        part
        for part, patterns in room.parts.items()
        if any(fnmatch(_module(name), pattern) for pattern in patterns)
    )
