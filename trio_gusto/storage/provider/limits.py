"""What a provider cannot keep, because it needs more than records, and how that is said."""

from __future__ import annotations

from ...model.errors import NotSupported
from ...model.lanes import lane_of
from ...model.states import Ready, Scheduled, Waiting
from ...model.uniqueness import has_keys
from ..messages import Insert


def no_schedules() -> NotSupported:
    """What is answered to whoever wants schedules."""
    return NotSupported(
        "schedules",
        "SupportsSchedules",
        "give the app a SqliteStorage or a MemoryStorage, or enqueue the jobs from a timer of your own",
    )


def no_pauses() -> NotSupported:
    """What is answered to whoever wants to pause something."""
    return NotSupported(
        "pauses",
        "SupportsPauses",
        "give the app a SqliteStorage or a MemoryStorage, or let get_batch leave jobs out",
    )


def no_rates() -> NotSupported:
    """What is answered to whoever wants to limit a rate."""
    return NotSupported("rate limits", "", "leave them out, or use another storage for these jobs")


def refuse_what_needs_more(insert: Insert) -> None:
    """Let only jobs pass that a record says all about.

    Raises:
        NotSupported: one of them has a unique key, a callback, a rate limit or a lane, or waits for others.
    """
    if has_keys(insert.requests):
        raise NotSupported("unique keys", "", "use another storage for them")
    if any(request.details and request.details.callback for request in insert.requests):
        raise NotSupported("callbacks", "SupportsContinuations")
    if any(request.details and request.details.rate_limit for request in insert.requests):
        raise no_rates()
    if any(lane_of(request) is not None for request in insert.requests):
        raise NotSupported("named workers and concurrency keys", "SupportsWorkers")
    for state in insert.states:
        if isinstance(state, Waiting):
            raise NotSupported("continuations", "SupportsContinuations")
        if not isinstance(state, Scheduled | Ready):
            raise NotSupported(
                f"jobs that begin as {state.word}", "", "use another storage for them"
            )
