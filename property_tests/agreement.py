"""A machine that drives two storages side by side: `MemoryStorage` is the model of the other.

Every reply must be equal, every job must be equal after every step, and the laws of leases,
attempts, time and order are checked against a plain recount, so that the model is judged as well.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.batch_agreement import few, picks, queue_names
from property_tests.recount import (
    ALL,
)
from property_tests.strategies import NOW
from property_tests.upkeep_agreement import UpkeepAgreement
from property_tests.worker_agreement import LEASE
from trio_gusto.model.states import (
    JobState,
    Ready,
)
from trio_gusto.storage.dependency_messages import Dependents
from trio_gusto.storage.finding_messages import Find, Get, Tally
from trio_gusto.storage.lease_messages import CancelRequests, Renew, RequestCancel, Stranded
from trio_gusto.storage.messages import Commit, Write

CRITERIA: list[dict[str, Any]] = [
    {},
    {"names": frozenset({"f"})},
    {"tags_all": frozenset({"x", "y"})},
    {"workers": frozenset({"smtp", "v"})},
    {"created_by": "ann"},
    {"user_id": "u"},
    {"metadata": {"n": 1}},
    {"metadata": {"n": 1.0}},
    {"metadata": {"t": 1}},
    {"metadata": {"t": True}},
]


class Agreement(UpkeepAgreement):
    """Instants are few and close, so that due instants, leases and deadlines meet."""

    # --- time and nodes -----------------------------------------------------------------------

    @rule(by=st.sampled_from([1, 2, 4, LEASE]))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(by=st.integers(-12, 12))
    def the_clock_steps(self, by: int) -> None:
        self.clock_stepped |= by < 0
        self.now += by

    @rule(pick=picks)
    def a_node_vanishes(self, pick: int) -> None:
        node = self.nodes.pop(pick % len(self.nodes))
        self.each(lambda storage: storage.detach(node))
        self.made += 1
        self.attach(f"node-{self.made + 1}")

    @rule(data=st.data())
    def a_group_of_writes(self, data: st.DataObject) -> None:
        """Some of which are refused, and some of which see what others did."""
        writes: list[Write] = [self.insertion(data.draw)]
        for lease in self.leases[-3:]:
            job = self.jobs.get(lease.request.id)
            if job is not None and job.version == lease.token:
                writes.append(RequestCancel(lease.request.id, lease.token, "in a group"))
            writes.append(Commit(lease.request.id, lease.token - 1, Ready(self.now), 0))
        writes += self.successes_in_a_group(data.draw)
        writes += [Renew("nobody", self.now, self.now + 1, []), self.insertion(data.draw)]
        self.tell(*writes)

    def successes_in_a_group(self, draw: Any) -> list[Write]:
        """Told together and one by one, in any order, between other writes."""
        writes: list[Write] = [self.successes(draw), self.successes(draw)]
        writes += self.successes(draw).commits()
        writes += [
            RequestCancel(claim.request.id, claim.token, "among successes")
            for claim in self.successes(draw).claims
        ]
        return list(draw(st.permutations(writes)))

    # --- looking ------------------------------------------------------------------------------

    @rule(
        states=st.frozensets(st.sampled_from(list(JobState)), max_size=2),
        queues=st.frozensets(queue_names, max_size=2),
        tags=st.frozensets(st.sampled_from(["x", "y"]), max_size=1),
        limit=few,
        before=st.none() | picks,
        criteria=st.sampled_from(CRITERIA),
        since=st.none() | few,
    )
    def look(
        self,
        states: frozenset[JobState],
        queues: frozenset[str],
        tags: frozenset[str],
        limit: int,
        before: int | None,
        criteria: dict[str, Any],
        since: int | None,
    ) -> None:
        self.ask(Find(limit, before, states=states, queues=queues, tags_any=tags))
        moment = None if since is None else NOW + since
        self.ask(Find(limit, before, states=states, created_after=moment, **criteria))
        self.ask(Find(limit, before, created_before=moment, **criteria))
        self.ask(Tally())
        parents = list(self.jobs)[: 2 * limit]
        self.ask(Find(limit, parent=parents[-1] if parents else None))
        self.ask(Dependents(limit, before or 0))
        self.ask(Dependents(limit, before or 0, parents))
        self.ask(Get(list(self.jobs)[:2], "x"))
        self.ask(CancelRequests(self.nodes[0]))
        self.ask(Stranded(self.nodes[0], self.now, ALL))
