"""Whose a unique key is when several want it."""

from __future__ import annotations

import pytest

from tests.model.jobs import NOW, request
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.states import Failed, Ready, State
from trio_gusto.model.uniqueness import admission, keys_of

ENDED = Failed(NOW, "bad")


def keyed(number: int) -> JobRequest:
    return request(id=bytes([number]) * 16, details=Details(unique_key="k"))


def nobody(_key: str) -> None:
    return None


def test_what_has_ended_and_what_has_no_key_asks_for_none() -> None:
    jobs = [request(), keyed(1), request(details=Details()), keyed(2)]
    states: list[State] = [Ready(NOW), ENDED, Ready(NOW), Ready(NOW)]
    asked: list[str] = []

    def holder(key: str) -> None:
        asked.append(key)

    admission(jobs, states, holder)
    assert asked == ["k"]
    assert keys_of(jobs, states) == [(jobs[3].id, "k")]


def test_every_job_has_a_state() -> None:
    with pytest.raises(ValueError, match="shorter"):
        admission([keyed(1), keyed(2)], [Ready(NOW)], nobody)
    with pytest.raises(ValueError, match="shorter"):
        keys_of([keyed(1), keyed(2)], [Ready(NOW)])
