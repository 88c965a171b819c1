"""What `MemoryStorage` promises beyond the message contract: order, and staying lean."""

from __future__ import annotations

import attrs
import pytest

from trio_gusto.model.errors import DuplicateJob
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.joblog import LogLine
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.retention import Selection
from trio_gusto.model.states import (
    Cancelled,
    Failed,
    JobState,
    Processing,
    Ready,
    Scheduled,
    Waiting,
)
from trio_gusto.model.uniqueness import OnConflict
from trio_gusto.storage.finding_messages import Find, Tally
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.memory import MemoryStorage, agenda
from trio_gusto.storage.memory.pauses import PauseShelf
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Completions,
    Conflict,
    Insert,
)
from trio_gusto.storage.pause_messages import LiftPauses, PutPause
from trio_gusto.storage.report_messages import ReadLog, Report, Reported, Saying
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.schedule_messages import PutSchedule
from trio_gusto.testing.storage_contract import Subject, check_storage
from trio_gusto.testing.storage_contract.scheduling import MINUTE, firing, schedule
from trio_gusto.testing.storage_contract.subject import (
    LEASE,
    NOW,
    SECOND,
    ids,
    put_back,
    successes,
)
from trio_gusto.testing.storage_contract.uniqueness import keyed


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """So many strays an agenda always puts up with; in earnest a thousand."""
    monkeypatch.setattr(agenda, "FEW", 10)
    return 10


async def two_nodes() -> MemoryStorage:
    storage = MemoryStorage()
    await storage.attach("one")
    await storage.attach("two")
    return storage


def insertion_of(request: JobRequest) -> Insert:
    return Insert([request], [Ready(NOW)])


async def test_it_keeps_the_message_contract_and_its_jobs_when_detached() -> None:
    await check_storage(MemoryStorage, reopen=lambda storage: storage)


async def test_priorities_stand_above_queues_when_all_are_asked() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    for n in range(30):
        await subject.enqueue(queue=f"q{n % 5}", priority=n % 3, created_at=NOW - n % 7)
    claimed = (await subject.claim()).jobs
    order = [(-job.request.priority, job.due) for job in claimed]
    assert order == sorted(order)
    assert len(claimed) == 30


async def test_jobs_called_off_before_they_are_due_leave_no_trace_in_the_agenda(few: int) -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    requests = [subject.request(execute_after=NOW + LEASE + n) for n in range(5 * few)]
    for request in requests:
        await subject.insert(request)
        await storage.apply([Commit(request.id, 0, Cancelled(NOW, "no"), 0)])
    assert len(storage._index.scheduled) <= few + 1


@pytest.mark.parametrize("due", [NOW, NOW + LEASE])
async def test_many_jobs_called_off_are_not_claimed(due: int, few: int) -> None:
    """However many are struck out of the agenda, none of them is taken for one that is there."""
    storage = await two_nodes()
    subject = Subject(storage, "one")
    requests = [subject.request(execute_after=due) for _ in range(2 * few)]
    await subject.insert(*requests)
    for request in requests[:-1]:
        await storage.apply([Commit(request.id, 0, Cancelled(NOW, "no"), 0)])
    claimed = await subject.claim(due)
    assert [job.request.id for job in claimed.jobs] == [requests[-1].id]


@pytest.mark.parametrize("count", range(14, 20))
async def test_many_jobs_run_again_are_not_pruned(few: int, count: int) -> None:
    """Not while they run, and not for what they ended with before."""
    storage = await two_nodes()
    subject = Subject(storage, "one")
    requests = [subject.request() for _ in range(2 * few)]
    await subject.insert(*requests)
    for request in requests:
        await storage.apply([Commit(request.id, 0, Cancelled(NOW, "no"), 0)])
    for request in requests[:count]:
        await storage.apply([Commit(request.id, 1, Ready(NOW), 0)])
    jobs = (await subject.claim()).jobs
    assert len(jobs) == count
    await subject.complete_all(successes(*jobs, now=NOW + 9))
    assert await storage.apply([Prune(NOW + 9, 2_000)]) == [Pruned(2 * few - count)]


async def test_many_jobs_that_have_ended_are_not_overdue(few: int) -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    for count in (1, 2 * few):
        requests = [subject.request(expire_on=NOW + 5) for _ in range(count)]
        await subject.insert(*requests)
        for request in requests:
            await storage.apply([Commit(request.id, 0, Cancelled(NOW, "no"), 0)])
        for now in (NOW, NOW + 5, NOW):  # the clock may step back
            stranded = await storage.read(Stranded("one", now, 99))
            assert (list(stranded.overdue), stranded.next_at) == ([], None)


