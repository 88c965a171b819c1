"""The scripted play: every message, with what is refused of it, in scenes that leave things behind.

Scenes share one storage, so that a later one meets the jobs of the earlier ones.
"""

from __future__ import annotations

import attrs

from ....model.dependencies import resolve
from ....model.happenings import CalledOff, Overdue, RetriedByHand
from ....model.job import JobRequest, Progress
from ....model.joblog import LogLine
from ....model.lanes import lane_of
from ....model.outcomes import AttemptCancelled, Lost, Released, Snoozed, Succeeded
from ....model.rates import RateLimit
from ....model.retention import Selection
from ....model.states import Condition, JobState, Skipped, State, Waiting
from ....model.uniqueness import OnConflict
from ....storage.batch_messages import Discard, InsertBatch, Stage
from ....storage.dependency_messages import Dependents
from ....storage.finding_messages import Get
from ....storage.lease_messages import Renew, RequestCancel
from ....storage.messages import Commit, Write
from ....storage.pause_messages import HeardPauses, LiftPauses, PutPause
from ....storage.report_messages import Report, Saying
from ....storage.retention_messages import Prune
from ....storage.schedule_messages import FindSchedules, PutSchedule
from ....storage.storage import Storage
from ..scheduling import MINUTE, advanced, firing, schedule
from ..subject import EVERYTHING, LEASE, NOW, SECOND
from .play import Play
from .props import LEFT, RIGHT, Props, claiming, inserting, moving, settling, succeeding

SOON, LATER = NOW + 2 * SECOND, NOW + 5 * SECOND


def everyday(storage: Storage) -> Play:
    """All that a storage is told while it keeps its jobs."""
    props = Props()
    yield from attempts(props)
    yield from pauses(props)
    if storage.keeps_reports:
        yield from reports(props)
    yield from leases(props)
    yield from continuations(props)
    if storage.keeps_children:
        yield from children(props)
    yield from batches(props)
    yield from schedules()
    yield from unique_keys(props)
    yield from lanes(props)
    yield from turns(props)
    if storage.keeps_rates:
        yield from rates(props)
    yield [claiming(RIGHT, NOW + MINUTE, 99)]


def attempts(props: Props) -> Play:
    """Jobs come, are claimed in their order, and end in several ways."""
    urgent, plain = props.request(priority=9), props.request()
    later = props.request(execute_after=SOON, ref_id="order-1")
    short = props.request(expire_on=SOON, priority=-1)
    yield [inserting(plain, urgent), inserting(later), inserting(plain), inserting(short)]
    yield [inserting(props.request(), props.request(ref_id="order-1"))]
    (claim,) = yield [claiming(limit=2)]
    first, second = claim.jobs
    yield [settling(first, delay=3 * SECOND), succeeding(second, second)]
    (found,) = (yield Get([short.id])).jobs
    yield [moving(found, Overdue(SOON))]
    claim, _ = yield [claiming(RIGHT, SOON), claiming(LEFT, LATER, 0)]
    yield [settling(claim.jobs[0], Snoozed(SECOND), SOON)]
    (claim,) = yield [claiming(RIGHT, LATER)]
    yield [settling(job, now=LATER) for job in claim.jobs]
    (found,) = (yield Get([urgent.id])).jobs
    yield [moving(found, RetriedByHand(LATER))]
    (claim,) = yield [claiming(LEFT, LATER)]
    yield [settling(job, Released(entered=False), LATER) for job in claim.jobs]


def pauses(props: Props) -> Play:
    """Queues and tenants are paused; nodes hear of it; pauses are lifted, one and all."""
    tenants = ("acme", "other")
    jobs = [props.request(queue=name, tenant=tenant) for name in "ab" for tenant in tenants]
    yield [inserting(*jobs)]
    yield [claiming(LEFT, limit=2, queues=[("a", 1), ("b", 1)])]
    yield [PutPause("a", None, "maintenance", NOW), PutPause("a", "acme", "not paid", NOW)]
    yield [PutPause("a", None, "another reason", SOON), HeardPauses(LEFT, 2)]
    yield [PutPause(None, "other", "angry", NOW)]
    yield [claiming(RIGHT, queues=[("a", 2), ("b", 2)])]
    yield [LiftPauses("a", None), claiming(RIGHT, queues=[("a", 2)])]
    yield [LiftPauses(None, "nobody"), HeardPauses(LEFT, 3)]
    yield [LiftPauses(), PutPause("b", None, "again", SOON)]
    yield [claiming(RIGHT, queues=[("a", 9), ("b", 9)])]
    yield [LiftPauses("b", None)]


