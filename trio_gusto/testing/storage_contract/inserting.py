"""Promises about inserting: all or none, no duplicates, everything kept as it came."""

from __future__ import annotations

from ...model.errors import DuplicateJob
from ...model.ids import JobId, to_uuid
from ...model.job import Details, JobRequest
from ...model.lifecycle import admit
from ...model.states import Ready, Scheduled, Skipped, State, Waiting
from ...storage.finding_messages import Find, Get
from ...storage.messages import Insert, Inserted, WriteReply
from .subject import NOW, SECOND, Subject, ids, reply_of, same

ODD_TEXTS = (
    "",
    " ",
    'it\'s "quoted" \\ %s {} ; DROP TABLE job; --',
    "Zoë 北京 مرحبا 👩🏽‍🚀",
    "e\u0301 is not \u00e9",
    "line\nbreak\ttab\r\n",
    "null",
    "x" * 100_000,
)


def insertion(*requests: JobRequest) -> Insert:
    return Insert(requests, [admit(request) for request in requests])


def duplicate_of(reply: object, key: str, value: object, existing: JobId) -> None:
    if not isinstance(reply, DuplicateJob):
        raise AssertionError(
            f"a duplicate {key} should be answered with DuplicateJob, not {reply!r}"
        )
    found = (reply.key, reply.value, reply.existing_id)
    same(found, (key, value, to_uuid(existing)), "the key, value and existing_id of DuplicateJob")


async def a_job_is_kept_as_it_was_asked_for(subject: Subject) -> None:
    details = Details(
        ref_id="order-1",
        tags=("b", "a"),
        created_by="ann",
        user_id="u1",
        metadata={"nested": {"list": [1, 2.5, None, True, "x"]}},
        retry={"fixed": [1.0, 0.0]},
        carrier={"traceparent": "00-1-2-01"},
        context={"request": [1, {"a": None}]},
    )
    full = subject.request(
        timeout=5 * SECOND,
        execute_after=NOW + SECOND,
        expire_on=NOW + 2 * SECOND,
        queue="mail",
        priority=-7,
        tenant="acme",
        details=details,
        job_type="service.Mail",
        method_name="send",
    )
    plain = subject.request()
    await subject.insert(full, plain)
    for request, state in ((full, Scheduled(NOW + SECOND)), (plain, Ready(NOW))):
        job = await subject.get(request.id)
        same(job.request, request, "the request found")
        same(job.state, state, "its first state")
        same((job.attempt, len(job.history)), (0, 0), "attempts spent and history of a new job")


async def a_job_may_begin_in_any_state(subject: Subject) -> None:
    states: list[State] = [Waiting(), Skipped(NOW, "the one before still runs"), Ready(NOW)]
    requests = [subject.request() for _ in states]
    await subject.insert(*requests, states=states)
    found = [(await subject.get(request.id)).state for request in requests]
    same(found, states, "the states found")
    same(ids((await subject.claim()).jobs), [requests[2].id], "what can be claimed of them")


async def odd_texts_survive(subject: Subject) -> None:
    requests = [
        subject.request(
            args=text,
            name=text,
            queue=text,
            tenant=text,
            details=Details(ref_id=text, tags=(text,), metadata={text: text}),
        )
        for text in ODD_TEXTS
    ]
    await subject.insert(*requests)
    for request in requests:
        same((await subject.get(request.id)).request, request, "a request with odd texts")


async def sequences_rise_in_the_order_of_insertion(subject: Subject) -> None:
    requests = [subject.request(priority=n % 3) for n in range(6)]
    await subject.insert(*requests[:4])
    replies = await subject.apply([insertion(requests[4]), insertion(requests[5])])
    for reply in replies:
        reply_of(Inserted, reply)
    found = await subject.storage.read(Find(10))
    same(ids(found.jobs), ids(requests)[::-1], "the jobs found, newest first")
    sequences = [job.sequence for job in found.jobs]
    same(sequences, sorted(set(sequences), reverse=True), "their sequences, falling strictly")


