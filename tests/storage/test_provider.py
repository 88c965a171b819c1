"""Storing in, and claiming from, a user's own provider."""

from __future__ import annotations

import logging

import attrs
import pytest

from tests.storage.own_providers import (
    SECOND,
    START,
    AnsweringShelf,
    CopyingShelf,
    FaultyShelf,
    FullShelf,
    MyRecord,
    Shelf,
    claim,
    claim_one,
    end,
    insert,
    job_id,
    record,
    request,
    tracking_id,
)
from trio_gusto.model.errors import DuplicateJob, NotSupported, StorageError
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import Details
from trio_gusto.model.lifecycle import admit
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Insert, Inserted
from trio_gusto.storage.provider.record import UNLIMITED_ATTEMPTS


def numbers(reply: ClaimReply) -> list[str]:
    return [job.request.args for job in reply.jobs]


# --- storing --------------------------------------------------------------------------------------


async def test_a_stored_job_is_a_record_of_the_users_class() -> None:
    shelf = Shelf()
    wanted = request(execute_after=START + SECOND, expire_on=START + 9 * SECOND, tenant="acme")
    assert await insert(ProviderStorage(shelf, MyRecord), wanted) == Inserted()
    assert shelf.records[tracking_id(1)] == MyRecord(
        tracking_id=tracking_id(1),
        created_on=to_datetime(START),
        execute_after=to_datetime(START + SECOND),
        expire_on=to_datetime(START + 9 * SECOND),
        is_complete=False,
        job_type="shop.mail",
        method_name="send",
        arguments_json="[1]",
        tenant="acme",
    )


async def test_an_error_of_the_provider_reaches_the_caller_and_nobody_else() -> None:
    shelf = FaultyShelf(store_job=1)
    storage = ProviderStorage(shelf, MyRecord)
    first, second = [Insert([wanted], [admit(wanted)]) for wanted in (request(1), request(2))]
    refused, stored = await storage.apply([first, second])
    assert isinstance(refused, StorageError)
    assert isinstance(refused.__cause__, ConnectionError)
    assert str(tracking_id(1)) in str(refused)
    assert stored == Inserted()
    assert list(shelf.records) == [tracking_id(2)]


async def test_an_id_or_ref_id_known_here_is_refused() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request(1, details=Details(ref_id="order-7")))
    again = await insert(storage, request(1))
    other = await insert(storage, request(2, details=Details(ref_id="order-7")))
    assert isinstance(again, DuplicateJob)
    assert isinstance(other, DuplicateJob)
    assert (other.key, other.existing_id) == ("ref_id", tracking_id(1))


async def test_several_jobs_at_once_need_a_provider_that_stores_them_at_once() -> None:
    shelf = Shelf()
    refusal = await insert(ProviderStorage(shelf, MyRecord), request(1), request(2))
    assert isinstance(refusal, NotSupported)
    assert refusal.protocol == "SupportsStoreMany"
    assert not shelf.records
    full = FullShelf()
    assert await insert(ProviderStorage(full, MyRecord), request(1), request(2)) == Inserted()
    assert len(full.records) == 2


async def test_attempts_of_a_stored_job_have_no_end_here() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request())
    (job,) = (await storage.read(Get([job_id(1)]))).jobs
    assert job.request.max_attempts == UNLIMITED_ATTEMPTS


async def test_what_fill_gives_is_stored() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord, fill=lambda asked: {"tenant": asked.name})
    await insert(storage, request())
    assert shelf.records[tracking_id(1)].tenant == "shop.mail.send"


@pytest.mark.parametrize("count", [1, 3])
async def test_jobs_and_states_that_do_not_go_together_are_a_mistake(count: int) -> None:
    wanted = [request(1), request(2)]
    with pytest.raises(ValueError, match="zip"):
        await ProviderStorage(FullShelf(), MyRecord).apply(
            [Insert(wanted, [admit(wanted[0])] * count)]
        )


# --- claiming -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Shelf, CopyingShelf])
async def test_what_is_due_is_claimed_with_what_was_asked_for(kind: type[Shelf]) -> None:
    storage = ProviderStorage(kind(), MyRecord)
    await insert(storage, request(tenant="acme", timeout=30 * SECOND))
    claimed = await claim_one(storage)
    assert (claimed.request.id, claimed.request.name) == (job_id(1), "shop.mail.send")
    assert (claimed.request.args, claimed.request.tenant) == ("[1]", "acme")
    assert claimed.request.timeout == 30 * SECOND
    assert (claimed.attempt, claimed.due) == (1, START)


async def test_records_stored_by_another_process_are_claimed() -> None:
    shelf = Shelf()
    shelf.records[tracking_id(1)] = attrs.evolve(record(), tenant="acme")
    claimed = await claim_one(ProviderStorage(shelf, MyRecord))
    assert (claimed.request.name, claimed.request.tenant) == ("shop.mail.send", "acme")
    assert (claimed.request.created_at, claimed.request.details) == (START, None)


async def test_nothing_is_claimed_early_or_late() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request(execute_after=START + SECOND, expire_on=START + 3 * SECOND))
    early = await claim(storage, at=START + SECOND - 1)
    assert not early.jobs
    assert early.next_due == START + SECOND
    assert not (await claim(storage, at=START + 3 * SECOND)).jobs
    assert len((await claim(storage, at=START + SECOND)).jobs) == 1