def reports(props: Props) -> Play:
    """Running jobs tell how far they are; what comes too late is refused."""
    yield [inserting(*props.requests(2, queue="reports"))]
    (claim,) = yield [claiming(LEFT, SOON, queues=[("reports", 2)])]
    one, two = claim.jobs
    lines = [LogLine(NOW + number, "info", f"line {number}") for number in range(5)]
    stale = Saying(two.request.id, two.token - 1, Progress(99.0, "all"), lines)
    half = Saying(one.request.id, one.token, Progress(50.0, "half"), lines[:3])
    yield [Report([half, stale], 4, 1000)]
    yield [Report([Saying(one.request.id, one.token, None, lines[3:], told=3)], 4, 1000)]
    yield [Report([Saying(two.request.id, two.token, None, dossier="stood in line 9")], 4, 1000)]
    at = LATER
    yield [Report([half], 4, 1000), settling(one, now=at, delay=0), settling(two, now=at, delay=0)]
    (claim,) = yield [claiming(RIGHT, at, queues=[("reports", 2)])]
    told = Saying(one.request.id, claim.jobs[0].token, None, lines[:2], dossier="in line 10")
    yield [Report([told, half], 4, 1000, 1), succeeding(*claim.jobs, now=at + SECOND)]


def leases(props: Props) -> Play:
    """Leases are renewed, lost, and asked to be let go of."""
    kept, lost, unwanted = props.requests(3, queue="leases")
    yield [inserting(kept, lost, unwanted)]
    (claim,) = yield [claiming(queues=[("leases", 3)])]
    jobs = claim.jobs
    yield [RequestCancel(unwanted.id, jobs[2].token, "not wanted")]
    yield [RequestCancel(unwanted.id, jobs[2].token, "not wanted, either")]
    pairs = [(job.request.id, job.token) for job in jobs]
    yield [Renew(LEFT, SOON, SOON + LEASE, pairs), Renew(RIGHT, SOON, LATER, pairs[:1])]
    yield [settling(jobs[2], delay=SECOND), settling(jobs[1], Lost(), LATER)]
    (claim,) = yield [claiming(RIGHT, LATER, queues=[("leases", 3)])]
    yield [settling(jobs[1], now=LATER), succeeding(jobs[1], jobs[0], now=LATER)]
    yield [settling(jobs[2], AttemptCancelled("not wanted"), LATER, cancel_reason="not wanted")]
    yield [succeeding(*claim.jobs, now=LATER), Renew(RIGHT, LATER, LATER + LEASE, pairs)]


def continuations(props: Props) -> Play:
    """Jobs wait for others, and what becomes of those decides."""
    good, bad = props.requests(2, queue="parents")
    parents = (good.id, bad.id)
    waiting = [props.request(parents=parents, name="bill") for _ in Condition]
    states = [Waiting(parents, condition) for condition in Condition]
    grandchild = props.request(parents=(waiting[0].id,))
    yield [
        inserting(good, bad),
        inserting(*waiting, states=states),
        inserting(grandchild, states=[Waiting((waiting[0].id,))]),
    ]
    unknown = props.id()
    yield [inserting(props.request(), props.request(), states=[Waiting(), Waiting((unknown,))])]
    (claim,) = yield [claiming(queues=[("parents", 2)])]
    yield [succeeding(claim.jobs[0])]
    yield [settling(claim.jobs[1])]
    for _ in range(2):
        yield from deciding(SOON)


def deciding(now: int) -> Play:
    """What is decided about the jobs whose wait may be over."""
    decided: list[Write] = []
    for dependent in (yield Dependents(EVERYTHING)).jobs:
        settled = resolve(dependent, now)
        if settled is not None:
            job = dependent.job
            decided.append(Commit(job.request.id, job.version, settled.state, settled.attempt))
    yield decided


def children(props: Props) -> Play:
    """Jobs are stored with the success of another, and one waits for its callback."""
    yield [inserting(*props.requests(3, queue="mothers", ref_id=None))]
    (claim,) = yield [claiming(queues=[("mothers", 3)])]
    first, second, third = claim.jobs
    born = inserting(*props.requests(2, queue="children"))
    refused = inserting(props.request(), born.requests[0])
    yield [attrs.evolve(settling(first, Succeeded('"done"')), children=born)]
    yield [
        attrs.evolve(settling(second, Succeeded()), children=refused),
        settling(second, Succeeded("[1,2]")),
    ]
    callback = props.request(queue="callbacks")
    called = settling(third, Succeeded('"result"'), callback=callback.id)
    yield [attrs.evolve(called, children=inserting(callback))]
    (claim,) = yield [claiming(RIGHT, queues=[("callbacks", 1), ("children", 2)])]
    yield [succeeding(*claim.jobs)]
    yield from deciding(SOON)


