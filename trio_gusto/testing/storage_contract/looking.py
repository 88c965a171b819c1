"""Promises about queries: they see what is committed, find what was asked for, and hand out copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ...model.ids import uuid7
from ...model.job import Details
from ...model.outcomes import AttemptOutcome
from ...model.states import Cancelled, JobState, Processing, Ready
from ...storage.finding_messages import Find, Get, Tally
from ...storage.messages import Committed
from .subject import LEASE, NOW, SECOND, Subject, ids, put_back, same


async def jobs_are_got_by_id_and_by_ref_id(subject: Subject) -> None:
    named = await subject.enqueue(details=Details(ref_id="order-1"))
    other = await subject.enqueue()
    unknown = uuid7(NOW * 1000, 99)
    found = await subject.storage.read(Get([unknown, other.id]))
    same(ids(found.jobs), [other.id], "what is found by an unknown and a known id")
    found = await subject.storage.read(Get(ref_id="order-1"))
    same(ids(found.jobs), [named.id], "what is found by a ref_id")
    found = await subject.storage.read(Get(ref_id="order-2"))
    same(list(found.jobs), [], "what is found by an unknown ref_id")


async def what_is_handed_out_does_not_change(subject: Subject) -> None:
    request = await subject.enqueue()
    fetched = await subject.get(request.id)
    (listed,) = (await subject.storage.read(Find(1))).jobs
    claimed = await subject.claim_one()
    for seen in (fetched, listed):
        same((seen.state, seen.attempt), (Ready(NOW), 0), "a job seen before it was claimed")
    running = await subject.get(request.id)
    same(running.state, Processing(subject.node, NOW, NOW + LEASE), "the job while it runs")
    back = put_back(claimed, Ready(NOW), AttemptOutcome.FAILED)
    await subject.expect(Committed, back)
    found = (type(running.state), len(running.history), running.version)
    same(found, (Processing, 0, claimed.token), "a job seen while it ran, after it was settled")


async def a_list_has_the_last_record_at_most(subject: Subject) -> None:
    await subject.enqueue()
    for _ in range(2):
        job = await subject.claim_one()
        await subject.expect(Committed, put_back(job, Ready(NOW), AttemptOutcome.FAILED))
    (listed,) = (await subject.storage.read(Find(1))).jobs
    whole = await subject.get(listed.request.id)
    same(len(whole.history), 2, "the length of the whole history")
    same(list(listed.history), list(whole.history[-1:]), "the history in a list")


async def every_criterion_is_applied(subject: Subject) -> None:
    details = Details(
        tags=("red", "blue"),
        created_by="ann",
        user_id="u1",
        metadata={"plan": "pro", "seats": 3, "on": True, "tree": {"a": [1, None]}, "end": None},
        worker="smtp",
    )
    wanted = await subject.enqueue(
        name="bill", queue="money", tenant="acme", created_at=NOW - 5, details=details
    )
    near = Details(
        tags=("red",), created_by="bob", user_id="u2", metadata={"plan": "free"}, worker="imap"
    )
    await subject.enqueue(details=near)
    await subject.enqueue(execute_after=NOW + SECOND)
    matching: list[Mapping[str, Any]] = [
        {"names": frozenset({"bill", "other"})},
        {"queues": frozenset({"money"})},
        {"tenants": frozenset({"acme", "none"})},
        {"workers": frozenset({"smtp", "pop"})},
        {"tags_any": frozenset({"blue", "green"})},
        {"tags_all": frozenset({"red", "blue"})},
        {"created_by": "ann"},
        {"user_id": "u1"},
        {"metadata": {"plan": "pro"}},
        {"metadata": {"end": None}},
        {"metadata": {"seats": 3, "on": True, "tree": {"a": [1, None]}}},
        {"created_before": NOW},
        {"created_after": NOW - 5, "created_before": NOW - 4},
        {"states": frozenset({JobState.READY}), "names": frozenset({"bill"})},
        {"states": frozenset(JobState), "names": frozenset({"bill"})},
    ]
    for criteria in matching:
        found = await subject.storage.read(Find(9, **criteria))
        same(ids(found.jobs), [wanted.id], f"what is found for {criteria}")
    empty: list[Mapping[str, Any]] = [
        {"names": frozenset({"bill"}), "queues": frozenset({"default"})},
        {"tags_all": frozenset({"red", "green"})},
        {"tags_any": frozenset({"re", "ed"})},
        {"metadata": {"plan": "pro", "seats": 4}},
        {"metadata": {"missing": None}},
        {"metadata": {"seats": "3"}},
        {"metadata": {"seats": 3.0}},
        {"metadata": {"on": 1}},
        {"metadata": {"tree": {"a": [1]}}},
        {"metadata": {"end": "null"}},
        {"workers": frozenset({"pop", ""})},
        {"created_after": NOW + 1},
        {"created_before": NOW - 5},
        {"states": frozenset({JobState.COMPLETED})},
        {"user_id": ""},
    ]
    for criteria in empty:
        found = await subject.storage.read(Find(9, **criteria))
        same(list(found.jobs), [], f"what is found for {criteria}")


async def every_state_can_be_looked_for(subject: Subject) -> None:
    for n in range(3):
        await subject.enqueue(priority=-n)
    await subject.enqueue(execute_after=NOW + SECOND)
    done, _ = (await subject.claim(limit=2)).jobs
    await subject.complete(done)
    jobs = await subject.everything()
    for state in JobState:
        found = await subject.storage.read(Find(9, states=frozenset({state})))
        there = [job.request.id for job in jobs if job.state.word is state]
        same(ids(found.jobs), there, f"the {state} jobs")


async def jobs_of_several_states_are_found_in_one_order(subject: Subject) -> None:
    """Six jobs: each second one is cancelled, the others stay ready, except the newest."""
    requests = [await subject.enqueue(priority=-n) for n in range(6)]
    running = (await subject.claim()).jobs
    for n, job in enumerate(running):
        if n % 2 == 0:
            end = put_back(job, Cancelled(NOW, ""), AttemptOutcome.CANCELLED)
        else:
            end = put_back(job, Ready(NOW), AttemptOutcome.RELEASED)
        await subject.expect(Committed, end)
    await subject.complete((await subject.claim(limit=1)).jobs[0])
    wanted = frozenset({JobState.CANCELLED, JobState.READY})
    order = [requests[n].id for n in (5, 4, 3, 2, 0)]
    seen: list[bytes] = []
    before: int | None = None
    for size in (2, 2, 1):
        page = (await subject.storage.read(Find(2, before=before, states=wanted))).jobs
        same(len(page), size, "the number of jobs on the page")
        seen += ids(page)
        before = page[-1].sequence
    same(seen, order, "the ready and the cancelled jobs, newest first")


async def pages_are_stable_while_jobs_arrive(subject: Subject) -> None:
    requests = [await subject.enqueue() for _ in range(7)]
    seen: list[bytes] = []
    before: int | None = None
    for size in (3, 3, 1, 0):
        page = (await subject.storage.read(Find(3, before=before))).jobs
        same(len(page), size, "the number of jobs on the page")
        seen += ids(page)
        before = page[-1].sequence if page else before
        await subject.enqueue()
        await subject.claim(limit=1)
    same(seen, ids(requests)[::-1], "the jobs of all pages, newest first")


async def a_tally_equals_a_recount(subject: Subject) -> None:
    for n in range(12):
        place = {"queue": f"q{n % 2}", "tenant": f"t{n % 3}", "name": f"n{n % 4}"}
        await subject.enqueue(created_at=NOW - n, priority=n, **place)
    await subject.enqueue(execute_after=NOW + SECOND)
    running = (await subject.claim(limit=5)).jobs
    await subject.complete(running[0])
    back = put_back(running[1], Cancelled(NOW, ""), AttemptOutcome.CANCELLED)
    await subject.expect(Committed, back)
    jobs = await subject.everything()
    tally = await subject.storage.read(Tally())
    counts = Counter((job.state.word, job.request.queue, job.request.tenant) for job in jobs)
    same(dict(tally.counts), dict(counts), "the counts by state, queue and tenant")
    ready = [job for job in jobs if isinstance(job.state, Ready)]
    oldest = min(job.state.due for job in ready if isinstance(job.state, Ready))
    same(tally.oldest_ready, oldest, "the due instant of the oldest ready job")


async def an_empty_storage_counts_nothing(subject: Subject) -> None:
    tally = await subject.storage.read(Tally())
    found = (len(tally.counts), tally.oldest_ready)
    same(found, (0, None), "the tally of an empty storage")


LOOKING_CHECKS = (
    jobs_are_got_by_id_and_by_ref_id,
    what_is_handed_out_does_not_change,
    a_list_has_the_last_record_at_most,
    every_criterion_is_applied,
    every_state_can_be_looked_for,
    jobs_of_several_states_are_found_in_one_order,
    pages_are_stable_while_jobs_arrive,
    a_tally_equals_a_recount,
    an_empty_storage_counts_nothing,
)