@pytest.mark.parametrize("kind", [Shelf, CopyingShelf])
async def test_a_job_in_flight_that_comes_again_is_left_alone_in_silence(
    kind: type[Shelf], caplog: pytest.LogCaptureFixture
) -> None:
    storage = ProviderStorage(kind(), MyRecord)
    await insert(storage, request())
    await claim_one(storage)
    assert not (await claim(storage)).jobs
    assert not caplog.records


async def test_jobs_in_flight_do_not_starve_those_behind_them() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    for number in (1, 2, 3):
        await insert(storage, request(number))
    assert numbers(await claim(storage, limit=2)) == ["[1]", "[2]"]
    assert numbers(await claim(storage, limit=1)) == ["[3]"]


async def test_only_an_empty_answer_says_that_there_is_no_more() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request())
    assert (await claim(storage, limit=5)).more
    empty = await claim(storage, limit=5)
    assert (empty.more, empty.next_due) == (False, None)


async def test_queues_are_part_of_the_match() -> None:
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request())
    assert not (await claim(storage, queues=[("mail", 1)])).jobs
    assert "queue in ('mail',)" in str(shelf.searches[-1].match)
    assert len((await claim(storage, queues=[("mail", 1), ("default", 1)])).jobs) == 1


async def test_a_job_without_a_handler_here_is_left_to_other_processes() -> None:
    shelf = FullShelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request(1))
    await insert(storage, request(2, name="shop.mail.print"))
    reply = await claim(storage, skip_names=["shop.mail.send"])
    assert numbers(reply) == ["[2]"]
    assert tracking_id(1) not in shelf.leased


async def test_a_job_without_a_handler_here_is_left_alone_for_half_a_minute() -> None:
    storage = ProviderStorage(Shelf(), MyRecord)
    await insert(storage, request())
    reply = await claim(storage, skip_names=["shop.mail.send"])
    assert (list(reply.jobs), reply.next_due) == ([], START + 30 * SECOND)
    assert not (await claim(storage, at=START + 30 * SECOND - 1)).jobs
    assert len((await claim(storage, at=START + 30 * SECOND)).jobs) == 1


async def test_a_claim_of_nothing_says_that_there_may_be_more_and_asks_nobody() -> None:
    """There was room when it was told, and none when it went."""
    shelf = Shelf()
    storage = ProviderStorage(shelf, MyRecord)
    await insert(storage, request(1))
    reply = await claim(storage, limit=0)
    assert (list(reply.jobs), reply.more, reply.next_due) == ([], True, START)
    assert shelf.searches == []
    assert numbers(await claim(storage)) == ["[1]"]


# --- answers that are wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        ({"is_complete": True}, "does not satisfy"),
        ({"execute_after": to_datetime(START + 1)}, "does not satisfy"),
        ({"expire_on": to_datetime(START)}, "does not satisfy"),
        ({"execute_after": to_datetime(START).replace(tzinfo=None)}, "malformed"),
        ({"tracking_id": None}, "malformed"),
    ],
)
async def test_a_record_that_may_not_be_started_is_skipped_with_a_warning(
    spoiled: dict[str, object], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = record(1)
    for field, value in spoiled.items():
        setattr(bad, field, value)
    storage = ProviderStorage(AnsweringShelf(bad, record(2)), MyRecord)
    assert numbers(await claim(storage)) == ["[2]"]
    (warning,) = caplog.records
    assert (warning.levelno, warning.name) == (logging.WARNING, "trio_gusto.storage.provider")
    assert str(bad.tracking_id) in warning.getMessage()
    assert why in warning.getMessage()


async def test_duplicates_are_skipped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    storage = ProviderStorage(AnsweringShelf(record(1), record(1), record(2)), MyRecord)
    assert numbers(await claim(storage)) == ["[1]", "[2]"]
    assert "twice" in caplog.text
    assert str(tracking_id(1)) in caplog.text


async def test_records_beyond_the_limit_are_skipped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = ProviderStorage(AnsweringShelf(record(1), record(2), record(3)), MyRecord)
    assert numbers(await claim(storage, limit=2)) == ["[1]", "[2]"]
    assert "3 records for a limit of 2" in caplog.text
    assert str(tracking_id(3)) in caplog.text


async def test_no_more_is_taken_than_there_is_room_for() -> None:
    """More is asked for, since what runs may be returned first."""
    shelf = AnsweringShelf(record(1))
    storage = ProviderStorage(shelf, MyRecord)
    assert numbers(await claim(storage, limit=1)) == ["[1]"]
    shelf.answer = [record(2), record(3)]
    assert numbers(await claim(storage, limit=1)) == ["[2]"]


async def test_something_else_than_records_is_skipped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = ProviderStorage(AnsweringShelf(None, record(1)), MyRecord)
    assert numbers(await claim(storage)) == ["[1]"]
    assert "no JobStorageRecord" in caplog.text


async def test_a_job_that_ended_here_does_not_come_back(caplog: pytest.LogCaptureFixture) -> None:
    shelf = AnsweringShelf(record(1))
    storage = ProviderStorage(shelf, MyRecord)
    await end(storage, await claim_one(storage))
    shelf.answer = [record(1)]  # as from a replica that lags behind
    assert not (await claim(storage)).jobs
    assert "completed here already" in caplog.text


async def test_get_batch_that_fails_refuses_the_claim_and_works_the_next_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = ProviderStorage(FaultyShelf(get_batch=1), MyRecord)
    wanted = request()
    stored, refused = await storage.apply(
        [Insert([wanted], [admit(wanted)]), ClaimDue("node", START, START, 1, 1)]
    )
    assert stored == Inserted()
    assert isinstance(refused, StorageError)
    assert "get_batch failed" in caplog.text
    assert len((await claim(storage)).jobs) == 1
