"""Jobs as the examples of this folder need them."""

from __future__ import annotations

from typing import Any

from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import ClaimedJob, JobRequest, StoredJob
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Expired,
    Failed,
    Processing,
    Ready,
    Scheduled,
    Skipped,
    State,
    Waiting,
)

NOW = 1_700_000_000_000_000
SECOND = 1_000_000

CALLBACK = uuid7(NOW * 1000, 2)

EVERY_STATE: tuple[State, ...] = (
    Waiting(),
    AwaitingCallback(CALLBACK, NOW, NOW, "node-0", "1"),
    Scheduled(NOW + SECOND),
    Ready(NOW),
    Processing("node-0", NOW, NOW + 60 * SECOND),
    Completed(NOW, NOW, NOW, "node-0"),
    Failed(NOW, "all attempts failed"),
    Cancelled(NOW, "not wanted"),
    Skipped(NOW, "the one before still runs"),
    Expired(NOW, "not started in time"),
)


def request(**changes: Any) -> JobRequest:
    defaults: dict[str, Any] = {
        "id": uuid7(NOW * 1000, 1),
        "name": "say_hello",
        "args": "[[],{}]",
        "created_at": NOW,
        "max_attempts": 3,
    }
    return JobRequest(**(defaults | changes))


def stored(state: State, *, attempt: int = 0, version: int = 0, **changes: Any) -> StoredJob:
    return StoredJob(request(**changes), 1, state, attempt, version)


def claimed(*, attempt: int = 1, due: int = NOW, **changes: Any) -> ClaimedJob:
    return ClaimedJob(request(**changes), attempt, 7, due, "node-0", NOW)
