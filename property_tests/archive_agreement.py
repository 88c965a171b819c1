"""Two SQLite storages are told the same, and one of them moves its old jobs to an archive now and then.

Whoever asks both must not see which is which, but for what is documented: counts are of the main file, and a
batch is known there as long as one of its jobs is.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from property_tests.host import Host
from property_tests.recount import ALL, comparable
from property_tests.strategies import NOW
from trio_gusto.model.batch import BatchRequest
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import AttemptRecord, ClaimedJob, Details, JobRequest, Progress, StoredJob
from trio_gusto.model.joblog import LogLine
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import (
    Cancelled,
    Completed,
    Condition,
    Failed,
    JobState,
    Ready,
    State,
    Waiting,
)
from trio_gusto.storage.batch_messages import Batches, InsertBatch
from trio_gusto.storage.finding_messages import Find, Found, Get, Tally
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Commit, Insert, Write
from trio_gusto.storage.report_messages import ReadLog, Report, Saying
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.sqlite import SqliteStorage, retention

NODE = "node-0"
MONTH = 31 * 86_400_000_000

picks = st.integers(0, 9)
words = st.sampled_from(["a", "b"])
few = st.frozensets(words, max_size=1)


@attrs.frozen
class Sort:
    """What is said of a job. ``month`` is that in which it was made, its id perhaps in another."""

    month: int
    id_month: int
    word: str
    tags: tuple[str, ...]
    is_plain: bool

    def details(self, ref_id: str, **more: Any) -> Details | None:
        if self.is_plain:
            return Details(**more) if more else None
        return Details(
            ref_id=ref_id,
            tags=self.tags,
            created_by=self.word,
            user_id=self.word,
            metadata={"of": self.word},
            schedule_name=self.word,
            worker=self.word,
            concurrency_key=self.word,
            **more,
        )


months = st.integers(0, 2)
sorts = st.tuples(months, months, st.booleans()).flatmap(
    lambda drawn: st.builds(
        Sort,
        st.just(drawn[0]),
        st.just(drawn[0] if drawn[2] else drawn[1]),
        words,
        st.lists(words, max_size=2, unique=True).map(tuple),
        st.booleans(),
    )
)
several = st.lists(sorts, min_size=1, max_size=3)
hows = st.sampled_from(["completed", "failed", "cancelled", "again"])


class ArchiveAgreement(RuleBasedStateMachine):
    """The main files are ``kept.db`` and ``moved.db``."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = pytest.MonkeyPatch()
        self.plant(self.patches)
        self.directory = Path(tempfile.mkdtemp(prefix="archive-"))
        self.host = Host()
        make = partial(SqliteStorage, inline=True, synchronous="NORMAL")
        self.storages = (
            make(self.directory / "kept.db"),
            make(self.directory / "moved.db", archive=True),
        )
        for storage in self.storages:
            self.host.call(partial(storage.attach, NODE))
        self.now = NOW
        self.ids: list[JobId] = []
        self.batches: list[JobId] = []
        self.said: Counter[JobId] = Counter()

    def plant(self, patches: pytest.MonkeyPatch) -> None:
        """A fault, in those that are to be caught."""

    def teardown(self) -> None:
        for storage in self.storages:
            self.host.call(partial(storage.detach, NODE))
        self.host.close()
        shutil.rmtree(self.directory)
        self.patches.undo()

    def tell(self, *writes: Write) -> Sequence[Any]:
        self.now += 1
        kept, moved = (self.host.call(partial(each.apply, writes)) for each in self.storages)
        wanted, found = [comparable(one) for one in kept], [comparable(one) for one in moved]
        assert found == wanted, f"the same is answered to a write: {found}, {wanted}"
        return kept

    def ask(self, query: Any) -> Any:
        kept, moved = self.ask_each(query)
        assert moved == kept, f"the same is found: {query}, {moved}, {kept}"
        return kept

    def ask_each(self, query: Any) -> list[Any]:
        """For what differs, as it is documented."""
        answers: list[Any] = [self.host.call(partial(each.read, query)) for each in self.storages]
        return answers

    def here(self) -> set[JobId]:
        """What is in the main file of the one that moves."""
        connection = sqlite3.connect(self.directory / "moved.db")
        rows = connection.execute("SELECT id FROM job").fetchall()
        connection.close()
        return {JobId(job_id) for (job_id,) in rows}

    # --- what happens to jobs -----------------------------------------------------------------

    def requests(self, sorts: Sequence[Sort], **more: Any) -> list[JobRequest]:
        requests: list[JobRequest] = []
        for sort in sorts:
            number = len(self.ids)
            job_id = uuid7((self.now + sort.id_month * MONTH) * 1000, number)
            requests.append(
                JobRequest(
                    job_id,
                    sort.word,
                    "[[],{}]",
                    self.now + sort.month * MONTH,
                    5,
                    queue=sort.word,
                    tenant=sort.word,
                    details=sort.details(f"job-{number}", **more),
                )
            )
            self.ids.append(job_id)
        return requests

    @rule(sorts=several)
    def enqueue(self, sorts: list[Sort]) -> None:
        requests = self.requests(sorts)
        self.tell(Insert(requests, [Ready(self.now) for _ in requests]))

    @rule(sorts=several)
    def enqueue_batch(self, sorts: list[Sort]) -> None:
        batch_id = uuid7(self.now * 1000, 1_000_000 + len(self.batches))
        requests = self.requests(sorts, batch=batch_id)
        jobs = Insert(requests, [Ready(self.now) for _ in requests])
        self.batches.append(batch_id)
        self.tell(InsertBatch(BatchRequest(batch_id, self.now), jobs))

    @precondition(lambda self: self.ids)
    @rule(pick=picks, sort=sorts)
    def follow(self, pick: int, sort: Sort) -> None:
        parent = self.ids[-1 - pick % len(self.ids)]
        if parent in self.here():
            (request,) = self.requests([sort], parents=(parent,))
            self.tell(Insert([request], [Waiting((parent,), Condition.FINISH)]))

    @rule(ends=st.lists(hows, min_size=1, max_size=4), says=st.booleans())
    def run(self, ends: list[str], says: bool) -> None:
        (reply,) = self.tell(ClaimDue(NODE, self.now, self.now + 1000, len(ends), len(ends)))
        assert isinstance(reply, ClaimReply)
        for job, how in zip(reply.jobs, ends, strict=False):
            if says:
                self.say(job)
            self.tell(self.ended(job, how))

    def say(self, job: ClaimedJob) -> None:
        lines = [LogLine(self.now, "info", f"line {self.said[job.request.id]}")]
        progress = Progress(50.0, f"at {self.now}")
        self.said[job.request.id] += 1
        self.tell(Report([Saying(job.request.id, job.token, progress, lines)], 100, 10_000))

    def ended(self, job: ClaimedJob, how: str) -> Commit:
        at, now = job.claimed_at, self.now
        ends: dict[str, tuple[State, AttemptOutcome]] = {
            "completed": (Completed(now, at, at, NODE, '"fine"'), AttemptOutcome.SUCCEEDED),
            "failed": (Failed(now, "of no use"), AttemptOutcome.FAILED),
            "cancelled": (Cancelled(now, "not wanted"), AttemptOutcome.CANCELLED),
            "again": (Ready(now), AttemptOutcome.FAILED),
        }
        state, outcome = ends[how]
        if how == "again" and job.attempt >= 5:
            state = Failed(now, "all attempts failed")
        record = AttemptRecord(job.attempt, job.token, NODE, at, at, now, outcome)
        kept = None if how == "completed" else record
        return Commit(job.request.id, job.token, state, job.attempt, kept)

    @precondition(lambda self: self.ids)
    @rule(pick=picks, again=st.booleans())
    def change(self, pick: int, again: bool) -> None:
        """Call a job off, or run it again by hand, perhaps out of the archive."""
        job = self.job(self.ids[-1 - pick % len(self.ids)])
        if again and job.state.word in (JobState.FAILED, JobState.CANCELLED):
            self.tell(Commit(job.request.id, job.version, Ready(self.now), 0))
        elif not again and job.state.word in (JobState.READY, JobState.WAITING):
            state = Cancelled(self.now, "called off")
            self.tell(Commit(job.request.id, job.version, state, job.attempt))

    def job(self, job_id: JobId) -> StoredJob:
        found: Found = self.ask(Get([job_id]))
        (job,) = found.jobs
        return job

    @rule(limit=st.sampled_from([1, 2, 99]))
    def move(self, limit: int) -> None:
        """Old jobs of one of the two, and nobody sees it."""
        self.host.call(lambda: self.storages[1].apply([Prune(self.now + 1, limit)]))
        self.look_at_all()

    @rule(sort=sorts)
    def come_back(self, sort: Sort) -> None:
        """A job that failed is moved, and runs again; then it is moved once more, over what is there."""
        self.enqueue([sort])
        self.run(["failed"] * 9, says=True)
        self.enqueue([sort])
        self.move(99)
        self.change(1, again=True)
        self.look_at_all()
        self.run(["completed"] * 9, says=True)
        self.enqueue([sort])
        self.move(99)

    @rule(sort=sorts, limit=st.integers(1, 3))
    def leave_one_behind(self, sort: Sort, limit: int) -> None:
        """Younger ones are moved, and an older one stays: who turns pages crosses the border twice."""
        self.enqueue([sort, sort, sort])
        self.run(["again", *["completed"] * 9], says=False)
        self.enqueue([sort])
        self.move(99)
        self.pages(Find(limit))
        self.pages(Find(limit, created_after=NOW))

    @rule(limit=st.sampled_from([1, 99]))
    def move_by_halves(self, limit: int) -> None:
        """Whoever moves them dies when they are copied, and not deleted yet."""

        def die(connection: Any, archive: Any, ask: Prune, found: Any) -> Pruned:
            archive.remember(connection, found[0])
            return Pruned(0)

        with pytest.MonkeyPatch.context() as patches:
            patches.setattr(retention, "delete_copied", die)
            self.host.call(lambda: self.storages[1].apply([Prune(self.now + 1, limit)]))
        self.look_at_all()

    # --- what is asked ------------------------------------------------------------------------

    def look_at_all(self) -> None:
        self.ask(Find(ALL))
        self.ask(Get(self.ids))
        for job_id in self.ids:
            self.ask(ReadLog(job_id))

    @rule(
        limit=st.integers(1, 3),
        states=st.frozensets(st.sampled_from(list(JobState)), max_size=2),
        named=st.dictionaries(
            st.sampled_from(
                [
                    "names",
                    "queues",
                    "tenants",
                    "workers",
                    "concurrency_keys",
                    "tags_any",
                    "tags_all",
                ]
            ),
            few,
            max_size=2,
        ),
        said=st.dictionaries(
            st.sampled_from(["schedule_name", "created_by", "user_id"]), words, max_size=1
        ),
        metadata=st.dictionaries(st.just("of"), words, max_size=1),
    )
    def find(
        self, limit: int, states: frozenset[JobState], named: Any, said: Any, metadata: Any
    ) -> None:
        self.pages(Find(limit, states=states, metadata=metadata, **named, **said))

    @precondition(lambda self: self.ids)
    @rule(limit=st.integers(1, 3), pick=picks, of=st.sampled_from(["parent", "batch", "made"]))
    def find_about(self, limit: int, pick: int, of: str) -> None:
        job_id = self.ids[-1 - pick % len(self.ids)]
        if of == "parent":
            self.pages(Find(limit, parent=job_id))
        elif of == "made":
            made = self.job(job_id).request.created_at
            self.pages(Find(limit, created_after=made))
            self.pages(Find(limit, created_before=made))
        elif self.batches:
            self.pages(Find(limit, batch=self.batches[-1 - pick % len(self.batches)]))

    def pages(self, find: Find) -> None:
        while jobs := self.ask(find).jobs:
            find = attrs.evolve(find, before=jobs[-1].sequence)

    @rule(pick=picks)
    def get(self, pick: int) -> None:
        self.ask(Get([*self.ids[pick:], *self.ids[:pick]]))
        self.ask(Get(ref_id=f"job-{pick}"))

    @rule()
    def count(self) -> None:
        """Of what is moved neither jobs nor batches are counted."""
        here, (_, counted) = self.here(), self.ask_each(Tally())
        jobs = [job for job in self.ask(Find(ALL)).jobs if job.request.id in here]
        there = Counter((job.state.word, job.request.queue, job.request.tenant) for job in jobs)
        assert counted.counts == there, f"counts are of the main file: {counted}, {there}"
        kept, moved = (
            {batch.request.id: dict(batch.counts) for batch in found.batches}
            for found in self.ask_each(Batches(ALL))
        )
        for batch in kept:
            of_it = self.ask(Find(ALL, batch=batch)).jobs
            members = Counter(job.state.word for job in of_it if job.request.id in here)
            assert moved.get(batch, {}) == members, f"a batch counts what is here: {moved}"
