"""How far a batch is, as users look at it."""

from __future__ import annotations

import pytest

from trio_gusto.model.batch import BatchRequest, BatchStatus, StoredBatch, status_of
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.states import JobState

ID = JobId(bytes(range(16)))


def status(**counts: int) -> BatchStatus:
    by_state = {JobState(word): count for word, count in counts.items()}
    return status_of(StoredBatch(BatchRequest(ID, 0, "acme", ("a", "b")), 1, by_state))


def test_a_batch_is_told_with_its_jobs_by_state() -> None:
    assert status(ready=1, waiting=2, completed=3, failed=4) == BatchStatus(
        id=to_uuid(ID),
        tenant="acme",
        tags=frozenset({"a", "b"}),
        total=10,
        scheduled=0,
        ready=1,
        waiting=2,
        processing=0,
        completed=3,
        failed=4,
        cancelled=0,
        skipped=0,
        expired=0,
        is_finished=False,
    )


@pytest.mark.parametrize("state", list(JobState))
def test_a_batch_is_finished_when_all_its_jobs_have_ended(state: JobState) -> None:
    assert status(**{state.value: 1}).is_finished is state.is_ended
    assert status(**{state.value: 1, "failed": 1}).is_finished is state.is_ended
    assert status().is_finished