def batches(props: Props) -> Play:
    """A batch is staged, stored, appended to and awaited; another stage is thrown away."""
    batch, lost = props.batch(tenant="acme", tags=("b", "a")), props.batch()
    jobs = props.requests(4, batch=batch.id, queue="batch")
    stage, other, third = props.id(), props.id(), props.id()
    yield [Stage(stage, batch.id, LEFT, NOW, 0, inserting(*jobs[:2]))]
    yield [
        Stage(stage, batch.id, LEFT, NOW, 9, inserting(jobs[3])),
        Stage(stage, batch.id, LEFT, NOW, 2, inserting(jobs[2])),
    ]
    left = [props.request(batch=lost.id) for _ in range(3)]
    yield [Stage(other, lost.id, RIGHT, NOW, 0, inserting(*left))]
    yield [Stage(third, lost.id, RIGHT, NOW, 0, inserting(props.request(batch=lost.id)))]
    yield [InsertBatch(batch, inserting(), stage=stage, staged=2)]
    follower = props.request(parents=(batch.id,))
    both = inserting(jobs[3], follower, states=[Waiting(), Waiting((batch.id,))])
    both.states = [*inserting(jobs[3]).states, both.states[1]]
    yield [InsertBatch(batch, both, stage=stage, staged=3)]
    yield [Discard(other, 2)]
    yield [Discard(other, 2)]
    (claim,) = yield [claiming(queues=[("batch", 9)])]
    more = props.requests(2, batch=batch.id, queue="batch")
    yield [succeeding(*claim.jobs[1:]), InsertBatch(batch, inserting(more[0]), is_new=False)]
    (late,) = yield [claiming(RIGHT, queues=[("batch", 9)])]
    yield [succeeding(claim.jobs[0], *late.jobs)]
    yield from deciding(SOON)
    yield [InsertBatch(batch, inserting(more[1]), is_new=False)]
    yield [InsertBatch(batch, inserting(more[1]), is_new=False, reopen=True)]


def schedules() -> Play:
    """Schedules are put, edited, fired, paused and removed; an instant has one job."""
    ledger, other = schedule(), schedule("other")
    instants = [NOW + number * MINUTE for number in range(1, 6)]
    yield [PutSchedule("ledger", None, ledger), PutSchedule("other", None, other)]
    yield [PutSchedule("ledger", None, ledger), PutSchedule("other", 7, None)]
    held: dict[int, State] = {
        instants[1]: Waiting(),
        instants[2]: Skipped(instants[2], "still runs"),
    }
    fire = firing(ledger, *instants[:3], states=held)
    yield [fire, firing(ledger, instants[3])]
    yield [firing(fire.schedule, *instants[2:4])]
    (kept,) = (yield FindSchedules(EVERYTHING, name="ledger")).found
    version = kept.schedule.version
    paused = attrs.evolve(kept.schedule, paused=True, next_at=None, version=version + 1)
    yield [PutSchedule("ledger", version, paused)]
    (claim,) = yield [claiming(LEFT, instants[0], 1, skip_names=["say_hello", "bill"])]
    yield [succeeding(*claim.jobs, now=instants[0] + SECOND)]
    yield [PutSchedule("other", other.version, None), PutSchedule("other", None, other)]
    yield [firing(other, instants[4]), firing(advanced(other, instants[4]), instants[4] + MINUTE)]


def unique_keys(props: Props) -> Play:
    """A key is held, yielded to, taken over, given back, and wanted by who is to live again."""

    def keyed(on_conflict: OnConflict = OnConflict.RAISE, key: str = "k") -> JobRequest:
        return props.request(unique_key=key, on_conflict=on_conflict.value, queue="keys")

    yielding, replacing = OnConflict.RETURN_EXISTING, OnConflict.REPLACE
    first, other = keyed(), keyed(key="other")
    yield [inserting(first, other)]
    yield [inserting(keyed()), inserting(props.request(queue="keys"), keyed(yielding))]
    waiting = props.request(parents=(first.id,))
    yield [inserting(waiting, states=[Waiting((first.id,), Condition.FINISH)])]
    yield [inserting(keyed(replacing))]
    yield from deciding(SOON)
    (claim,) = yield [claiming(queues=[("keys", 9)])]
    yield [inserting(keyed(replacing)), succeeding(*claim.jobs)]
    yield [inserting(keyed())]
    (found,) = (yield Get([first.id])).jobs
    yield [moving(found, RetriedByHand(SOON))]


