"""Named workers and pauses for the machine that drives two storages side by side."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from property_tests.agreement import Agreement
from property_tests.batch_agreement import queue_names
from property_tests.recount import is_held, worker_of
from trio_gusto.model.states import Processing
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.lease_messages import CancelRequests
from trio_gusto.storage.messages import Committed
from trio_gusto.storage.pause_messages import (
    HeardPauses,
    LiftPauses,
    Pauses,
    PausesFound,
    PutPause,
)

tenants = st.sampled_from(["", "t"])


class PauseAgreement(Agreement):
    """What happens to all jobs, where most have a named worker, and some are paused."""

    workers = 2
    tenants = tenants

    def __init__(self) -> None:
        super().__init__()
        self.heard: dict[str, int] = {}

    @rule(queue=st.none() | queue_names, tenant=st.none() | tenants)
    def pause(self, queue: str | None, tenant: str | None) -> None:
        """Once more it changes nothing."""
        self.put(queue, tenant, "first")
        before = self.pauses
        self.put(queue, tenant, "again")
        assert self.pauses == before
        assert (queue, tenant) in [(pause.queue, pause.tenant) for pause in self.pauses]

    def put(self, queue: str | None, tenant: str | None, reason: str) -> None:
        (reply,) = self.tell(PutPause(queue, tenant, reason, self.now))
        assert reply == Committed()
        self.look_at_pauses()

    @rule(queue=st.none() | queue_names, tenant=st.none() | tenants)
    def lift(self, queue: str | None, tenant: str | None) -> None:
        left = [
            pause
            for pause in self.pauses
            if (queue, tenant) not in ((None, None), (pause.queue, pause.tenant))
        ]
        (reply,) = self.tell(LiftPauses(queue, tenant))
        assert reply == Committed()
        self.look_at_pauses()
        assert self.pauses == left

    @rule(pick=st.integers(0, 3), behind=st.integers(0, 1))
    def hear(self, pick: int, behind: int) -> None:
        node = self.nodes[pick % len(self.nodes)]
        number = max((pause.number for pause in self.pauses), default=0) - behind
        if number > 0:
            self.tell(HeardPauses(node, number))
            self.heard[node] = max(number, self.heard.get(node, 0))
            self.look_at_pauses()

    @rule(worker=st.sampled_from(["smtp", "printer"]))
    def look_at_workers(self, worker: str) -> None:
        self.ask(Find(9, workers=frozenset({worker, "nobody"})))

    @rule(pick=st.integers(0, 3))
    def look_at_requests(self, pick: int) -> None:
        self.ask(CancelRequests(self.nodes[pick % len(self.nodes)]))

    @rule()
    def look_at_pauses(self) -> None:
        """What is told of nodes is so by a plain recount."""
        found = self.ask(Pauses(self.now))
        assert isinstance(found, PausesFound)
        self.pauses = list(found.pauses)
        assert list(found.unheard) == sorted(
            {
                job.state.node
                for job in self.jobs.values()
                for pause in self.pauses
                if isinstance(job.state, Processing)
                and job.state.lease_until > self.now
                and is_held(job.request, pause)
                and self.heard.get(job.state.node, 0) < pause.number
            }
        )

    @invariant()
    def a_named_worker_has_one_job_at_a_time(self) -> None:
        at_work = [
            worker_of(job) for job in self.jobs.values() if isinstance(job.state, Processing)
        ]
        named = [worker for worker in at_work if worker is not None]
        assert len(named) == len(set(named)), "a named worker has two jobs at once"
