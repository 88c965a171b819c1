"""A machine that compares the counts of a SQLite file with a plain recount, whatever happens to its jobs.

Two processes share the file. Pieces are of four jobs and few, so that changes meet kept counts often, and
distant pieces share their marks.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from property_tests.host import Host
from property_tests.strategies import NOW
from trio_gusto.model.errors import GustoError
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import ClaimedJob, Details, JobRequest, StoredJob
from trio_gusto.model.states import (
    Cancelled,
    Completed,
    Condition,
    Expired,
    Failed,
    JobState,
    Ready,
    Scheduled,
    Skipped,
    State,
    Waiting,
)
from trio_gusto.storage.finding_messages import Get, Tally
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Complete,
    Insert,
    Write,
    WriteReply,
)
from trio_gusto.storage.retention_messages import Prune
from trio_gusto.storage.sqlite import SqliteStorage, counts, pieces, schema
from trio_gusto.storage.sqlite.rows import WORDS

NODE = "node-0"

picks = st.integers(0, 7)
places = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["", "t"]))

Groups = dict[tuple[JobState, str, str], int]


def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of four jobs, four marks, and every count kept."""
    monkeypatch.setattr(pieces, "SHIFT", 2)
    monkeypatch.setattr(pieces, "SLOT", 3)
    monkeypatch.setattr(pieces, "ENOUGH", 1)
    read_script = schema.read_script

    def read(name: str) -> str:
        text = read_script(name)
        return text.replace("(OLD.seq >> 11) & 4095", "(OLD.seq >> 2) & 3")

    monkeypatch.setattr(schema, "read_script", read)


