"""What a claim says that is filled by a storage and by the jobs in memory beside it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.states import Ready
from trio_gusto.storage.beside import Beside, Transient
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Insert
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW, SECOND, ids

IN_MEMORY = Details(durable=False)
IN_MEMORY_ONLY = "in_memory_only"
"""The handler of the job in memory."""


async def both(durable: Sequence[Details | None]) -> tuple[Subject, list[JobRequest]]:
    """These jobs in the storage, and one in memory, which comes last."""
    storage = Beside(MemoryStorage(), Transient())
    await storage.attach("checker")
    subject = Subject(storage, "checker")
    requests = [
        attrs.evolve(subject.request(), details=details) for details in (*durable, IN_MEMORY)
    ]
    requests[-1] = attrs.evolve(requests[-1], name=IN_MEMORY_ONLY)
    for request in requests:
        await subject.tell(Insert([request], [Ready(NOW)]))
    return subject, requests


async def test_jobs_of_a_named_worker_are_told_to_be_in_a_lane() -> None:
    subject, requests = await both([Details(worker="smtp"), Details(worker="smtp")])
    reply = await subject.claim(depth=2)
    assert sorted(ids(reply.jobs)) == sorted(ids(requests))
    assert reply.in_lanes, "or the two of one worker would run side by side"


async def test_who_waits_for_a_token_is_told_of_also_where_there_was_a_second_look() -> None:
    limited = Details(rate_key="api", rate_limit=RateLimit(1, per=1))
    subject, requests = await both([limited, limited])
    reply = await subject.claim(limit=2, free=2, skip_names=[IN_MEMORY_ONLY])
    assert ids(reply.jobs) == [requests[0].id]
    assert (reply.more, reply.next_due) == (False, NOW + SECOND)


async def test_nothing_is_claimed_ahead_beside_what_takes_a_token() -> None:
    subject, requests = await both([Details(rate_key="api", rate_limit=RateLimit(9, per=1))])
    reply = await subject.claim(limit=4, free=1)
    assert ids(reply.jobs) == [requests[0].id]
