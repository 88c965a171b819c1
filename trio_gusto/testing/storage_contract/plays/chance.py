"""Plays of chance: what is told next is drawn, a little of everything, so that promises meet.

The script tells what its author thought of. Here jobs of batches have keys and workers, are pruned while
others wait for them, and are cancelled while they run, in an order that nobody thought of.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from random import Random
from typing import Any

import attrs

from ....model.dependencies import resolve
from ....model.happenings import CalledOff, Overdue, RetriedByHand
from ....model.job import ClaimedJob, JobRequest, Progress, StoredJob
from ....model.joblog import LogLine
from ....model.lifecycle import may
from ....model.outcomes import Lost, Released, Snoozed
from ....model.states import Condition, Processing, State, Waiting
from ....model.uniqueness import OnConflict
from ....storage.batch_messages import Batches, InsertBatch
from ....storage.dependency_messages import Dependents
from ....storage.finding_messages import Find
from ....storage.lease_messages import Renew, RequestCancel
from ....storage.messages import Commit, Write
from ....storage.pause_messages import HeardPauses, LiftPauses, PutPause
from ....storage.report_messages import Report, Saying
from ....storage.retention_messages import Prune
from ....storage.schedule_messages import FindSchedules, PutSchedule
from ....storage.storage import Storage
from ..scheduling import firing, schedule
from ..subject import EVERYTHING, LEASE, NOW, SECOND
from .play import Act, Make, Play
from .props import FAILURE, LEFT, Props, claiming, inserting, moving, settling, succeeding
from .seen import NAMES, NODES

QUEUES, TENANTS, KEYS = ("default", "mail"), ("", "acme"), ("k", "l")

Draw = Generator[Act, Any, list[Write]]
"""Draws writes of one kind, after a look at what there is."""

GROUPS = 40
"""How many groups of writes a play has."""


def chance(seed: int, *, prunes: bool) -> Make:
    """A play of what is drawn with this seed."""

    def play(storage: Storage) -> Play:
        drawing = Drawing(Random(seed), storage)  # noqa: S311 - it is to be repeated
        acts = [drawing.jobs, drawing.claims, drawing.ends, drawing.successes, drawing.leases]
        acts += [drawing.by_hand, drawing.batches, drawing.schedules, drawing.pauses]
        acts += [drawing.jobs, drawing.claims, drawing.ends, drawing.waits]
        acts += [drawing.reports] * storage.keeps_reports + [drawing.prunes] * prunes
        for _ in range(GROUPS):
            group: list[Write] = []
            for _ in range(drawing.random.choice((1, 1, 2, 3))):
                group += yield from drawing.random.choice(acts)()
            yield group
            drawing.now += drawing.random.choice((0, 1, SECOND, 20 * SECOND))

    return play


class Drawing:
    """Draws writes; those about jobs look at the jobs first, as they are before the group."""

    def __init__(self, random: Random, storage: Storage) -> None:
        self.random = random
        self.storage = storage
        self.now = NOW
        self._props = Props()

    def maybe(self, value: Any, *, of: int = 3) -> Any:
        """The value, or ``None``, which is so many times as likely."""
        return value if self.random.randrange(of + 1) == 0 else None

    def request(self, **changes: Any) -> JobRequest:
        draw = self.random
        details = {
            "unique_key": self.maybe(draw.choice(KEYS), of=2),
            "worker": self.maybe("smtp", of=3),
            "concurrency_key": self.maybe("api", of=5),
            "ref_id": self.maybe(f"r{draw.randrange(9)}", of=9),
        }
        given = {name: value for name, value in details.items() if value is not None}
        if "unique_key" in given and "batch" not in changes:
            given["on_conflict"] = draw.choice(list(OnConflict)).value
        if "concurrency_key" in given:
            given["concurrency_limit"] = draw.choice((1, 2))
        return self._props.request(
            at=self.now,
            queue=draw.choice(QUEUES),
            tenant=draw.choice(TENANTS),
            name=draw.choice(NAMES),
            priority=draw.choice((0, 0, 5)),
            max_attempts=draw.choice((1, 3)),
            execute_after=self.maybe(self.now + 3 * SECOND),
            expire_on=self.maybe(self.now + 30 * SECOND, of=5),
            **given | changes,
        )

    def all_jobs(self) -> Generator[Act, Any, list[StoredJob]]:
        return list((yield Find(EVERYTHING)).jobs)

    def of(self, jobs: Sequence[StoredJob], happening: type) -> list[StoredJob]:
        """One or two of the jobs to which this may happen."""
        able = [job for job in jobs if may(job.state, happening)]
        return self.random.sample(able, min(len(able), self.random.choice((1, 2))))

    def held(self) -> Generator[Act, Any, list[ClaimedJob]]:
        """Some of the jobs that are processing, as they were claimed; some under another token."""
        running = [
            (job, job.state)
            for job in (yield from self.all_jobs())
            if isinstance(job.state, Processing)
        ]
        return [
            ClaimedJob(
                job.request,
                job.attempt,
                job.version - self.random.choice((0, 0, 0, 1)),
                self.now,
                lease.node,
                lease.claimed_at,
            )
            for job, lease in self.random.sample(running, min(len(running), 3))
        ]

    def waiting(self, jobs: Sequence[StoredJob]) -> tuple[JobRequest, State]:
        parents = [job.request.id for job in self.random.sample(jobs, min(len(jobs), 2))]
        state = Waiting(tuple(parents), self.random.choice(list(Condition)))
        return self.request(parents=state.parents), state

    # --- acts -------------------------------------------------------------------------------------

    def jobs(self) -> Draw:
        requests = [self.request() for _ in range(self.random.choice((1, 2, 3)))]
        write = inserting(*requests)
        if self.maybe(True) and (known := (yield from self.all_jobs())):
            request, state = self.waiting(known)
            write = inserting(*requests, request, states=[*write.states, state])
        return [write]

    def claims(self) -> Draw:
        """Without turns of tenants: whose turn it is behind a job whose lane is full, nobody promises."""
        draw = self.random
        fields: dict[str, Any] = {
            "limit": draw.choice((1, 3, 9)),
            "depth": draw.choice((1, 2)),
            "queues": self.maybe([(name, 2) for name in QUEUES], of=1),
        }
        yield from ()
        return [claiming(draw.choice(NODES), self.now, **fields)]

    def ends(self) -> Draw:
        outcomes = (FAILURE, Snoozed(SECOND), Released(entered=False), Lost())
        ends = [
            settling(job, self.random.choice(outcomes), self.now, delay=self.maybe(SECOND, of=1))
            for job in (yield from self.held())
        ]
        for end in ends[:1]:
            if self.storage.keeps_children and end.state.word.is_ended:
                end.children = inserting(self.request())
        return [*ends]

    def successes(self) -> Draw:
        return [succeeding(*(yield from self.held()), now=self.now)]

    def leases(self) -> Draw:
        jobs = yield from self.held()
        pairs = [(job.request.id, job.token) for job in jobs]
        asked = [RequestCancel(*pair, self.random.choice(("no", "never"))) for pair in pairs[:1]]
        return [Renew(LEFT, self.now, self.now + LEASE, pairs), *asked]

    def by_hand(self) -> Draw:
        jobs = yield from self.all_jobs()
        kinds = (CalledOff(self.now, "no"), Overdue(self.now), RetriedByHand(self.now))
        happening = self.random.choice(kinds)
        return [moving(job, happening) for job in self.of(jobs, type(happening))]

    def waits(self) -> Draw:
        decided: list[Write] = []
        for each in (yield Dependents(EVERYTHING)).jobs:
            settled = resolve(each, self.now)
            if settled is not None:
                job = each.job
                decided.append(Commit(job.request.id, job.version, settled.state, settled.attempt))
        return decided

    def batches(self) -> Draw:
        found = [each.request for each in (yield Batches(EVERYTHING)).batches]
        is_new = not found or self.maybe(True, of=1) is not None
        batch = self._props.batch(tenant="acme") if is_new else self.random.choice(found)
        jobs = inserting(*(self.request(batch=batch.id) for _ in range(2)))
        return [InsertBatch(batch, jobs, is_new=is_new, reopen=self.random.choice((True, False)))]

    def schedules(self) -> Draw:
        found = (yield FindSchedules(EVERYTHING)).found
        if not found:
            return [PutSchedule("ledger", None, schedule())]
        kept = found[0].schedule
        first = (kept.last_at or NOW) + SECOND
        fire = firing(kept, first, first + SECOND)
        version = kept.version + self.random.choice((0, 0, 0, -1))
        removal = PutSchedule("ledger", version, None)
        return [removal] if self.maybe(True, of=5) else [attrs.evolve(fire, version=version)]

    def pauses(self) -> Draw:
        draw = self.random
        queue, tenant = draw.choice((None, "mail")), draw.choice((None, "acme"))
        put = PutPause(queue, tenant, "no", self.now)
        yield [HeardPauses(draw.choice(NODES), 0)]
        return [draw.choice((put, LiftPauses(queue, tenant), LiftPauses()))]

    def reports(self) -> Draw:
        line = LogLine(self.now, "info", "said")
        jobs = yield from self.held()
        sayings = [
            Saying(job.request.id, job.token, Progress(50.0, "half"), [line], dossier="here")
            for job in jobs
        ]
        return [Report(sayings, 3, 1000, 2)]

    def prunes(self) -> Draw:
        yield from ()
        return [Prune(self.now, self.random.choice((1, 9)))]
