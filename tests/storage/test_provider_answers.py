"""What is logged of a provider's answers that are wrong, in full."""

from __future__ import annotations

import pytest

from tests.storage.own_providers import (
    AnsweringShelf,
    MyRecord,
    claim,
    claim_one,
    end,
    record,
    tracking_id,
)
from trio_gusto.provider import ProviderStorage

FIRST = str(tracking_id(1))
ALONE = f"record {FIRST} is left alone: "


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([record(1), record(1)], [f"{ALONE}get_batch returned it twice"]),
        (["nonsense"], ["record nonsense is left alone: it is no JobStorageRecord"]),
    ],
    ids=["twice", "nonsense"],
)
async def test_an_answer_that_is_wrong_is_logged(
    answer: list[object], said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    await claim(ProviderStorage(AnsweringShelf(*answer), MyRecord))
    assert caplog.messages == said


async def test_a_record_that_does_not_match_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    complete = record(1)
    complete.is_complete = True
    shelf = AnsweringShelf(complete)
    await claim(ProviderStorage(shelf, MyRecord))
    assert caplog.messages == [f"{ALONE}it does not satisfy {shelf.searches[0].match}"]


async def test_a_malformed_record_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    bad = record(1)
    bad.created_on = bad.created_on.replace(tzinfo=None)
    await claim(ProviderStorage(AnsweringShelf(bad), MyRecord))
    (said,) = caplog.messages
    assert said.startswith(f"{ALONE}it is malformed: ")
    assert said.removeprefix(f"{ALONE}it is malformed: ") != "None"


async def test_a_record_of_a_job_that_has_ended_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    shelf = AnsweringShelf(record(1))
    storage = ProviderStorage(shelf, MyRecord)
    await end(storage, await claim_one(storage))
    shelf.answer = [record(1)]
    await claim(storage)
    assert caplog.messages == [f"{ALONE}it was completed here already"]


async def test_of_many_records_beyond_the_limit_ten_are_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    surplus: list[object] = ["nonsense", *[record(number) for number in range(3, 14)]]
    storage = ProviderStorage(AnsweringShelf(record(1), record(2), *surplus), MyRecord)
    assert len((await claim(storage, limit=2)).jobs) == 2
    named = ["nonsense", *[str(tracking_id(number)) for number in range(3, 12)]]
    wanted = f"get_batch returned 14 records for a limit of 2; left alone: {', '.join(named)}"
    assert caplog.messages == [wanted]
