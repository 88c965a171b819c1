"""A small world for the whole scheduler: real apps on one storage, in virtual time.

Nodes start, stop and crash; storages fail; the wall clock is set; handlers play the script their job
was given. A ledger, kept by the handlers themselves, and a `Witness` beside the storage say what has
really happened. What breaks a law becomes a sentence, and after every operation there must be none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from property_tests.firing_rules import FiringRules
from property_tests.hearing import Hearing
from property_tests.node import Entry, Node, Promise, Spec
from property_tests.waiting_rules import WaitingRules
from property_tests.witness import ENDED, Known, Witness
from trio_gusto import Gusto, JobFilter, JobQueue, StorageError, call, current_job
from trio_gusto.model.ids import to_job_id, to_uuid
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

SECOND = 1_000_000

CALM = 70.0
"""Seconds after a disturbance from which on nothing may be late: the longest sleep, twice."""

LONGEST = 400
"""Times that the end is waited for, ten minutes each."""


@attrs.frozen
class Door:
    """A queue to speak through, and its handlers."""

    queue: JobQueue
    play: Any
    tick: Any


class World:
    """Everything there is, and the operations on it."""

    def __init__(self, storage: Storage, *, prefetch: int | None = 0) -> None:
        self.clock = VirtualClock()
        self.waiting = WaitingRules()
        self.firing = FiringRules(self.clock)
        self.witness = Witness(Hearing(storage, self.waiting, self.firing))
        self.prefetch = prefetch
        self.promises: dict[int, Promise] = {}
        self.nodes: list[Node] = []
        self.disturbed_at = -CALM
        self.steps_of_clock = 0
        self.expect = self.witness.expect
        office = Gusto(self.witness, clock=self.clock)
        self._office_play = office.job(name="play")(_never)
        self._office_tick = office.job(name="tick")(_never_ticks)
        self._office_app = office
        self.nursery: trio.Nursery
        self.office: JobQueue

    async def run(self, operations: Sequence[Any]) -> None:
        """Perform ``operations``, then let everything come to its end."""
        async with trio.open_nursery() as self.nursery, self._office_app.connected() as self.office:
            await self.start()
            for operation in operations:
                await operation.perform(self)
                await self.settle()
            await self.finish()
            self.nursery.cancel_scope.cancel()

    async def settle(self) -> None:
        """Wait until nothing moves, bury who has died, and check."""
        await wait_all_tasks_blocked()
        for node in self.nodes:
            if node.mortal.died.is_set() and not node.scope.cancel_called:
                await node.crash(noticed=True)
                self.disturb()
                await wait_all_tasks_blocked()
        self.check_promptness()
        self.raise_violations()

    def raise_violations(self) -> None:
        broken = [
            *self.witness.violations,
            *self.waiting.violations,
            *self.firing.violations,
        ]
        assert not broken, "\n".join(broken)

    def disturb(self) -> None:
        """From now on things may be late for a while."""
        self.disturbed_at = trio.current_time()

    # --- nodes --------------------------------------------------------------------------------

    def alive(self) -> list[Node]:
        return [node for node in self.nodes if node.queue is not None and not node.mortal.dead]

    async def start(self, concurrency: int = 2) -> None:
        node = Node(self, concurrency)
        self.nodes.append(node)
        await self.nursery.start(node.host)

    def pick_node(self, pick: int) -> Node | None:
        alive = self.alive()
        return alive[pick % len(alive)] if alive else None

    def pick_door(self, pick: int) -> Door:
        """A queue to speak through: a node's, or the office's, which runs nothing."""
        doors = [Door(self.office, self._office_play, self._office_tick)]
        doors += [
            Door(node.queue, node.play, node.tick)
            for node in self.alive()
            if node.queue is not None
        ]
        return doors[pick % len(doors)]

    # --- jobs ---------------------------------------------------------------------------------

    async def enqueue(self, specs: Sequence[Spec], pick: int, *, many: bool) -> None:
        door = self.pick_door(pick)
        promises = [self.promise(spec) for spec in specs]
        calls = [call(door.play, promise.key, **promise.spec.options()) for promise in promises]

        async def speak() -> None:
            if many:
                await door.queue.enqueue_many(calls)
            else:
                await door.queue.enqueue(door.play, promises[0].key, **specs[0].options())

        self.keep(promises, stored=await self.attempt(speak))

    def promise(self, spec: Spec) -> Promise:
        """Something new to expect."""
        promise = Promise(len(self.promises), spec, steps=deque(spec.script))
        self.promises[promise.key] = promise
        return promise

    async def attempt(self, speak: Callable[[], Awaitable[object]]) -> bool:
        """Say something; whether it was answered. A storage may fail, or say nothing for long."""
        try:
            with trio.move_on_after(1) as patience:
                await speak()
        except StorageError:
            self.disturb()
            return False
        return not patience.cancelled_caught

    def keep(self, promises: Sequence[Promise], *, stored: bool) -> None:
        """Whether they must be there is known from now on."""
        for promise in promises:
            promise.stored = stored or None
            known = promise.key in self.witness.by_key
            self.expect(known or not stored, "what was enqueued is stored", promise)

    async def cancel(self, pick: int, door: int) -> None:
        job = self.pick_job(pick)
        if job is None:
            return
        before, generation, done = job.state, job.generation, False
        try:
            with trio.move_on_after(1) as patience:
                done = await self.pick_door(door).queue.cancel(
                    to_uuid(job.request.id), "not wanted"
                )
        except StorageError:
            self.disturb()
            return
        if patience.cancelled_caught:
            return
        if done and job.generation == generation and job.key in self.promises:
            self.promises[job.key].called_off = True
        self.expect(done or before in ENDED or job.state in ENDED, "cancel finds it", job.key)

    async def retry(self, pick: int, door: int) -> None:
        job = self.pick_job(pick)
        if job is None:
            return
        promise = self.promises.get(job.key, Promise(job.key, Spec()))
        before, promise.called_off = promise.called_off, False
        done = False
        try:
            with trio.move_on_after(1) as patience:
                done = await self.pick_door(door).queue.retry(to_uuid(job.request.id))
        except StorageError:
            self.disturb()
            return
        if not patience.cancelled_caught and not done:
            promise.called_off = before

    def pick_job(self, pick: int) -> Known | None:
        jobs = list(self.witness.jobs.values())
        return jobs[pick % len(jobs)] if jobs else None

    # --- what handlers see --------------------------------------------------------------------

    def enter(self, node: Node, key: int) -> Entry:
        """A handler is entered: may it be?"""
        promise, job, now = self.promises[key], self.witness.by_key[key], self.clock.instant()
        entry = Entry(node, current_job().attempt, now, stepped=self.steps_of_clock)
        open_elsewhere = [other for other in promise.entries if not other.left]
        # A clock that was set ahead ends a lease for all others, before its holder hears of it.
        unfair = any(other.stepped != self.steps_of_clock for other in open_elsewhere)
        self.expect(not open_elsewhere or unfair, "never twice at once", key)
        same_node = any(other.node is node for other in open_elsewhere)
        self.expect(not same_node, "never twice at once in one process", key)
        self.expect(not promise.called_off, "never after it was cancelled", key)
        self.expect(job.state == "processing", "only under a lease", key, job.state)
        self.expect(entry.number == job.attempt, "the attempt is the claim's", key)
        after = job.request.execute_after
        if not self.steps_of_clock and job.generation == 0:
            self.expect(after is None or now >= after, "never early", key)
        once = [
            other
            for other in promise.entries
            if other.how not in ("Snooze", "crashed") and job.generation == 0
        ]
        if job.request.max_attempts == 1:
            self.expect(not once, "with one attempt never entered twice", key)
        promise.entries.append(entry)
        node.open.add(entry)
        self.expect(len(node.open) <= node.concurrency, "no more than concurrency at once", key)
        return entry

    # --- never late ---------------------------------------------------------------------------

    def check_promptness(self) -> None:
        """In calm times nothing that could run waits, and no deadline is passed in silence."""
        if trio.current_time() < self.disturbed_at + CALM or not self.alive():
            return
        now = self.clock.instant()
        self.firing.check_at_rest()
        undecided = self.waiting.undecided()
        self.expect(not undecided, "who may be judged is judged", undecided)
        idle = [node for node in self.alive() if len(node.open) < node.concurrency]
        for job in self.witness.jobs.values():
            if idle and job.is_eligible(now - SECOND // 10) and job.is_eligible(now):
                self.expect(False, "due jobs do not wait for free executors", job.key)
            overdue = job.expire_on is not None and job.expire_on <= now - 2 * SECOND
            ended_or_running = job.state in ENDED or job.state == "processing"
            self.expect(not overdue or ended_or_running, "deadlines are kept", job.key)
            lost = job.claim is not None and job.claim.lease_until <= now - 2 * SECOND
            self.expect(not lost, "lost leases are found", job.key)

    # --- the end ------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Heal everything, pass every deadline: all jobs must end, and every one be accounted for."""
        for node in self.alive():
            node.faults.clear()
            node.mortal.dies = None
        if all(node.leave.is_set() for node in self.alive()):
            await self.start()
        for schedule in await self.office.schedules():
            await self.office.remove_schedule(schedule.name)
        for _ in range(LONGEST):
            await self.settle()
            if all(job.state in ENDED for job in self.witness.jobs.values()):
                break
            await trio.sleep(600)
        for job in self.witness.jobs.values():
            self.expect(job.state in ENDED, "every job ends", job.key, job.state)
        await self.check_accounts()
        for node in self.alive():
            node.leave.set()
            with trio.move_on_after(60):
                await node.ended.wait()
            self.expect(node.ended.is_set(), "a node that is asked to stop stops")
        self.raise_violations()

    async def check_accounts(self) -> None:
        jobs = self.witness.jobs
        counted = (await self.office.stats()).by_state
        self.expect(sum(counted.values()) == len(jobs), "conservation", counted, len(jobs))
        for promise in self.promises.values():
            self.expect(
                promise.key in self.witness.by_key or promise.stored is not True,
                "no job is lost",
                promise.key,
            )
        page = await self.office.find(JobFilter(), limit=1000)
        found = list(page.items)
        while page.next is not None:
            page = await self.office.find(JobFilter(), limit=1000, after=page.next)
            found += page.items
        self.expect(len(found) == len(jobs), "every job is found")
        for seen in found:
            await self._check_history(seen)
        for batch, members in self.waiting.members.items():
            status = await self.office.batch_ref(to_uuid(batch)).status()
            self.expect(status.total == len(members), "a batch has its jobs", status)
            self.expect(status.is_finished, "every batch is finished", status)

    async def _check_history(self, seen: Any) -> None:
        """What is recorded is what handlers did."""
        job = self.witness.jobs[to_job_id(seen.id)]
        key, promise = job.key, self.promises.get(job.key)
        attempts = await self.office.attempts(seen)
        self.expect(seen.state.value == job.state, "what is shown is so", key, seen.state)
        of_this_life = attempts[len(attempts) - job.claims :]
        self.expect(len(of_this_life) == job.claims, "every claim has one record", key)
        for attempt in attempts:
            is_over = attempt.outcome is not None and attempt.ended_at is not None
            self.expect(is_over, "every attempt has an end", key)
            if attempt.ended_at is not None and not self.steps_of_clock:
                started = attempt.started_at or attempt.claimed_at
                self.expect(
                    attempt.claimed_at <= started <= attempt.ended_at, "times are in order", key
                )
        if promise is None:
            return  # a schedule made it, and nobody has noted what its handler did
        hows = [entry.how for entry in promise.entries]
        for outcome, wanted in (("succeeded", ["ok"]), ("snoozed", ["Snooze"])):
            recorded = sum(attempt.outcome == outcome for attempt in attempts)
            self.expect(recorded <= sum(how in wanted for how in hows), "no made-up outcome", key)
        failed = sum(attempt.outcome == "failed" for attempt in attempts)
        raised = sum(how in ("ValueError", "Fail", "Retry", "SystemExit") for how in hows)
        self.expect(failed <= raised, "no made-up failure", key)
        if self.disturbed_at < 0:
            self.expect(failed == raised, "no failure is forgotten", key, hows)
            self.expect(hows.count("ok") == (job.state == "completed"), "an ok completes", key)


async def _never(key: int) -> str:
    raise AssertionError("the office runs nothing")


async def _never_ticks(work: float) -> None:
    raise AssertionError("the office runs nothing")
