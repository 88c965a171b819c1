"""A unique key has one live job, and is free with its end, whoever dies; and the laws can fail.

Callers on two nodes and on none enqueue among few keys, in virtual time, while nodes die at any
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import attrs
import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.dying import NODES, Death, Doomed, Stage, deaths, serve
from property_tests.hearing import Hearing
from property_tests.planted import ForgetsKeysOfClaimedJobs, HoldsKeysForEver
from property_tests.unique_rules import UniqueRules
from trio_gusto import (
    DuplicateJob,
    Fail,
    Gusto,
    JobQueue,
    JobRef,
    MemoryStorage,
    Options,
    Retry,
    StorageError,
)
from trio_gusto.model.failure import leaves
from trio_gusto.model.job import StoredJob
from trio_gusto.model.uniqueness import key_of
from trio_gusto.storage.messages import (
    Commit,
    Committed,
    Conflict,
    Insert,
    Inserted,
)
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

KEYS = ["k", "l"]
ROUNDS = 60
"""Times that the end is waited for, five seconds each."""


@attrs.frozen
class Ask:
    """Somebody enqueues a job with a key, and then may cancel it, or retry the first that had it."""

    key: str
    on_conflict: Literal["raise", "return_existing", "replace"]
    end: Literal["ok", "fail", "retry"]
    after: float
    """Seconds before which it does not run."""
    then: Literal["", "cancel", "retry"]
    pause: float
    """Seconds before the next one asks."""


asks = st.lists(
    st.builds(
        Ask,
        st.sampled_from(KEYS),
        st.sampled_from(["raise", "return_existing", "replace"]),
        st.sampled_from(["ok", "ok", "fail", "retry"]),
        st.sampled_from([0, 0, 2]),
        st.sampled_from(["", "", "cancel", "retry"]),
        st.sampled_from([0, 0, 0.5, 3]),
    ),
    min_size=2,
    max_size=10,
)


class Callers:
    """Plays what is asked on two nodes, and says what broke a law."""

    def __init__(self, storage: Storage) -> None:
        self.rules = UniqueRules()
        self.clock = VirtualClock()
        self.storage = Hearing(storage, self.rules)
        self.stage = Stage(self.storage, self._make)
        self.first: dict[str, JobRef[None]] = {}
        """For each key the first job that had it."""
        self.at_work: list[tuple[str, Doomed]] = []

    async def play(self, asked: Sequence[Ask], dying: Sequence[Death]) -> None:
        office = Gusto(self.storage, clock=self.clock)
        act = office.job(name="act")(_never)
        async with trio.open_nursery() as nursery, office.connected() as queue:
            for node in range(NODES):
                fate = [death for death in dying if death.node == node]
                nursery.start_soon(self.stage.live, fate, Gusto.running, serve)
            for ask in asked:
                await self._enqueue(queue, act, ask)
                await trio.sleep(ask.pause)
            for _ in range(ROUNDS):
                if self.rules.all_have_ended:
                    break
                await trio.sleep(5)
            self.rules.expect(self.rules.all_have_ended, "every job ends", self.rules.words)
            await self._check_that_keys_are_free(queue, act)
            nursery.cancel_scope.cancel()
        assert not self.rules.violations, "\n".join(self.rules.violations)

    async def _enqueue(self, queue: JobQueue, act: Any, ask: Ask) -> None:
        try:
            ref: JobRef[None] = await queue.enqueue(
                act,
                ask.key,
                ask.end,
                unique_key=ask.key,
                on_conflict=ask.on_conflict,
                execute_after=ask.after,
                max_attempts=3,
            )
        except DuplicateJob:
            return
        self.first.setdefault(ask.key, ref)
        try:
            if ask.then == "cancel":
                await ref.cancel()
            elif ask.then == "retry":
                await queue.retry(self.first.get(ask.key, ref))
        except (DuplicateJob, StorageError):
            pass

    async def _check_that_keys_are_free(self, queue: JobQueue, act: Any) -> None:
        for key in KEYS:
            try:
                await queue.enqueue(act, key, "ok", unique_key=key, execute_after=1)
            except DuplicateJob:
                self.rules.expect(False, "a key is free when its job has ended", key)

    async def _act(self, node: Doomed, key: str, end: str) -> None:
        others = [each for each, its in self.at_work if each == key and not its.died.is_set()]
        self.rules.expect(not others, "of a key one job runs at a time", key)
        self.at_work.append((key, node))
        try:
            await trio.sleep(1)
        finally:
            self.at_work.remove((key, node))
        if end == "fail":
            raise Fail("as planned")
        if end == "retry":
            raise Retry(1)

    def _make(self, storage: Storage) -> Gusto:
        options = Options(concurrency=2, drain_timeout=1, lease=10, retention=None)
        app = Gusto(storage, clock=self.clock, options=options)
        assert isinstance(storage, Doomed)

        @app.job(name="act")
        async def act(key: str, end: str) -> None:
            await self._act(storage, key, end)

        return app


async def _never(key: str, end: str) -> None:
    raise AssertionError("the office runs nothing")


def play(make: Callable[[], Storage], asked: list[Ask], dying: list[Death]) -> None:
    trio.run(Callers(make()).play, asked, dying, clock=MockClock(autojump_threshold=0))


in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@pytest.mark.parametrize("make", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"])
@given(asked=asks, dying=deaths())
def test_whoever_dies_a_key_has_one_live_job(
    make: Callable[[], Storage], asked: list[Ask], dying: list[Death]
) -> None:
    play(make, asked, dying)


# --- planted faults -------------------------------------------------------------------------------


class ForgetsKeysOfRetries(MemoryStorage):
    """Who waits for his next attempt is not there for others."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        reply = super()._commit(commit)
        if isinstance(reply, Committed) and commit.record is not None:
            job = self._jobs[commit.job_id]
            self._keys._held.pop(key_of(job.request) or "", None)
        return reply


class LetsTheRetriedTakeItsKeyBack(MemoryStorage):
    def _commit_or_refuse(self, commit: Commit) -> Committed | Conflict | DuplicateJob:
        return self._commit(commit)


class AnswersWithTheFirst(MemoryStorage):
    """And not with who has the key now."""

    def _insert(self, insert: Insert) -> Any:
        reply = super()._insert(insert)
        if isinstance(reply, Inserted) and reply.existing:
            first: StoredJob = min(self._jobs.values(), key=lambda job: job.sequence)
            return attrs.evolve(reply, existing=dict.fromkeys(reply.existing, first.request.id))
        return reply


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        (HoldsKeysForEver, "refused is who meets the holder|is free|answered is the holder"),
        (ForgetsKeysOfClaimedJobs, "a key has one live job|of a key one job runs"),
        (ForgetsKeysOfRetries, "a key has one live job|of a key one job runs"),
        (LetsTheRetriedTakeItsKeyBack, "a key has one live job"),
        (AnswersWithTheFirst, "answered is the holder"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_laws_catch(fault: type[MemoryStorage], law: str) -> None:
    @settings(
        max_examples=500,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(asked=asks)
    def machine(asked: list[Ask]) -> None:
        play(fault, asked, [])

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - judged below
        machine()
    for leaf in leaves(caught.value):
        assert isinstance(leaf, AssertionError)
        assert any(each in str(leaf) for each in law.split("|"))