class CountAgreement(RuleBasedStateMachine):
    """One file, two storages on it, and a connection that looks at the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = pytest.MonkeyPatch()
        small_pieces(self.patches)
        self.plant(self.patches)
        self.directory = Path(tempfile.mkdtemp(prefix="counts-"))
        self.path = self.directory / "jobs.db"
        self.host = Host()
        self.now = NOW
        self.ids: list[JobId] = []
        self.leases: list[ClaimedJob] = []

    def plant(self, patches: pytest.MonkeyPatch) -> None:
        """A fault, in those that are to be caught."""

    @initialize(archive=st.booleans())
    def open(self, archive: bool) -> None:
        self.storages = [
            SqliteStorage(self.path, inline=True, archive=archive, synchronous="NORMAL")
            for _ in range(2)
        ]
        for number, storage in enumerate(self.storages):
            self.host.call(partial(storage.attach, f"node-{number}"))
        self.opened = tuple(self.storages)
        self.looking = sqlite3.connect(self.path, isolation_level=None)

    def teardown(self) -> None:
        if hasattr(self, "looking"):
            self.looking.close()
            for number, storage in enumerate(self.opened):
                self.host.call(partial(storage.detach, f"node-{number}"))
        self.host.close()
        shutil.rmtree(self.directory)
        self.patches.undo()

    def tell(self, *writes: Write) -> Sequence[WriteReply | GustoError]:
        return self.host.call(lambda: self.storages[0].apply(writes))

    def job(self, pick: int) -> StoredJob | None:
        """One of the newest; it may be in the archive, or gone."""
        asked = Get([self.ids[-1 - pick % len(self.ids)]])
        found = self.host.call(lambda: self.storages[0].read(asked)).jobs
        return found[0] if found else None

    # --- what happens to jobs -----------------------------------------------------------------

    def insert(self, place: tuple[str, str], state: State, details: Details | None) -> None:
        job_id = uuid7(self.now * 1000, len(self.ids))
        queue, tenant = place
        request = JobRequest(
            job_id, "f", "[[],{}]", self.now, 99, queue=queue, tenant=tenant, details=details
        )
        self.tell(Insert([request], [state]))
        self.ids.append(job_id)

    @rule(
        place=places,
        delay=st.sampled_from([0, 0, 0, 5]),
        worker=st.sampled_from([None, None, "smtp"]),
    )
    def enqueue(self, place: tuple[str, str], delay: int, worker: str | None) -> None:
        state = Scheduled(self.now + delay) if delay else Ready(self.now)
        self.insert(place, state, Details(worker=worker) if worker else None)

    @rule(place=places, conflict=st.sampled_from(["replace", "keep"]))
    def enqueue_unique(self, place: tuple[str, str], conflict: str) -> None:
        self.insert(place, Ready(self.now), Details(unique_key="only", on_conflict=conflict))

    @rule(place=places)
    def record_skipped(self, place: tuple[str, str]) -> None:
        self.insert(place, Skipped(self.now, ""), None)

    @precondition(lambda self: self.ids)
    @rule(place=places)
    def continue_with(self, place: tuple[str, str]) -> None:
        parents = (self.ids[-1],)
        self.insert(place, Waiting(parents, Condition.SUCCESS), Details(parents=parents))

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        (reply,) = self.tell(ClaimDue(NODE, self.now, self.now + 9, limit, limit))
        assert isinstance(reply, ClaimReply)
        self.leases += reply.jobs

    @precondition(lambda self: self.leases)
    @rule(count=st.integers(1, 3))
    def complete(self, count: int) -> None:
        done = self.leases[-count:]
        states = [Completed(self.now, lease.claimed_at, lease.claimed_at, NODE) for lease in done]
        self.tell(Complete(done, states))

    @precondition(lambda self: self.ids)
    @rule(pick=picks, end=st.sampled_from([Failed, Cancelled, Expired]))
    def end(self, pick: int, end: type[Failed | Cancelled | Expired]) -> None:
        """Also what has ended already: it changes its state then."""
        self.change(pick, end(self.now, ""))

    @precondition(lambda self: self.ids)
    @rule(pick=picks, delay=st.sampled_from([0, 0, 5]))
    def run_again(self, pick: int, delay: int) -> None:
        """After an attempt, or by hand, perhaps out of the archive."""
        self.change(pick, Scheduled(self.now + delay) if delay else Ready(self.now))

    def change(self, pick: int, state: State) -> None:
        if (job := self.job(pick)) is not None:
            self.tell(Commit(job.request.id, job.version, state, job.attempt))

    @rule(place=places)
    def come_back_in_vain(self, place: tuple[str, str]) -> None:
        """Another job has its key: it comes back from the archive, and stays as it is."""
        self.enqueue_unique(place, "replace")
        self.change(0, Cancelled(self.now, ""))
        self.enqueue_unique(place, "replace")
        self.prune(9)
        self.count_and_keep(1)
        self.change(1, Ready(self.now))

    @rule(place=places)
    def take_the_place_of_what_is_gone(self, place: tuple[str, str]) -> None:
        """Without an archive, the highest sequences are given once more."""
        self.insert(place, Ready(self.now), None)
        self.record_skipped(place)
        self.now += 1
        self.record_skipped(place)
        self.tell(Prune(self.now, 999))
        self.count_and_keep(1)
        self.prune(999)
        self.insert(place, Ready(self.now), None)

    @rule(limit=st.sampled_from([1, 2, 9]))
    def prune(self, limit: int) -> None:
        self.now += 1
        self.tell(Prune(self.now, limit))

    @rule(step=st.sampled_from([1, 5]))
    def wait(self, step: int) -> None:
        self.now += step

    @rule()
    def another_process(self) -> None:
        """From now on, the other one writes, and counts."""
        self.storages.reverse()

    # --- what must hold -----------------------------------------------------------------------

    @rule(times=st.integers(1, 2))
    def count_and_keep(self, times: int) -> None:
        for _ in range(times):
            tallied = self.host.call(lambda: self.storages[0].read(Tally()))
            assert (dict(tallied.counts), tallied.oldest_ready) == self.recount()

    @invariant()
    def counts_equal_a_recount(self) -> None:
        """Nothing is kept here, so that what was kept before goes through many changes."""
        if hasattr(self, "looking"):
            tallied = counts.count_jobs(self.looking).tallied
            assert (dict(tallied.counts), tallied.oldest_ready) == self.recount()

    def recount(self) -> tuple[Groups, int | None]:
        groups: Counter[tuple[JobState, str, str]] = Counter()
        oldest: list[int] = []
        rows = self.looking.execute("SELECT state, queue, tenant, due FROM job").fetchall()
        for number, queue, tenant, due in rows:
            groups[WORDS[number], queue, tenant] += 1
            if WORDS[number] is JobState.READY:
                oldest.append(due)
        return dict(groups), min(oldest, default=None)
