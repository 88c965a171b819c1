"""Who listens hears everything, and harms nobody."""

from __future__ import annotations

import logging

import pytest

from tests.actors.doubles import NOW, stored
from trio_gusto import JobEnqueued, JobState
from trio_gusto.actors.probe import BatchRecord, Probe, enqueued
from trio_gusto.model.facts import Fact
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.states import Scheduled

REQUEST = stored(1, Scheduled(NOW)).request


def test_of_a_new_job_is_told_which_it_is_and_whether_it_is_due() -> None:
    assert enqueued(REQUEST, Scheduled(NOW)) == JobEnqueued(
        at=to_datetime(REQUEST.created_at),
        job_id=to_uuid(REQUEST.id),
        name="work",
        queue="mail",
        state=JobState.SCHEDULED,
    )


def test_it_listens_as_long_as_anybody_does() -> None:
    probe, heard = Probe(), list[tuple[str, Fact]]()
    fact = enqueued(REQUEST, Scheduled(NOW))
    was_listening = [probe.listening]
    forgets = [
        probe.subscribe(lambda fact, name=name: heard.append((name, fact)))  # type: ignore[misc]
        for name in ("first", "second")
    ]
    for forget in forgets:
        was_listening.append(probe.listening)
        probe.announce(fact)
        forget()
    was_listening.append(probe.listening)
    assert was_listening == [False, True, True, False]
    assert heard == [("first", fact), ("second", fact), ("second", fact)]


def test_a_listener_that_fails_is_passed_over_and_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    probe, heard = Probe(), list[Fact]()

    def fail(_fact: Fact) -> None:
        raise ZeroDivisionError

    probe.subscribe(fail)
    probe.subscribe(heard.append)
    probe.announce(enqueued(REQUEST, Scheduled(NOW)))
    assert len(heard) == 1
    assert caplog.record_tuples == [
        ("trio_gusto", logging.ERROR, "a listener failed on JobEnqueued and was passed over")
    ]
    assert caplog.records[0].exc_info is not None


def test_the_end_of_a_batch_is_announced_by_one() -> None:
    batch = BatchRecord((REQUEST.id,))
    assert [batch.take_end() for _ in range(3)] == [True, False, False]
