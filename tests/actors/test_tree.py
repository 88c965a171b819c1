"""The tree comes down in order, whatever hits it on the way."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Sequence
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.actors.doubles import NOW, SECOND, Neighbours, StillClock
from tests.actors.test_roster import lease
from trio_gusto import Gusto, JobState, MemoryStorage, Options, RateLimit
from trio_gusto.actors import tree as tree_module
from trio_gusto.actors.lease import Lease
from trio_gusto.actors.poller import Poller
from trio_gusto.actors.probe import Probe, enqueued
from trio_gusto.actors.supervisor import Child, Supervisor
from trio_gusto.actors.sweeper import Sweeper
from trio_gusto.actors.tree import CLEANUP, Drain, Tree, Workers, _complain
from trio_gusto.model.errors import GustoError
from trio_gusto.model.explanation import WorkersHere
from trio_gusto.model.facts import Fact
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.states import Ready, Scheduled, State, Waiting
from trio_gusto.storage.batch_messages import Discard
from trio_gusto.storage.beside import Transient
from trio_gusto.storage.messages import Insert, Inserted, Write, WriteReply
from trio_gusto.storage.news import News
from trio_gusto.testing import VirtualClock


@pytest.mark.parametrize(
    ("room", "name"),
    [
        (Workers, "_until_empty"),
        (Supervisor, "stop"),
        (Sweeper, "sweep"),
        (Poller, "_ask"),
        (Poller, "claim"),
        (Poller, "answered"),
        (MemoryStorage, "perform"),
    ],
)
def test_a_ctrl_c_that_hits_an_actor_at_work_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, room: type, name: str
) -> None:
    """The signal comes while that code runs, not while the host waits."""
    app = Gusto(options=Options(concurrency=4, drain_timeout=0.05))
    original = getattr(room, name)
    is_armed = False

    def hit(*args: Any) -> Any:
        nonlocal is_armed
        if is_armed:
            is_armed = False
            signal.raise_signal(signal.SIGINT)
        return original(*args)

    monkeypatch.setattr(room, name, hit)

    @app.job
    async def endless() -> None:
        await trio.sleep_forever()

    async def main() -> None:
        nonlocal is_armed
        with trio.fail_after(10):
            async with app.running() as queue:
                await queue.enqueue(endless)
                await trio.testing.wait_all_tasks_blocked()
                is_armed = True
                if room in (Sweeper, Poller, MemoryStorage):
                    await queue.enqueue(endless, expire_on=60)
                    await trio.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert not is_armed

    async def look() -> None:
        async with app.connected() as queue:
            for job in (await queue.find()).items:
                assert (job.state, job.attempt) == (JobState.READY, 0)
                for attempt in await queue.attempts(job):
                    assert attempt.outcome == "released"

    trio.run(look)


class Knowing:
    """A workplace that knows one handler."""

    def __init__(self) -> None:
        self.stations: dict[str, object] = {}

    def knows(self, name: str) -> bool:
        return name == "work"


def workers(probe: Probe | None = None, **options: Any) -> Workers:
    workplace: Any = Knowing()
    tree = Tree(
        *("node", MemoryStorage(), probe or Probe(), StillClock(), Options(**options), workplace)
    )
    assert tree.workers is not None
    return tree.workers


class Stopping:
    """A supervisor that is told whom to stop."""

    def __init__(self) -> None:
        self.stopped: list[tuple[str, ...]] = []

    async def stop(self, *names: str) -> None:
        self.stopped.append(names)


async def test_who_supplies_is_started_last_and_stopped_first() -> None:
    here, supervisor = workers(), Stopping()
    names = [child.name for child in here.children()]
    assert names == ["heart", "reporter", "executors", "sweeper", "cron", "poller"]
    with trio.fail_after(5):
        await here.come_down(cast(Supervisor, supervisor), Drain())
    assert supervisor.stopped == [("poller", "cron", "sweeper"), ("executors", "reporter", "heart")]


def test_who_works_here_is_given_what_belongs_to_this_node() -> None:
    here = workers(priority_ageing=60)
    canceller = here.cron._holder._canceller
    assert here.roster.backlog.ageing == 60 * SECOND
    assert (here.poller._knows("work"), here.poller._knows("other")) == (True, False)
    assert (here.poller._node, here.sweeper._node) == ("node", "node")
    assert canceller._waiters is here._waiters
    assert canceller._clock is here.poller._clock
    assert canceller._probe is here._probe
    assert canceller._awaited == here._resolver.note


def test_a_tree_is_made_of_what_it_is_given() -> None:
    storage, probe, clock, memory = MemoryStorage(), Probe(), StillClock(), Transient()
    options = Options(restart_limit=2, restart_period=7)
    given = (storage, probe, clock, options)
    tree = Tree("node", *given, None, memory=memory)
    assert tree.node == "node"
    assert (tree.storage, tree.probe, tree.clock, tree.options) == given
    assert (tree.desk.storage, tree.desk._memory) == (storage, memory)
    assert not tree.up.is_set()
    assert tree.workers is None
    resolver, supervisor = tree.resolver, tree.supervisor
    assert (resolver._desk, resolver._waiters) == (tree.desk, tree.waiters)
    assert (resolver._probe, resolver._clock) == (probe, clock)
    assert (supervisor._probe, supervisor._clock) == (probe, clock)
    assert (supervisor._budget._restarts, supervisor._budget._seconds) == (2, 7)
    workplace: Any = Knowing()
    hired = tree.hire(workplace)
    assert hired.workplace is workplace
    assert resolver.on_due == hired.poller.note_due
    assert (hired._probe, hired._options) == (probe, options)
    assert (hired._waiters, hired._resolver) == (tree.waiters, resolver)
    assert (hired.poller._node, hired.poller._desk) == ("node", tree.desk)
    assert hired.poller._clock is clock


@pytest.mark.parametrize("has_workers", [False, True])
def test_everybody_has_a_name_and_hears_of_changes_elsewhere(has_workers: bool) -> None:
    workplace: Any = Knowing() if has_workers else None
    beside = Child("dashboard", trio.sleep_forever)
    tree = Tree(
        *("node", MemoryStorage(), Probe(), StillClock(calm=0.3), Options(), workplace),
        beside=[beside],
    )
    children = [*tree._roots(), *tree._branches()]
    (listening,) = (child.run for child in children if child.name == "listener")
    listener = cast(Any, listening).__self__
    assert (listener._node, listener._storage, listener._calm) == ("node", tree.storage, 0.3)
    supplied = ["storekeeper", "resolver"]
    if tree.workers is None:
        assert [child.name for child in children] == [*supplied, "listener"]
        assert listener._hear == [
            (News.ENDED, tree.waiters.notify_all),
            (News.AWAITED, tree.resolver.hear),
        ]
        assert listener._heed is None
    else:
        here = tree.workers
        names = [child.name for child in here.children()]
        assert [child.name for child in children] == [*supplied, *names, "listener", "dashboard"]
        assert listener._hear == [
            (News.ENDED, tree.waiters.notify_all),
            (News.AWAITED, tree.resolver.hear),
            (News.CLAIMABLE, here.poller.wake),
            (News.DEADLINES, here.sweeper.news.ring),
            (News.SCHEDULES, here.cron.wake),
        ]
        assert listener._heed == here.heart.look_for_requests


@pytest.mark.parametrize("fault", [None, RuntimeError("broken")])
async def test_a_tree_serves_until_it_is_asked_or_an_actor_dies_and_then_hurries(
    monkeypatch: pytest.MonkeyPatch, fault: RuntimeError | None
) -> None:
    tree = Tree("node", MemoryStorage(), Probe(), StillClock(), Options(), None)
    asked = list[bool]()
    monkeypatch.setattr(tree.drain, "ask", lambda *, graceful: asked.append(graceful))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree._serve)
        await trio.testing.wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        if fault is None:
            tree.drain.asked.set()
        else:
            tree.supervisor.fault = fault
            tree.supervisor.failed.set()
    assert asked == ([] if fault is None else [False])


class Stubborn(MemoryStorage):
    """Goes on listening for 100 seconds, whoever calls it off; storing never ends, letting go may."""

    def __init__(self, detaching: float) -> None:
        super().__init__()
        self.detaching = detaching
        self.called_off: dict[str, float] = {}
        self.let_go_at = math.nan

    async def wait_changed(self, node: str) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(100)
        await super().wait_changed(node)

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        await self._last("apply", math.inf)
        return await super().apply(writes)

    async def detach(self, node: str) -> None:
        self.let_go_at = trio.current_time()
        await self._last("detach", self.detaching)
        await super().detach(node)

    async def _last(self, name: str, seconds: float) -> None:
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            self.called_off[name] = trio.current_time()
            raise


@pytest.mark.parametrize(
    ("detaching", "called_off"),
    [(CLEANUP - 1, {}), (math.inf, {"detach": 100 + CLEANUP})],
    ids=["lets go late", "never lets go"],
)
async def test_a_tree_that_cannot_come_down_in_time_still_lets_go_of_its_storage(
    autojump_clock: MockClock, detaching: float, called_off: dict[str, float]
) -> None:
    storage = Stubborn(detaching)
    tree = Tree("node", storage, Probe(), VirtualClock(), Options(drain_timeout=2), None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await tree.up.wait()
        tree.desk.post(Discard(JobId(b"s" * 16), 1))
        tree.drain.ask(graceful=True)
    assert storage.let_go_at == 100
    assert storage.called_off == {"apply": 2 + 5 * CLEANUP, **called_off}


LIMIT = RateLimit(1, per=60)


@pytest.mark.parametrize(
    ("options", "name", "queue", "expected"),
    [
        ({}, "work", "mail", {}),
        ({}, "other", "mail", {"knows_handler": False}),
        ({"queues": ["mail"]}, "work", "mail", {}),
        ({"queues": ["mail"]}, "work", "reports", {"serves_queue": False}),
        ({"tenant_order": "fair"}, "work", "mail", {"takes_turns": True}),
        ({"queue_rates": {"mail": LIMIT}}, "work", "mail", {"queue_rate": LIMIT}),
        ({"queue_rates": {"mail": LIMIT}}, "work", "reports", {}),
    ],
)
def test_workers_say_what_they_can_do_for_a_job(
    options: dict[str, Any], name: str, queue: str, expected: dict[str, Any]
) -> None:
    offer = WorkersHere(
        knows_handler=True,
        serves_queue=True,
        free=0,
        concurrency=3,
        takes_turns=False,
        queue_rate=None,
    )
    here = workers(concurrency=3, **options)
    assert here.offer(name, queue) == attrs.evolve(offer, **expected)


@pytest.mark.parametrize(("concurrency", "gives_back"), [(1, True), (2, False), (5, False)])
def test_whoever_changes_how_many_jobs_run_is_told_of_it_in_the_log(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    concurrency: int,
    gives_back: bool,
) -> None:
    caplog.set_level(logging.INFO, logger="trio_gusto")
    here, shrunk = workers(concurrency=2), list[bool]()
    monkeypatch.setattr(here.poller, "shrink", lambda: shrunk.append(True))
    here.resize(concurrency)
    assert here.roster.concurrency == concurrency
    assert shrunk == ([True] if gives_back else [])
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.INFO,
            f"{concurrency} jobs may run at once from now on, 2 before",
        )
    ]


@pytest.mark.parametrize("is_heard", [True, False])
def test_of_jobs_that_were_stored_with_a_success_everybody_is_told(
    monkeypatch: pytest.MonkeyPatch, is_heard: bool
) -> None:
    facts, around, probe = list[Fact](), Neighbours(), Probe()
    if is_heard:
        probe.subscribe(facts.append)
    here = workers(probe)
    noted: list[object] = []
    monkeypatch.setattr(here.poller, "note_due", around.on_due)
    monkeypatch.setattr(here._resolver, "note", noted.append)
    monkeypatch.setattr(here, "_waiters", around)
    new = [lease(number).claimed.request for number in range(1, 5)]
    parent = JobId(b"p" * 16)
    states: list[State] = [Ready(NOW), Ready(NOW + 1), Scheduled(NOW + 2), Waiting((parent,))]
    here._hear_of(Insert(new, states), Inserted({0: parent}, replaced=(parent,)))
    assert around.due == [NOW + 1, NOW + 2]
    assert (noted, around.notified) == ([(parent,)], [parent])
    assert facts == (
        [enqueued(*pair) for pair in list(zip(new, states, strict=True))[1:]] if is_heard else []
    )
    assert not here.sweeper.news._rung
    new[3].expire_on = NOW + SECOND
    here._hear_of(Insert(new, states), Inserted())
    assert here.sweeper.news._rung


def test_a_job_that_is_called_off_here_is_the_heart_s(monkeypatch: pytest.MonkeyPatch) -> None:
    here, asked = workers(), list[object]()
    monkeypatch.setattr(here.heart, "cancel", asked.append)
    job_id = lease(1).claimed.request.id
    here._call_off(job_id, "not needed")
    assert asked == [[(job_id, "not needed")]]


@pytest.mark.parametrize(
    ("in_thread", "advice"),
    [
        (
            True,
            "and a thread cannot be killed; it is left behind. Let the handler call "
            "trio.from_thread.check_cancelled() now and then",
        ),
        (
            False,
            "because it shields itself, so the app waits for it. Give its shielded scope a deadline",
        ),
    ],
)
def test_a_handler_that_does_not_end_is_complained_of_with_advice(
    caplog: pytest.LogCaptureFixture, in_thread: bool, advice: str
) -> None:
    stuck = lease(1)
    _complain(stuck, in_thread=in_thread)
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.ERROR,
            f"job {to_uuid(stuck.claimed.request.id)} (work) did not end within 5 s of its "
            f"cancellation, {advice}",
        )
    ]


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize("was_found_late", [True, False])
def test_who_is_left_behind_is_complained_of_and_described_if_nobody_has_done_so(
    monkeypatch: pytest.MonkeyPatch, in_thread: bool, was_found_late: bool
) -> None:
    here, filed, complaints = workers(concurrency=2), list[object](), list[tuple[Lease, bool]]()
    monkeypatch.setattr(here._dossiers, "file", filed.append)
    monkeypatch.setattr(
        tree_module, "_complain", lambda lease, *, in_thread: complaints.append((lease, in_thread))
    )
    taken, _free = here.roster.slots
    taken.lease = lease(1)
    taken.deadline = math.inf if was_found_late else 7.0
    if in_thread:
        taken.thread_wait = trio.CancelScope()
    here._abandon_threads()
    assert filed == ([] if was_found_late else [taken])
    assert complaints == [(taken.lease, in_thread)]
    assert taken.thread_wait is None or taken.thread_wait.cancel_called


@pytest.mark.parametrize("left", [0, 3])
def test_jobs_that_are_lost_with_the_process_are_told_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    tree = Tree("node", MemoryStorage(), Probe(), StillClock(), Options(), None)
    monkeypatch.setattr(tree.desk, "left_in_memory", lambda: left)
    tree._complain_of_what_is_left()
    expected = (
        "3 jobs that are not durable have not ended, and are lost with this process unless "
        "the app runs again in it"
    )
    assert caplog.record_tuples == ([("trio_gusto", logging.WARNING, expected)] if left else [])
