"""Batches, for the machine of `agreement`: stored, staged, discarded, counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.recount import ALL
from property_tests.side_by_side import SideBySide
from trio_gusto.model.batch import BatchRequest
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import Details, JobRequest, StoredJob
from trio_gusto.model.lifecycle import admit
from trio_gusto.model.states import Condition, Waiting
from trio_gusto.storage.batch_messages import (
    Batches,
    BatchesFound,
    Discard,
    Discarded,
    InsertBatch,
    Stage,
    Staged,
)
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.lease_messages import Stranded, StrandedJobs
from trio_gusto.storage.messages import Insert, Inserted

few = st.integers(0, 6)
picks = st.integers(0, 30)
queue_names = st.sampled_from(["a", "b", "c"])
rarely = st.integers(0, 5).map(lambda number: number == 5)


@attrs.define
class Block:
    """An open block: what it has staged, by its own account."""

    batch: JobId
    is_new: bool
    node: str
    staged: list[JobRequest] = attrs.field(factory=list[JobRequest])
    discarded: int = 0

    def left(self) -> int:
        """What the storage should have of it."""
        return len(self.staged) - self.discarded


class BatchAgreement(SideBySide):
    """What is counted is what there is, by a plain recount; and what is staged is not there."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: dict[JobId, Block] = {}

    if TYPE_CHECKING:

        def request(self, draw: Any) -> JobRequest: ...

    def members(self, draw: Any, batch: JobId, largest: int = 3) -> list[JobRequest]:
        """New jobs of a batch; some have a `ref_id` that is taken, a few are there already."""
        drawn = [self.request(draw) for _ in range(draw(st.integers(0, largest)))]
        if self.jobs and draw(rarely):
            drawn.append(next(iter(self.jobs.values())).request)
        keys = ["k" if draw(rarely) and draw(rarely) else None for _ in drawn]
        refs = [None if request.details is None else request.details.ref_id for request in drawn]
        return [
            attrs.evolve(
                request,
                details=Details(
                    ref if draw(rarely) else None,
                    ("x",),
                    batch=batch,
                    unique_key=key,
                    on_conflict="return_existing" if key else "raise",
                ),
            )
            for request, ref, key in zip(drawn, refs, keys, strict=True)
        ]

    # --- blocks -------------------------------------------------------------------------------

    @rule(data=st.data(), pick=picks, is_new=st.booleans(), node=picks)
    def open_a_block(self, data: st.DataObject, pick: int, is_new: bool, node: int) -> None:
        self.made += 1
        stage = batch = uuid7(self.now * 1000, self.made)
        if not is_new and self.batches:
            batch = self.batches[pick % len(self.batches)]
        self.blocks[stage] = Block(batch, is_new, self.nodes[node % len(self.nodes)])
        self.pour(data.draw, stage)

    @precondition(lambda self: self.blocks)
    @rule(data=st.data(), pick=picks)
    def pour_into_a_block(self, data: st.DataObject, pick: int) -> None:
        self.pour(data.draw, list(self.blocks)[pick % len(self.blocks)])

    def pour(self, draw: Any, stage: JobId) -> None:
        block = self.blocks[stage]
        lone = attrs.evolve(self.request(draw), details=Details(batch=block.batch))
        jobs = [lone, *self.members(draw, block.batch, 2)]
        position = len(block.staged) + draw(st.sampled_from([0, 0, 0, 0, 1, -1]))
        insert = Insert(jobs, [admit(job) for job in jobs])
        before = self.jobs
        (reply,) = self.tell(Stage(stage, block.batch, block.node, self.now, position, insert))
        assert (reply == Staged()) == (not block.discarded and position == len(block.staged))
        assert self.jobs == before, "a staged job was seen"
        if reply == Staged():
            block.staged += jobs

    @precondition(lambda self: self.blocks)
    @rule(data=st.data(), pick=picks, reopen=st.booleans(), on=st.sampled_from(Condition))
    def end_a_block(self, data: st.DataObject, pick: int, reopen: bool, on: Condition) -> None:
        stage = list(self.blocks)[pick % len(self.blocks)]
        block = self.blocks[stage]
        before = len(self.jobs)
        reply = self.store(data.draw, block.batch, block.is_new, reopen, on, stage)
        if reply == Inserted():
            assert block.discarded == 0, "a batch was stored without some of its jobs"
            of_block = list(self.jobs.values())[before : before + len(block.staged)]
            assert [job.request for job in of_block] == block.staged
            assert [job.state for job in of_block] == [admit(job) for job in block.staged]
            del self.blocks[stage]

    @precondition(lambda self: self.blocks)
    @rule(pick=picks, limit=st.integers(1, 6))
    def discard_of_a_block(self, pick: int, limit: int) -> None:
        stage = list(self.blocks)[pick % len(self.blocks)]
        block = self.blocks[stage]
        (reply,) = self.tell(Discard(stage, limit))
        assert reply == Discarded(min(limit, block.left()))
        block.discarded += min(limit, block.left())
        if not block.left():
            del self.blocks[stage]

    @rule()
    def look_for_blocks_left_behind(self) -> None:
        found = self.ask(Stranded(self.nodes[0], self.now, ALL))
        assert isinstance(found, StrandedJobs)
        left = {
            stage
            for stage, block in self.blocks.items()
            if block.left() and block.node not in self.nodes
        }
        assert set(found.stages) == left

    # --- batches ------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        pick=picks,
        is_new=st.booleans(),
        reopen=st.booleans(),
        on=st.sampled_from(Condition),
    )
    def store_a_batch(
        self, data: st.DataObject, pick: int, is_new: bool, reopen: bool, on: Condition
    ) -> None:
        """A new one or more of an old one, with a job that waits for it."""
        self.made += 1
        batch_id = uuid7(self.now * 1000, self.made)
        if not is_new and self.batches:
            batch_id = self.batches[pick % len(self.batches)]
        self.store(data.draw, batch_id, is_new, reopen, on, None)

    def store(
        self,
        draw: Any,
        batch_id: JobId,
        is_new: bool,
        reopen: bool,
        on: Condition,
        stage: JobId | None,
    ) -> object:
        members = self.members(draw, batch_id)
        follower = attrs.evolve(self.request(draw), details=Details(parents=(batch_id,)))
        states = [*map(admit, members), Waiting((batch_id,), on)]
        batch = BatchRequest(batch_id, self.now, draw(queue_names), ("y",))
        staged = 0 if stage is None else len(self.blocks[stage].staged)
        insert = Insert([*members, follower], states)
        (reply,) = self.tell(InsertBatch(batch, insert, is_new, reopen, stage, staged))
        if reply == Inserted() and is_new:
            self.batches.append(batch_id)
        return reply

    @rule(limit=few, before=st.none() | picks, tenant=st.none() | queue_names)
    def look_at_batches(self, limit: int, before: int | None, tenant: str | None) -> None:
        """What is counted is what there is, by a plain recount."""
        self.ask(Batches(limit, before, tenant))
        for batch_id in self.batches:
            found = self.ask(Batches(1, batch_id=batch_id))
            self.ask(Find(3, batch=batch_id))
            assert isinstance(found, BatchesFound)
            for batch in found.batches:
                counted = Counter(job.state.word for job in self.members_of(batch_id))
                assert batch.counts == counted

    def members_of(self, batch_id: JobId) -> list[StoredJob]:
        return [
            job
            for job in self.jobs.values()
            if job.request.details is not None and job.request.details.batch == batch_id
        ]
