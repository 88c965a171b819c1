"""Jobs with callbacks and children, run by apps that may die at any transaction, and looked at after each."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import attrs
import trio
from hypothesis import strategies as st

from property_tests.dying import NODES, Death, Stage, serve
from property_tests.recount import Jobs, everything
from trio_gusto import Fail, Gusto, JobQueue, JobRef, JobState, Options, Snooze, current_job, fixed
from trio_gusto.model.job import StoredJob
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import AwaitingCallback, Completed, Failed, State
from trio_gusto.storage.messages import Query, Write, WriteReply
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import Fault, FaultyStorage, VirtualClock

ROUNDS = 60
"""Times that the end is waited for, five seconds each."""

ATTEMPTS = 40
"""More than any plan and all deaths can spend."""


@attrs.frozen
class Step:
    """What the handler does when it is entered: bring so many jobs, work, and then this."""

    children: int
    seconds: int
    then: Literal["return", "raise", "snooze"]


@attrs.frozen
class Errand:
    """A job: its entries, of which the last is repeated. ``failures`` are those of its callback, of
    which two are too many; ``None``: it has none. It is called off after so many seconds, if at all."""

    steps: tuple[Step, ...]
    failures: int | None
    called_off: int | None


steps = st.builds(
    Step,
    st.integers(0, 2),
    st.sampled_from([0, 0, 1, 4]),
    st.sampled_from(["return", "return", "raise", "snooze"]),
)
errands = st.lists(
    st.builds(
        Errand,
        st.lists(steps, min_size=1, max_size=3).map(
            lambda few: (*few[:-1], attrs.evolve(few[-1], then="return"))
        ),
        st.sampled_from([None, 0, 0, 1, 2]),
        st.sampled_from([None, None, None, 0, 1, 3, 6]),
    ),
    min_size=1,
    max_size=4,
)
faults = st.lists(st.builds(Fault, nth=st.integers(2, 14), after_commit=st.booleans()), max_size=3)


class Watched(Storage):
    """Has ``look`` see what is stored after each transaction."""

    def __init__(self, storage: Storage, look: Any) -> None:
        self.storage = storage
        self.take_after(storage)
        self._look = look
        self._one_at_a_time = trio.Lock()

    async def attach(self, node: str) -> None:
        await self.storage.attach(node)

    async def detach(self, node: str) -> None:
        await self.storage.detach(node)

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | Any]:
        replies: Sequence[WriteReply | Any] = ()
        # What is performed must be seen, also when the caller is being cancelled.
        with trio.CancelScope(shield=True):
            async with self._one_at_a_time:
                replies = await self.storage.apply(writes)
                self._look(await everything(self.storage))
        return replies

    async def read(self, query: Query) -> Any:
        return await self.storage.read(query)

    async def wait_changed(self, node: str) -> None:
        await self.storage.wait_changed(node)


class Errands:
    """Plays errands on two nodes, and says what broke a law."""

    def __init__(self, storage: Storage) -> None:
        self.clock = VirtualClock()
        self.watched = Watched(storage, self.look)
        self.plans: Sequence[Errand] = ()
        self.entries: dict[int, list[int]] = defaultdict(list)
        """The tokens of each job's entries: no two are alike."""
        self.brought: dict[int, int] = {}
        """How many jobs each entry has brought."""
        self.told: dict[int, list[int]] = defaultdict(list)
        self.violations: list[str] = []
        self.jobs: Jobs = {}

    async def play(
        self, plans: Sequence[Errand], dying: Sequence[Death], trouble: Sequence[Fault]
    ) -> None:
        self.plans = plans
        stage = Stage(FaultyStorage(self.watched, trouble), self._make)
        office = self._make(self.watched)
        async with trio.open_nursery() as nursery, office.connected() as queue:
            for node in range(NODES):
                fate = [death for death in dying if death.node == node]
                nursery.start_soon(stage.live, fate, Gusto.running, serve)
            for number, plan in enumerate(plans):
                ref = await self._enqueue(queue, number, plan)
                if plan.called_off is not None:
                    nursery.start_soon(_call_off, ref, plan.called_off)
            for _ in range(ROUNDS):
                await trio.sleep(5)
                if all(job.state.word.is_ended for job in self.jobs.values()):
                    break
            nursery.cancel_scope.cancel()
        self._check_ends()
        assert not self.violations, "\n".join(self.violations)

    # --- the app ----------------------------------------------------------------------------------

    def _make(self, storage: Storage) -> Gusto:
        options = Options(
            concurrency=2,
            drain_timeout=1,
            lease=10,
            retention=None,
            quarantine_after=None,  # what befalls nodes here is no fault of their jobs
        )
        app = Gusto(storage, clock=self.clock, options=options)
        app.job(name="act", max_attempts=ATTEMPTS, retry=fixed(1))(self._act)
        app.job(name="tell", max_attempts=ATTEMPTS, retry=fixed(1))(self._tell)
        app.job(name="child", max_attempts=ATTEMPTS)(self._child)
        return app

    async def _enqueue(self, queue: JobQueue, number: int, plan: Errand) -> JobRef[list[int]]:
        if plan.failures is None:
            return await queue.enqueue(self._act, number)
        return await queue.enqueue(self._act, number, callback=self._tell)

    async def _act(self, number: int) -> list[int]:
        plan, entries = self.plans[number], self.entries[number]
        step = plan.steps[min(len(entries), len(plan.steps) - 1)]
        token = len(self.brought)
        entries.append(token)
        self.brought[token] = step.children
        for _ in range(step.children):
            await current_job().queue.enqueue(self._child, number, token)
        await trio.sleep(step.seconds)
        match step.then:
            case "raise":
                raise ValueError("as planned")
            case "snooze":
                raise Snooze(1)
            case "return":
                return [number, token]

    async def _tell(self, result: list[int]) -> None:
        number, token = result
        self.told[number].append(token)
        failures = self.plans[number].failures
        assert failures is not None
        if failures >= 2:
            raise Fail("as planned")
        if len(self.told[number]) <= failures:
            raise ValueError("as planned")

    async def _child(self, number: int, token: int) -> None:
        pass

    # --- the laws ---------------------------------------------------------------------------------

    def expect(self, holds: bool, law: str, *about: object) -> None:
        if not holds:
            self.violations.append(f"{law}: {', '.join(map(str, about))}")

    def look(self, jobs: Jobs) -> None:
        """What a reader sees after a transaction."""
        self.jobs = jobs
        others: dict[tuple[str, int], list[tuple[int, StoredJob]]] = defaultdict(list)
        acts: dict[int, StoredJob] = {}
        for job in jobs.values():
            args = json.loads(job.request.args)
            if job.request.name == "act":
                acts[args[0]] = job
            else:
                number, token = args[0] if job.request.name == "tell" else args
                others[job.request.name, number].append((token, job))
        for number, act in acts.items():
            self._check(number, act, others["child", number], others["tell", number])

    def _check(
        self,
        number: int,
        act: StoredJob,
        children: list[tuple[int, StoredJob]],
        callbacks: list[tuple[int, StoredJob]],
    ) -> None:
        state = act.state
        records = [each.outcome for each in act.history].count(AttemptOutcome.SUCCEEDED)
        self.expect(records <= 1, "a job succeeds once", number)
        tokens = {token for token, _ in (*children, *callbacks)}
        if isinstance(state, Completed | AwaitingCallback):
            self.expect(state.result is not None, "a job keeps its result", number, state)
            tokens |= {json.loads(state.result or "[0,-1]")[1]}
        elif not records:
            self.expect(not tokens, "what belongs to a success comes with it", number, state)
            return
        self.expect(len(tokens) <= 1, "children are of the attempt that succeeded", number, tokens)
        for token in tokens:
            wanted = self.brought.get(token)
            self.expect(len(children) == wanted, "a success brings all children", number)
        has_callback = self.plans[number].failures is not None
        self.expect(len(callbacks) == has_callback, "a success brings its callback", number)
        if len(callbacks) == 1:
            self._check_callback(number, state, callbacks[0][1])

    def _check_callback(self, number: int, state: State, callback: StoredJob) -> None:
        word = callback.state.word
        match state:
            case AwaitingCallback():
                is_it = state.callback == callback.request.id
                self.expect(is_it, "it waits for its callback", number)
            case Completed():
                has_completed = word is JobState.COMPLETED
                self.expect(has_completed, "it completes when its callback has", number)
            case Failed():
                is_unhappy = word.is_ended and word is not JobState.COMPLETED
                self.expect(is_unhappy, "it fails when its callback has not completed", number)
            case _:
                pass

    def _check_ends(self) -> None:
        for job in self.jobs.values():
            self.expect(job.state.word.is_ended, "every job ends", job.request.name, job.state)
        acts = [job for job in self.jobs.values() if job.request.name == "act"]
        assert len(acts) == len(self.plans)
        for act in acts:
            (number,) = json.loads(act.request.args)
            plan, told, entries = self.plans[number], self.told[number], self.entries[number]
            word = act.state.word
            if plan.called_off is None:
                wanted = JobState.FAILED if plan.failures == 2 else JobState.COMPLETED
                self.expect(word is wanted, "its callback decides", number, act.state)
            if told or word is JobState.COMPLETED:
                self.expect(set(told) <= {entries[-1]}, "a handler rests after its success", number)
            if word is JobState.COMPLETED and plan.failures is not None:
                self.expect(len(told) > plan.failures, "a callback is called", number)


async def _call_off(ref: JobRef[Any], seconds: int) -> None:
    await trio.sleep(seconds)
    await ref.cancel("not needed")
