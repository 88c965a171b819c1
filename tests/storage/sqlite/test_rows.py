"""What stands in the columns of a row, and what is read from them again."""

from __future__ import annotations

from typing import cast

import attrs
import pytest

from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Condition,
    Expired,
    Failed,
    Processing,
    Ready,
    Scheduled,
    Skipped,
    State,
    Waiting,
)
from trio_gusto.storage.sqlite.names import Names
from trio_gusto.storage.sqlite.rows import (
    EARLIEST,
    LATEST,
    MOST,
    attempt_of,
    id_of,
    is_instant,
    own_values,
    require_instants,
    state_of,
    state_values,
)
from trio_gusto.testing.storage_contract.subject import NOW

JOB = uuid7(NOW * 1000, 1)
NODE = 2


class Numbered:
    """Every name has the same number."""

    def node_number(self, node: str) -> int:
        assert node == "node"
        return NODE

    def handler_number(self, handler: tuple[str, ...]) -> int:
        return len(handler)


NAMES = cast(Names, Numbered())


@pytest.mark.parametrize(
    "state",
    [
        Waiting((JOB, JobId(bytes(16))), Condition.FAILURE),
        Scheduled(NOW),
        Ready(NOW),
        Processing("node", NOW, NOW + 1, "by hand"),
        AwaitingCallback(JOB, NOW + 1, NOW, "node", "7"),
        Completed(NOW + 2, NOW + 1, NOW, "node", "7", "too long"),
        Failed(NOW, "tired"),
        Cancelled(NOW, "by hand"),
        Skipped(NOW, "in the way"),
        Expired(NOW, "too late"),
    ],
    ids=lambda state: state.word.value,
)
def test_each_state_is_read_as_it_was_written(state: State) -> None:
    number, due, node, *rest = state_values(state, NOW, NAMES)
    assert due == NOW
    assert node in (None, NODE)
    assert state_of([number, due, None if node is None else "node", *rest]) == state


def test_a_waiting_job_of_which_nothing_was_written_waits_for_the_success_of_nobody() -> None:
    number = state_values(Waiting((), Condition.SUCCESS), NOW, NAMES)[0]
    assert state_of([number, NOW, *[None] * 7]) == Waiting((), Condition.SUCCESS)


@pytest.mark.parametrize(
    ("details", "lane_and_room"),
    [
        (None, (None, None)),
        (Details(ref_id="mine"), (None, None)),
        (Details(worker="press"), ("worker press", 1)),
        (Details(concurrency_key="tax", concurrency_limit=3), ("key tax", 3)),
    ],
)
def test_only_who_is_in_a_lane_has_room_in_it(
    details: Details | None, lane_and_room: tuple[str | None, int | None]
) -> None:
    request = attrs.evolve(JobRequest(JOB, "say_hello", "[[],{}]", NOW, 3), details=details)
    assert own_values(request, NAMES)[-2:] == lane_and_room


@pytest.mark.parametrize("place", [0, 1], ids=["token", "number"])
@pytest.mark.parametrize("value", [-1, MOST])
def test_a_token_and_a_number_of_an_attempt_count_something(place: int, value: int) -> None:
    row = [2, 1, "node", NOW, NOW, NOW + 1, "succeeded", None]
    assert attempt_of(row).token == 2
    row[place] = value
    with pytest.raises(ValueError, match=f"^{value} counts nothing$"):
        attempt_of(row)


@pytest.mark.parametrize(
    ("instant", "has_date"),
    [(EARLIEST - 1, False), (EARLIEST, True), (LATEST, True), (LATEST + 1, False)],
)
def test_instants_are_of_the_years_1_to_9999(instant: int, has_date: bool) -> None:
    assert is_instant(instant) is has_date
    if has_date:
        require_instants(NOW, instant)
    else:
        with pytest.raises(ValueError, match=f"^{instant} is no instant that has a date$"):
            require_instants(NOW, instant)


def test_an_id_has_16_bytes() -> None:
    assert id_of(JOB) == JOB
    for size in (0, 15, 17):
        with pytest.raises(ValueError, match=f"^an id has 16 bytes, not {size}$"):
            id_of(bytes(size))