async def test_jobs_completed_and_pruned_in_many_messages_leave_no_trace(few: int) -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    for n in range(9):
        await subject.insert(*(subject.request(expire_on=NOW + LEASE) for _ in range(few)))
        jobs = (await subject.claim()).jobs
        assert await subject.complete_all(successes(*jobs, now=NOW + n)) == {}
        await storage.apply([Prune(NOW + n, few)])
    index = storage._index
    assert len(storage._jobs) == len(index.ended) == few
    assert not index.processing
    assert len(index.expiring) <= few + 1


async def test_many_jobs_that_run_are_not_overdue(few: int) -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await subject.insert(*[subject.request(expire_on=NOW + 5) for _ in range(2 * few)])
    for _ in range(2 * few):
        await subject.claim(limit=1)
    stranded = await storage.read(Stranded("one", NOW + 5, 99))
    assert (list(stranded.overdue), stranded.next_at) == ([], NOW + LEASE)


async def test_it_knows_no_lifecycle() -> None:
    """Whoever has a lease by another message than a claim has one."""
    storage = await two_nodes()
    subject = Subject(storage, "one")
    request = await subject.enqueue(expire_on=NOW + 5)
    await storage.apply([Commit(request.id, 0, Processing("two", NOW, NOW + 9), 1)])
    stranded = await storage.read(Stranded("one", NOW + 5, 9))
    assert (list(stranded.overdue), stranded.next_at, stranded.foreign) == ([], NOW + 9, True)
    assert ids((await storage.read(Stranded("one", NOW + 9, 9))).lost) == [request.id]


async def test_a_version_counts_what_became_of_a_job() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    request = await subject.enqueue(execute_after=NOW + 1)
    versions = [(await subject.get(request.id)).version]
    for _ in range(2):
        job = await subject.claim_one(NOW + 1)
        versions.append(job.token)
        await storage.apply([put_back(job, Ready(NOW), AttemptOutcome.RELEASED)])
        versions.append((await subject.get(request.id)).version)
    assert versions == [0, 2, 3, 4, 5], "two for the first claim, since the job fell due before"


async def test_a_job_put_back_in_its_place_many_times_is_listed_once(few: int) -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    request = await subject.enqueue(execute_after=NOW + 5)
    for n in range(3 * few):
        state = Scheduled(NOW + 5 + n % 2)
        await storage.apply([Commit(request.id, n, state, 0)])
    assert len((await subject.claim(NOW + 6)).jobs) == 1
    assert list((await subject.claim(NOW + 6)).jobs) == []


async def test_buckets_are_kept_until_they_are_full_again() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")

    async def start(key: str, now: int) -> None:
        limit = Details(rate_key=key, rate_limit=RateLimit(2, per=2))
        await subject.enqueue(details=limit)
        await subject.claim_one(now)

    await start("a", NOW)
    await start("a", NOW)
    await start("b", NOW)
    await start("c", NOW + SECOND)  # where the bucket of "b" is full, and that of "a" is not
    assert [*storage._rates._buckets] == ["key a", "key c"]
    await start("d", NOW + 9 * SECOND)
    assert [*storage._rates._buckets] == ["key d"]


@pytest.mark.parametrize(("limit", "more"), [(0, False), (1, True), (2, True), (3, False)])
async def test_there_may_be_more_old_jobs_where_the_limit_was_met(limit: int, more: bool) -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await subject.insert(subject.request(), subject.request())
    await subject.complete_all(successes(*(await subject.claim()).jobs))
    reply = await storage.apply([Prune(NOW + 1, limit)])
    assert reply == [Pruned(min(limit, 2), more=more)]


async def test_old_jobs_go_while_others_are_waited_for() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    old = await subject.enqueue()
    await subject.complete(await subject.claim_one())
    parent = await subject.enqueue()
    child = subject.request(details=Details(parents=(parent.id,)))
    await subject.insert(child, states=[Waiting((parent.id,))])
    assert await storage.apply([Prune(NOW + 1, 9)]) == [Pruned(1)]
    assert old.id not in ids(await subject.everything())


