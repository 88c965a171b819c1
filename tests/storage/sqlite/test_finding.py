"""Searching for jobs where SQLite compares texts of JSON."""

from __future__ import annotations

from contextlib import closing

import pytest

from trio_gusto.model.job import Details
from trio_gusto.model.states import JobState
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.connection import MEMORY, Location, open_writer
from trio_gusto.storage.sqlite.finding import find_rows
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import ids


@pytest.mark.parametrize(
    "place",
    [
        {"street": "High Street", "number": 7},
        {"number": 7, "street": "High Street"},
    ],
    ids=["as it was given", "in another order"],
)
async def test_metadata_is_found_in_whatever_order_its_keys_are(place: dict[str, object]) -> None:
    storage = SqliteStorage(":memory:", inline=True)
    await storage.attach("node")
    subject = Subject(storage, "node")
    given = {"street": "High Street", "number": 7}
    wanted = await subject.enqueue(details=Details(metadata={"to": given, "by": "post"}))
    await subject.enqueue(details=Details(metadata={"to": {"number": 8}}))
    found = await storage.read(Find(9, metadata={"to": place}))
    assert ids(found.jobs) == [wanted.id]
    await storage.detach("node")


def test_who_wants_every_state_asks_as_simply_as_who_names_none() -> None:
    with closing(open_writer(Location(MEMORY, "FULL", 1.0), wait=1.0)) as connection:
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        for states in (frozenset[JobState](), frozenset(JobState)):
            assert find_rows(connection, Find(9, states=states), in_archive=False) == []
        assert asked == ["SELECT seq FROM job WHERE TRUE ORDER BY seq DESC LIMIT 9"] * 2
