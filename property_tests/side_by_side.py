"""Two storages side by side: everything is told to both, and both must say and keep the same.

What must hold of all jobs, whatever happens to them, is checked here after every write.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from property_tests.host import Host
from property_tests.recount import (
    Jobs,
    check_change,
    claimable,
    comparable,
    differences,
    everything,
    lane_of,
)
from property_tests.strategies import NOW
from trio_gusto.model.errors import BatchError, DuplicateJob, GustoError, UnknownJob
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import ClaimedJob
from trio_gusto.model.pauses import StoredPause
from trio_gusto.model.states import Expired, Processing, Ready, Scheduled
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Complete,
    Completions,
    Conflict,
    Query,
    QueryReply,
    Write,
    WriteReply,
)
from trio_gusto.storage.storage import Storage


class SideBySide(RuleBasedStateMachine):
    """`MemoryStorage`, and the storage that is judged by it."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="agreement-"))
        self.host = Host()
        self.model = MemoryStorage()
        self.subject: Storage = self.make_storage(self.directory / "jobs.db")
        self.now = NOW
        self.clock_stepped = False
        self.made = 0
        self.nodes: list[str] = []
        self.batches: list[JobId] = []
        self.jobs: Jobs = {}
        self.leases: list[ClaimedJob] = []
        self.pauses: Sequence[StoredPause] = ()
        self.ever_claimed: Counter[JobId] = Counter()
        self.claims: Counter[JobId] = Counter()  # since it was last retried by hand, like this
        self.given_back: Counter[JobId] = Counter()
        for name in ("node-0", "node-1"):
            self.attach(name)

    def make_storage(self, path: Path) -> Storage:
        """The storage to be judged; ``path`` is a file that it may make."""
        raise NotImplementedError

    def teardown(self) -> None:
        for node in self.nodes:
            self.each(lambda storage, node=node: storage.detach(node))
        self.host.close()
        shutil.rmtree(self.directory)

    # --- speaking to both ---------------------------------------------------------------------

    def each(self, act: Any) -> None:
        async def on_both() -> None:
            await act(self.model)
            await act(self.subject)

        self.host.call(on_both)

    def attach(self, node: str) -> None:
        self.each(lambda storage: storage.attach(node))
        self.nodes.append(node)

    def tell(self, *writes: Write) -> Sequence[WriteReply | GustoError]:
        """Apply one group to both; their replies and their jobs must be equal."""

        async def on_both() -> tuple[Any, ...]:
            replies = [await storage.apply(writes) for storage in (self.model, self.subject)]
            jobs = [await everything(storage) for storage in (self.model, self.subject)]
            return (*replies, *jobs)

        wanted, found, model_jobs, jobs = self.host.call(on_both)
        assert [comparable(reply) for reply in found] == [comparable(reply) for reply in wanted]
        assert list(jobs.values()) == list(model_jobs.values()), differences(jobs, model_jobs)
        before, self.jobs = self.jobs, jobs
        if all(map(is_refused, writes, found)):
            assert jobs == before, "a refused write changed something"
        self.check_jobs(before)
        replies: Sequence[WriteReply | GustoError] = found
        return replies

    def ask(self, query: Query) -> QueryReply:
        async def on_both() -> tuple[QueryReply, QueryReply]:
            return await self.model.read(query), await self.subject.read(query)

        wanted, found = self.host.call(on_both)
        assert comparable(found) == comparable(wanted)
        return found

    # --- what must hold of all jobs ---------------------------------------------------------------

    def check_jobs(self, before: Jobs) -> None:
        for job_id, job in self.jobs.items():
            state, budget = job.state, job.request.max_attempts
            assert 0 <= job.attempt <= budget
            assert state.word.is_ended or isinstance(state, Processing) or job.attempt < budget
            assert not isinstance(state, Processing) or job.attempt >= 1
            assert not isinstance(state, Expired) or job.request.expire_on is not None
            assert self.claims[job_id] == job.attempt + self.given_back[job_id]
            tokens = [record.token for record in job.history]
            assert tokens == sorted(set(tokens))
            assert len(tokens) <= self.ever_claimed[job_id]
            if not self.clock_stepped:
                assert all(record.claimed_at <= record.ended_at for record in job.history)
            if (old := before.get(job_id)) is not None:
                check_change(old, job)

    def count_claims(self, claim: ClaimDue, reply: ClaimReply, before: Jobs) -> None:
        """Compare a claim with a plain recount of what could be claimed."""
        assert [job.request.id for job in reply.jobs] == claimable(before, claim, self.pauses)
        claimed = {job.request.id for job in reply.jobs}
        assert reply.held == any(
            lane_of(job) is not None
            and job.request.id not in claimed
            and isinstance(job.state, Ready)
            and job.state.due <= claim.now
            and (job.request.expire_on is None or claim.now < job.request.expire_on)
            for job in self.jobs.values()
        )
        assert reply.in_lanes == any(lane_of(self.jobs[job_id]) for job_id in claimed)
        for job in reply.jobs:
            request = job.request
            assert job.due <= claim.now
            assert request.expire_on is None or claim.now < request.expire_on
            assert job.token > before[request.id].version
        scheduled = [j.state.due for j in self.jobs.values() if isinstance(j.state, Scheduled)]
        assert reply.next_due == min(scheduled, default=None)


def is_refused(write: Write, reply: object) -> bool:
    """Whether nothing of ``write`` was performed."""
    if isinstance(write, Complete):
        assert isinstance(reply, Completions)
        return len(reply.refused) == len(write.claims)
    return isinstance(reply, Conflict | DuplicateJob | UnknownJob | BatchError)