async def an_insert_stores_all_of_its_jobs_or_none(subject: Subject) -> None:
    old = await subject.enqueue()
    new = [subject.request() for _ in range(3)]
    for position in range(4):
        requests = [*new[:position], old, *new[position:]]
        duplicate_of(await subject.tell(insertion(*requests)), "id", to_uuid(old.id), old.id)
        same(ids(await subject.everything()), [old.id], "the jobs stored")
    await subject.insert(*new)


async def a_duplicate_ref_id_is_refused(subject: Subject) -> None:
    old = await subject.enqueue(details=Details(ref_id="order-1"))
    new = subject.request(details=Details(ref_id="order-1"))
    reply = await subject.tell(insertion(subject.request(), new))
    duplicate_of(reply, "ref_id", "order-1", old.id)
    same(ids(await subject.everything()), [old.id], "the jobs stored")


async def duplicates_inside_one_insert_are_refused(subject: Subject) -> None:
    twice = subject.request()
    duplicate_of(await subject.tell(insertion(twice, twice)), "id", to_uuid(twice.id), twice.id)
    first, second = (subject.request(details=Details(ref_id="order-1")) for _ in range(2))
    duplicate_of(await subject.tell(insertion(first, second)), "ref_id", "order-1", first.id)
    same(await subject.everything(), [], "the jobs stored")


async def a_duplicate_harms_its_own_message_only(subject: Subject) -> None:
    old = await subject.enqueue(details=Details(ref_id="order-1"))
    good = [subject.request() for _ in range(3)]
    same_ref = subject.request(details=Details(ref_id="order-1"))
    writes = [good[0], old, good[1], same_ref, good[2]]
    replies = await subject.apply([insertion(request) for request in writes])
    for position in (0, 2, 4):
        reply_of(Inserted, replies[position])
    duplicate_of(replies[1], "id", to_uuid(old.id), old.id)
    duplicate_of(replies[3], "ref_id", "order-1", old.id)
    same(ids(await subject.everything()), ids([old, *good])[::-1], "the jobs stored")


async def a_later_message_of_a_group_sees_the_earlier_ones(subject: Subject) -> None:
    request = subject.request(details=Details(ref_id="order-1"))
    replies = await subject.apply([insertion(request), insertion(request)])
    reply_of(Inserted, replies[0])
    duplicate_of(replies[1], "id", to_uuid(request.id), request.id)


async def empty_groups_and_empty_inserts_do_nothing(subject: Subject) -> None:
    nothing: list[WriteReply] = []
    same(list(await subject.apply([])), nothing, "the replies to no writes")
    await subject.expect(Inserted, Insert([], []))
    same(await subject.everything(), [], "the jobs stored")
    same(list((await subject.storage.read(Get())).jobs), [], "what is found for no ids")


async def thousands_of_jobs_go_in_one_insert(subject: Subject) -> None:
    requests = [subject.request() for _ in range(2_000)]
    await subject.insert(*requests)
    found = await subject.storage.read(Get(ids(requests)))
    same(sorted(ids(found.jobs)), sorted(ids(requests)), "the jobs found by 2,000 ids")
    same(ids((await subject.claim()).jobs), ids(requests), "the jobs claimed, in order")


INSERTING_CHECKS = (
    a_job_is_kept_as_it_was_asked_for,
    a_job_may_begin_in_any_state,
    odd_texts_survive,
    sequences_rise_in_the_order_of_insertion,
    an_insert_stores_all_of_its_jobs_or_none,
    a_duplicate_ref_id_is_refused,
    duplicates_inside_one_insert_are_refused,
    a_duplicate_harms_its_own_message_only,
    a_later_message_of_a_group_sees_the_earlier_ones,
    empty_groups_and_empty_inserts_do_nothing,
    thousands_of_jobs_go_in_one_insert,
)
