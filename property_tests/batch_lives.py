"""Batches in any life: opened, appended to, reopened, called off, waited for; and anybody may die.

A producer performs the operations of a plan, two nodes run the jobs, and each of the three may die at
any transaction and be followed by another.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Literal

import attrs
import trio
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.acts import End, act, ends
from property_tests.dying import NODES, Death, Stage, deaths, serve
from property_tests.hearing import Hearing, Reply, Words, claimed, committed
from property_tests.waiting_rules import WaitingRules
from trio_gusto import Gusto, JobFilter, JobQueue, Options, fixed
from trio_gusto.model.errors import BatchError
from trio_gusto.model.ids import JobId, to_job_id, to_uuid
from trio_gusto.queue.open_batch import OpenBatch
from trio_gusto.storage.messages import Write
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

ROUNDS = 100
"""Times that the end is waited for, five seconds each."""

PRODUCER = NODES
"""The number of the producer among those who die."""

On = Literal["success", "failure", "finish"]


class CallingOff(Words):
    """Who was called off is not claimed any more, unless somebody wants it run again."""

    def __init__(self) -> None:
        super().__init__()
        self.called_off: set[JobId] = set()

    def call_off(self, jobs: Iterable[JobId]) -> None:
        self.called_off.update(jobs)

    def hear(self, write: Write, reply: Reply) -> None:
        for job in claimed(write, reply):
            off = job.request.id in self.called_off
            self.expect(not off, "who was called off with its batch is not run")
        for commit in committed(write, reply):
            if self.has_ended(commit.job_id):
                self.called_off.discard(commit.job_id)
        super().hear(write, reply)


# --- operations -----------------------------------------------------------------------------------


@attrs.frozen
class Content:
    """What is put into a batch: jobs, and those who wait for all of it."""

    members: tuple[tuple[End, float], ...] = ()
    followers: tuple[On, ...] = ()
    breaks: bool = False
    """The block ends with an exception."""

    def fill(self, batch: OpenBatch) -> None:
        for end, work in self.members:
            batch.enqueue(act, end, work)
        for on in self.followers:
            batch.continue_with(act, "ok", 0.0, on=on)
        if self.breaks:
            raise ZeroDivisionError


@attrs.frozen
class Open:
    content: Content

    async def perform(self, play: BatchPlay, queue: JobQueue) -> None:
        async with queue.batch() as batch:
            self.content.fill(batch)
        assert to_job_id(batch.id) in play.rules.members, "a block that has ended is stored"


@attrs.frozen
class Append:
    pick: int
    content: Content
    reopen: bool = False

    async def perform(self, play: BatchPlay, queue: JobQueue) -> None:
        batch = play.pick(self.pick, play.rules.members)
        if batch is not None:
            with suppress(BatchError):
                async with queue.append_to(to_uuid(batch), reopen=self.reopen) as more:
                    self.content.fill(more)


@attrs.frozen
class Follow:
    """Somebody waits for some batches, and perhaps for a job."""

    batches: tuple[int, ...]
    job: int | None
    on: On

    async def perform(self, play: BatchPlay, queue: JobQueue) -> None:
        found = [play.pick(pick, play.rules.members) for pick in self.batches]
        if self.job is not None:
            found.append(play.pick(self.job, play.rules.words))
        parents = [to_uuid(one) for one in found if one is not None]
        if parents:
            await queue.continue_with(parents, act, "ok", 0.0, on=self.on)


@attrs.frozen
class CancelBatch:
    pick: int

    async def perform(self, play: BatchPlay, queue: JobQueue) -> None:
        batch = play.pick(self.pick, play.rules.members)
        if batch is not None:
            await queue.batch_ref(to_uuid(batch)).cancel("not wanted")
            play.calling_off.call_off(play.rules.members[batch])


@attrs.frozen
class RetryJob:
    pick: int

    async def perform(self, play: BatchPlay, queue: JobQueue) -> None:
        job = play.pick(self.pick, play.rules.words)
        if job is not None:
            await queue.retry(to_uuid(job))


@attrs.frozen
class Pass:
    seconds: float

    async def perform(self, play: BatchPlay, _queue: JobQueue) -> None:
        await trio.sleep(self.seconds)


Operation = Open | Append | Follow | CancelBatch | RetryJob | Pass

ons = st.sampled_from(["success", "failure", "finish"])
picks = st.integers(0, 5)
works = st.sampled_from([0.0, 0.0, 1.0, 4.0])
contents = st.builds(
    Content,
    st.lists(st.tuples(ends, works), max_size=4).map(tuple),
    st.lists(ons, max_size=3).map(tuple),
    st.sampled_from([False] * 7 + [True]),
)
operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Open, contents),
    st.builds(Append, picks, contents, st.booleans()),
    st.builds(Follow, st.lists(picks, min_size=1, max_size=2).map(tuple), st.none() | picks, ons),
    st.builds(CancelBatch, picks),
    st.builds(RetryJob, picks),
    st.builds(Pass, st.sampled_from([0.0, 0.5, 1.0, 5.0, 30.0])),
)
FIRST = Content((("ok", 0.0), ("ok", 1.0)), ("success",))
plans = st.lists(operations, min_size=1, max_size=10).map(lambda rest: [Open(FIRST), *rest])
batch_deaths = deaths(who=NODES + 1, away=(0, 0, 3))


# --- the play -------------------------------------------------------------------------------------


class BatchPlay:
    """Plays a plan, and says what broke a law."""

    def __init__(self, storage: Storage) -> None:
        self.rules = WaitingRules()
        self.calling_off = CallingOff()
        self.storage = Hearing(storage, self.rules, self.calling_off)
        self.clock = VirtualClock()
        self.stage = Stage(self.storage, self._make)
        self.pending: deque[Operation] = deque()

    async def play(self, plan: Sequence[Operation], dying: Sequence[Death]) -> None:
        self.pending.extend(plan)
        fates = [[death for death in dying if death.node == who] for who in range(NODES + 1)]
        office = self._make(self.storage)  # so that there is always somebody, whoever dies
        async with trio.open_nursery() as nursery, office.connected() as queue:
            for fate in fates[:PRODUCER]:
                nursery.start_soon(self.stage.live, fate, Gusto.running, serve)
            await self.stage.live(fates[PRODUCER], Gusto.connected, self._produce)
            for _ in range(ROUNDS):
                await trio.sleep(5)
                if self.rules.all_have_ended:
                    break
            await self._check_accounts(queue)
            nursery.cancel_scope.cancel()
        assert self.rules.all_have_ended, "every job is decided and ends"
        violations = self.storage.violations
        assert not violations, "\n".join(violations)

    def pick(self, pick: int, among: Iterable[JobId]) -> JobId | None:
        there = list(among)
        return there[pick % len(there)] if there else None

    def _make(self, storage: Storage) -> Gusto:
        options = Options(
            concurrency=2,
            drain_timeout=1,
            lease=10,
            retention=None,
            default_timeout=15,
            default_max_attempts=3,
            default_retry=fixed(2),
        )
        app = Gusto(storage, clock=self.clock, options=options)
        app.job(name="act")(act)
        return app

    async def _produce(self, queue: JobQueue) -> None:
        while self.pending:
            known = len(self.rules.members), len(self.rules.words)
            try:
                await self.pending.popleft().perform(self, queue)
            except ZeroDivisionError:
                stored = len(self.rules.members), len(self.rules.words)
                assert stored == known, "a block that breaks stores nothing"

    async def _check_accounts(self, queue: JobQueue) -> None:
        """What the storage says of each batch is what its jobs say."""
        for batch, members in self.rules.members.items():
            status = await queue.batch_ref(to_uuid(batch)).status()
            words = Counter(self.rules.words[member].value for member in members)
            counted = {word: getattr(status, word) for word in words}
            assert counted == words, "a batch is counted as its jobs are"
            assert status.total == len(members), "a batch has its jobs, and no others"
            found = await queue.find(JobFilter(batch_id=to_uuid(batch)), limit=1000)
            ids = {to_job_id(job.id) for job in found.items}
            assert ids == set(members), "the jobs of a batch are found"


def play(make: Callable[[], Storage], plan: Sequence[Operation], dying: Sequence[Death]) -> None:
    """Play a plan in virtual time, on a storage of its own."""
    trio.run(BatchPlay(make()).play, plan, dying, clock=MockClock(autojump_threshold=0))