async def test_what_ended_at_the_instant_itself_is_not_old_whatever_selects_it() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await subject.enqueue()
    await subject.complete(await subject.claim_one())
    for now, count in ((NOW, 0), (NOW + 1, 1)):
        assert await storage.apply([Prune(now, 9, only=Selection())]) == [Pruned(count)]


async def test_deadlines_lie_ahead_again_when_the_clock_steps_back() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await subject.enqueue(expire_on=NOW + 10)
    assert len((await storage.read(Stranded("one", NOW + 10, 9))).overdue) == 1
    assert list((await subject.claim(NOW + 10)).jobs) == []
    earlier = await storage.read(Stranded("one", NOW + 9, 9))
    assert (list(earlier.overdue), earlier.next_at) == ([], NOW + 10)
    assert len((await subject.claim(NOW + 9)).jobs) == 1


async def test_an_overdue_job_is_in_its_lane_once_when_the_clock_has_stepped_back() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    request = await subject.enqueue(expire_on=NOW + 10)
    for now in (NOW + 10, NOW + 9):
        await storage.read(Stranded("one", now, 9))
    await storage.apply([Commit(request.id, 0, Cancelled(NOW + 9, "no"), 0)])
    assert list((await subject.claim(NOW + 9)).jobs) == []


async def test_claims_go_on_when_a_job_of_a_paused_tenant_was_put_back_where_it_was() -> None:
    """It stood with the jobs of its tenant and with all others, and the two could not be compared."""
    storage = await two_nodes()
    subject = Subject(storage, "one")
    request = await subject.enqueue(tenant="acme", expire_on=NOW + 10)
    await storage.apply([PutPause(None, "acme", "not now", NOW)])
    assert list((await subject.claim()).jobs) == []
    for now in (NOW + 10, NOW):  # the clock steps back
        await storage.read(Stranded("one", now, 9))
    await storage.apply([LiftPauses(None, "acme")])
    assert (await subject.claim_one()).request.id == request.id
    assert list((await subject.claim()).jobs) == []


async def test_the_oldest_ready_job_is_told_wherever_it_stands() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    for age in (1, 3, 2):
        await subject.enqueue(created_at=NOW - age)
    assert (await storage.read(Tally())).oldest_ready == NOW - 3


async def test_a_job_that_is_replaced_keeps_its_attempts() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    old = keyed(subject)
    await subject.insert(old)
    job = await subject.claim_one()
    later = put_back(job, Scheduled(NOW + SECOND), AttemptOutcome.FAILED)
    new = keyed(subject, on_conflict=OnConflict.REPLACE)
    await storage.apply([later, insertion_of(new)])
    kept = await subject.get(old.id)
    assert (kept.attempt, kept.state.word) == (1, JobState.CANCELLED)


@pytest.mark.parametrize("attempts", [0, 1, 2, 3])
async def test_of_many_attempts_the_last_one_is_found_with_the_job(attempts: int) -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    request = await subject.enqueue(max_attempts=9)
    for _ in range(attempts):
        job = await subject.claim_one()
        await storage.apply([put_back(job, Ready(NOW), AttemptOutcome.FAILED)])
    (found,) = (await storage.read(Find(9))).jobs
    whole = (await subject.get(request.id)).history
    assert (len(whole), list(found.history)) == (attempts, list(whole[-1:]))


async def test_a_job_that_has_ended_has_no_key_to_let_go_of() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    old, new = keyed(subject), keyed(subject)
    await subject.insert(old)
    await storage.apply([Commit(old.id, 0, Cancelled(NOW, "no"), 0)])
    again = Commit(old.id, 1, Failed(NOW, "no"), 0, children=Insert((), ()))
    assert not isinstance((await storage.apply([again]))[0], Conflict)
    await subject.insert(new)
    replies = await storage.apply([attrs.evolve(again, version=2), insertion_of(keyed(subject))])
    assert [type(reply) for reply in replies] == [Committed, DuplicateJob]


async def test_a_firing_that_lacks_a_state_is_a_mistake_and_stores_nothing() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    before = schedule()
    await storage.apply([PutSchedule("ledger", None, before)])
    fire = firing(before, NOW + MINUTE, NOW + 2 * MINUTE)
    for states in (fire.states[:1], [*fire.states, Ready(NOW)]):
        with pytest.raises(ValueError, match="zip"):
            storage.perform(attrs.evolve(fire, states=states))
    assert await subject.everything() == []