def lanes(props: Props) -> Play:
    """Named workers have one job at a time, concurrency keys so many as they say."""
    alone = props.requests(3, worker="smtp", queue="lanes")
    few = props.requests(3, concurrency_key="api", concurrency_limit=2, queue="lanes")
    yield [inserting(*alone, *few)]
    queues, closed = [("lanes", 9)], [lane_of(alone[0]) or ""]
    (first,) = yield [claiming(LEFT, queues=queues)]
    yield [claiming(RIGHT, queues=queues), claiming(LEFT, queues=queues, depth=2)]
    yield [succeeding(first.jobs[-1]), settling(first.jobs[0], delay=SECOND)]
    yield [claiming(RIGHT, SOON, queues=queues, closed_lanes=closed)]
    yield [claiming(RIGHT, SOON, queues=queues)]


def turns(props: Props) -> Play:
    """Tenants take turns by weight, and ageing counts waiting as priority."""
    yield [inserting(*[props.request(tenant=name, queue="turns") for name in "aaaaaabbbbcc"])]
    queues = [("turns", 3)]
    for limit in (1, 3, 2):
        yield [claiming(LEFT, limit=limit, queues=queues, tenant_weights={"b": 2})]
    yield [claiming(RIGHT, limit=2, queues=queues, tenant_weights={})]
    old = props.request(at=NOW - MINUTE, queue="ageing")
    yield [inserting(props.request(priority=3, queue="ageing"), old)]
    yield [claiming(LEFT, limit=1, queues=[("ageing", 2)], ageing=10 * SECOND)]


def rates(props: Props) -> Play:
    """Buckets are emptied, refuse, and fill again."""
    limit = RateLimit(2, per=60)
    keyed = props.requests(4, rate_key="api", rate_limit=limit, queue="rates")
    yield [inserting(*keyed, *props.requests(3, queue="slow"))]
    queues, slow = [("rates", 9), ("slow", 9)], {"slow": RateLimit(1, per=30)}
    (claim,) = yield [claiming(LEFT, queues=queues, queue_rates=slow)]
    yield [settling(job, Released(entered=False)) for job in claim.jobs[:1]]
    yield [claiming(LEFT, SOON, queues=queues, queue_rates=slow)]
    yield [claiming(RIGHT, NOW + MINUTE // 2, 3, queues=queues, queue_rates=slow)]


def pruning(storage: Storage) -> Play:
    """What ended long ago goes, but for what somebody still needs."""
    props = Props()
    batch = props.batch()
    first = props.requests(5, tenant="acme")
    members = props.requests(2, batch=batch.id, name="bill")
    ledger = schedule()
    yield [inserting(*first), InsertBatch(batch, inserting(*members))]
    follower = props.request(parents=(first[0].id,))
    yield [inserting(follower, states=[Waiting((first[0].id,))])]
    fire = firing(ledger, NOW + SECOND, NOW + 2 * SECOND)
    yield [PutSchedule("ledger", None, ledger), fire]
    (claim,) = yield [claiming(LEFT, SOON, 99)]
    for number, job in enumerate(claim.jobs[:-1]):
        yield [succeeding(job, now=LATER + number)]
    if storage.keeps_reports:
        last = claim.jobs[-1]
        yield [Report([Saying(last.request.id, last.token, Progress(1.0, "begun"))], 4, 1000)]
    yield [Prune(LATER + 3, 2)]
    yield [Prune(NOW + MINUTE, 2)]
    failed = Selection(frozenset({JobState.FAILED}))
    yield [Prune(NOW + MINUTE, EVERYTHING, failed)]
    yield [settling(claim.jobs[-1], now=LATER)]
    yield [Prune(NOW + MINUTE, EVERYTHING, Selection(), [failed])]
    yield from deciding(SOON)
    (found,) = (yield Get([follower.id])).jobs
    yield [moving(found, CalledOff(LATER, "not wanted"))]
    yield [inserting(props.request()), Prune(NOW + MINUTE, EVERYTHING)]
    yield [inserting(first[1]), claiming(RIGHT, LATER)]
