"""`Oracle`: hears every fact of a world and every handler, and says which law is broken.

It is a model of its own: it knows what was asked for and what was seen, and none of the rules of the
program under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from trio_gusto import (
    Fact,
    JobClaimed,
    JobFinished,
    JobStarted,
    LeaseExpired,
    OccurrenceSkipped,
    ScheduleFired,
)
from trio_gusto.testing.simulation import (
    ClockChanged,
    NodeCrashed,
    NodeDrained,
    NodePaused,
    NodeResumed,
    NodeStarted,
    StorageFailed,
)

from . import laws
from .book import Book, Child, Claim, Run, node_of
from .plans import CLOCK_ERROR
from .service import CONCURRENCY, Spec

DEFAULT_ATTEMPTS = 6


class Oracle:
    """Judges facts and handlers one by one; what is to be seen of the storage is judged elsewhere."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.facts = 0
        self._broken: AssertionError | None = None
        self._instants: set[tuple[str, Any]] = set()

    # --- facts ---

    def hear(self, fact: Fact) -> bool:
        """Hear one.

        Raises:
            LawBroken: it breaks a law, or a handler has.
        """
        self.facts += 1
        self.check()
        book = self.book
        match fact:
            case JobClaimed():
                claim = Claim(fact.job_id, fact.attempt, fact.node_id, book.time())
                book.claims.setdefault(fact.job_id, []).append(claim)
            case JobStarted():
                self._start(fact)
            case JobFinished():
                book.ended[fact.job_id] += 1
                if book.ended[fact.job_id] > 1 + book.retried[fact.job_id]:
                    raise laws.LawBroken(laws.ENDS_ONCE, fact)
            case LeaseExpired():
                self._lose(fact)
            case ScheduleFired() | OccurrenceSkipped():
                instant = fact.schedule_name, fact.fire_time
                if instant in self._instants:
                    raise laws.LawBroken(laws.INSTANT_ONCE, fact)
                self._instants.add(instant)
            case ClockChanged():
                book.clocks_were_set = True
            case _:
                self._befall(fact)
        return False

    def check(self) -> None:
        """See that no handler has broken a law."""
        if self._broken is not None:
            raise self._broken

    def _befall(self, fact: Fact) -> None:
        book = self.book
        match fact:
            case NodeCrashed(node=node) | NodeDrained(node=node):
                book.shake(node)
                book.gone.add(node)
                book.still.discard(node)
                book.runs[:] = [run for run in book.runs if run.node != node]
            case NodeStarted(node=node):
                book.gone.discard(node)
            case NodePaused(node=node):
                book.shake(node)
                book.still.add(node)
                for run in book.runs:
                    run.stopped |= run.node == node
            case NodeResumed(node=node):
                book.still.discard(node)
                book.shake(node)
            case StorageFailed(node=node):
                book.shake(node)
                book.failures[node] += 1
            case _:
                pass

    def _start(self, fact: JobStarted) -> None:
        book, job, node = self.book, fact.job_id, node_of(fact.node_id)
        book.began_at[job] = node
        if book.was_unwell_since_claim(job, node):
            return
        if book.ended[job] > book.retried[job]:
            raise laws.LawBroken(laws.STARTS_NO_MORE, fact)
        if fact.queue in book.paused:
            raise laws.LawBroken(laws.PAUSED, fact)
        if [claim.attempt for claim in book.claims[job] if claim.node_id == fact.node_id][
            -1
        ] != fact.attempt:
            raise laws.LawBroken(laws.NUMBERED, fact)

    def _lose(self, fact: LeaseExpired) -> None:
        for claim in self.book.claims.get(fact.job_id, ()):
            if (claim.attempt, claim.node_id) == (fact.attempt, fact.node_id):
                break
        else:
            return  # of a claim that nobody has told of
        if not self.book.was_unwell(claim.node, claim.at):
            raise laws.LawBroken(laws.NOT_ROBBED, fact)

    # --- handlers ---

    def entered(self, job: UUID, attempt: int, spec: Spec) -> Run:
        """A handler begins."""
        book = self.book
        node = book.began_at[job]
        book.entered[job] += 1
        number = book.entered.total()
        run = Run(job, attempt, node, spec, book.time(), number, stopped=node in book.still)
        if node not in book.gone and not run.stopped:
            if not book.was_unwell_since_claim(job, node):
                for law in self._broken_by(run):
                    self._broken = self._broken or laws.LawBroken(law, run)
            book.runs.append(run)
        return run

    def left(self, run: Run, *, returned: bool) -> None:
        """A handler is over."""
        self.book.returned[run.job] += returned
        if run in self.book.runs:
            self.book.runs.remove(run)

    def bore(self, run: Run, child: UUID, spec: Spec) -> None:
        """A handler has asked for a child, which is stored if it returns."""
        self.book.children[child] = Child(spec, run.job, run.number)

    def _broken_by(self, run: Run) -> Iterator[str]:
        book, spec = self.book, run.spec
        others = [other for other in book.runs if not book.is_doubtful(other)]
        if any(other.job == run.job for other in others):
            yield laws.ONE_PLACE
        if "worker" in spec and any(other.spec.get("worker") == spec["worker"] for other in others):
            yield laws.ALONE
        if "concurrency_key" in spec:
            key = spec["concurrency_key"]
            same = [other for other in others if other.spec.get("concurrency_key") == key]
            if len(same) >= spec["concurrency_limit"]:
                yield laws.LIMIT
        if len([other for other in others if other.node == run.node]) >= CONCURRENCY:
            yield laws.ROOM
        if not book.retried[run.job]:
            if not 1 <= run.attempt <= spec.get("max_attempts", DEFAULT_ATTEMPTS):
                yield laws.ATTEMPTS
            asked = book.asked.get(run.job)
            if asked is not None and "execute_after" in spec:
                early = 2 * CLOCK_ERROR if book.clocks_were_set else 1e-3
                if run.since < asked.at + spec["execute_after"] - early:
                    yield laws.NOT_EARLY
        # Whoever was given up and is retried by hand runs at once, whatever its parents do.
        for parent in () if book.retried[run.job] else map(UUID, spec.get("parents", ())):
            jobs = book.members(parent)
            if any(other.job in jobs and not book.retried[other.job] for other in others):
                yield laws.AFTER_PARENTS