async def test_true_and_one_are_different_metadata() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await subject.enqueue(details=Details(metadata={"on": True}))
    assert list((await storage.read(Find(9, metadata={"on": 1}))).jobs) == []
    assert len((await storage.read(Find(9, metadata={"on": True}))).jobs) == 1


async def test_queries_change_nothing() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    for n in range(4):
        await subject.enqueue(expire_on=NOW + n + 1, priority=n)
    before = await subject.everything()
    for query in (Tally(), Stranded("one", NOW + 2, 9), Find(2)):
        await storage.read(query)
    assert await subject.everything() == before


async def test_a_request_is_shared_with_its_claim_and_never_touched() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    request: JobRequest = await subject.enqueue(expire_on=NOW + 10)
    version = (await subject.get(request.id)).version
    await storage.apply([Commit(request.id, version, Ready(NOW), 0, forget_expiry=True)])
    assert request.expire_on == NOW + 10
    assert (await subject.claim_one()).request.expire_on is None


async def test_a_job_in_another_queue_does_not_overtake_one_of_its_lane_that_has_to_wait() -> None:
    storage = await two_nodes()

    async def enqueue(number: int, queue: str, limit: int) -> None:
        details = Details(concurrency_key="b", concurrency_limit=limit)
        request = JobRequest(
            uuid7(NOW * 1000, number), "f", "[]", NOW, 9, queue=queue, details=details
        )
        await storage.apply([Insert([request], [Ready(NOW + number)])])

    async def claim(queues: list[tuple[str, int]] | None) -> int:
        (reply,) = await storage.apply([ClaimDue("one", NOW + 9, NOW + LEASE, 9, 9, queues)])
        assert isinstance(reply, ClaimReply)
        return len(reply.jobs)

    await enqueue(1, "q", 2)
    assert await claim(None) == 1
    await enqueue(2, "q", 1)  # it has to be alone, and so waits
    assert await claim([("q", 5)]) == 0
    await enqueue(3, "r", 2)
    assert await claim(None) == 0
    assert await claim([("r", 5)]) == 1  # whoever serves that queue only does not see the other


async def test_an_expired_job_in_a_lane_does_not_hold_up_the_turn_of_another_tenant() -> None:
    """It stood first in the line, so that all in lanes went by the turn of its tenant."""
    storage = MemoryStorage()
    await storage.attach("node")
    subject = Subject(storage, "node")
    worker = Details(worker="smtp")
    for tenant in "aa":
        await subject.enqueue(tenant=tenant, created_at=NOW - 9)
    await subject.enqueue(tenant="a", details=worker, created_at=NOW - 5, expire_on=NOW)
    await subject.enqueue(tenant="b", details=worker, created_at=NOW - 4)
    reply = await subject.claim(tenant_weights={})
    assert [job.request.tenant for job in reply.jobs] == ["a", "b", "a"]


async def test_who_has_said_nothing_of_himself_is_deleted_beside_one_who_has() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await subject.insert(subject.request(), subject.request())
    talker, silent = (await subject.claim()).jobs
    line = LogLine(NOW, "info", "hello")
    saying = Saying(talker.request.id, talker.token, None, [line], dossier="[]")
    await subject.expect(Reported, Report([saying], 10, 1000))
    await subject.expect(Completions, successes(silent))
    assert (await subject.expect(Pruned, Prune(NOW + SECOND, 10))).count == 1
    assert list((await storage.read(ReadLog(talker.request.id))).lines) == [line]


def test_only_queues_that_are_paused_for_all_are_closed() -> None:
    shelf = PauseShelf()
    for queue, tenant in ((None, None), (None, "a"), ("mail", "a"), ("prints", None)):
        shelf.put(PutPause(queue, tenant, "", NOW))
    assert list(shelf.closed_queues()) == ["prints"]


async def test_the_deadline_of_a_job_that_was_deleted_comes_no_more() -> None:
    storage = await two_nodes()
    subject = Subject(storage, "one")
    await subject.enqueue(expire_on=NOW + 9 * SECOND)
    job = await subject.claim_one()
    await subject.enqueue(expire_on=NOW + 99 * SECOND)  # so that deadlines are looked at
    await subject.expect(Completions, successes(job))
    await subject.expect(Pruned, Prune(NOW + SECOND, 10))
    for now in (NOW, NOW + 10 * SECOND):
        found = await storage.read(Stranded("one", now, 10))
        assert (list(found.overdue), found.next_at) == ([], NOW + 99 * SECOND)
