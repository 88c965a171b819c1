"""The smallest and the largest value of every field that a storage is given to keep, in one table.

Numbers, instants and durations have the ranges that the public API lets through. A text has none that a
storage may count on: names are told longer than the API takes, and other texts beyond 64 KiB, for how
long they may be is said by options, and not by storages.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from ....model.batch import BatchRequest
from ....model.failure import JobError
from ....model.instants import to_instant
from ....model.job import AttemptRecord, Details, JobRequest, Progress
from ....model.joblog import LogLine
from ....model.outcomes import AttemptOutcome
from ....model.pauses import StoredPause
from ....model.rates import MOST_STARTS, RateLimit
from ....model.schedule import Coalesce, Overlap, ScheduleRequest, StoredSchedule
from ....model.schedule_options import MOST_CATCHUP
from ....model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Condition,
    Expired,
    Failed,
    Ready,
    Scheduled,
    Skipped,
    Waiting,
)
from ....model.triggers import LAST_INSTANT, SHORTEST, cron, every
from ....model.uniqueness import OnConflict
from ....storage.report_messages import Saying

Kind = TypeVar("Kind")


def text(length: int) -> str:
    """A text of so many characters, in which each has one to four bytes."""
    sample = '北京 👩🏽‍🚀 Zoë «مرحبا» it\'s "e\u0301" \\ %s\n'
    return (sample * (length // len(sample) + 1))[:length]


HUNDRED_YEARS = 100 * 366 * 86_400 * 1_000_000

NAME = ("a", text(1_000))
EMPTY_NAME = ("", NAME[1])
TEXT = ("", text(40_000))
INSTANT = (to_instant(datetime.min.replace(tzinfo=UTC)), LAST_INSTANT)
DURATION = (SHORTEST, HUNDRED_YEARS)
COUNT = (1, 1_000_000)
SAID = (0, 2**31)


def nested(value: Any, depth: int) -> Any:
    """A value in so many lists, one inside the other."""
    return [nested(value, depth - 1)] if depth else value


NUMBERS = [2**63 - 1, -(2**63), 1.7976931348623157e308, 5e-324, 0.1 + 0.2, True, None]
JSON: tuple[Any, Any] = ({}, {"": "", "nested": nested(NUMBERS, 29), NAME[1]: NAME[1]})

ENDED = {"ended_at": INSTANT, "reason": TEXT}
STARTED = {"started_at": INSTANT, "claimed_at": INSTANT, "node": NAME, "result": TEXT}
ERROR = JobError(NAME[1], TEXT[1], TEXT[1], (JobError("a", ""), JobError(NAME[1], TEXT[1])))

LIMITS: Mapping[type, Mapping[str, tuple[Any, Any]]] = {
    JobRequest: {
        "name": NAME,
        "args": TEXT,
        "created_at": INSTANT,
        "max_attempts": COUNT,
        "timeout": DURATION,
        "execute_after": INSTANT,
        "expire_on": INSTANT,
        "queue": NAME,
        "priority": (-(2**31), 2**31 - 1),
        "tenant": EMPTY_NAME,
        "job_type": EMPTY_NAME,
        "method_name": EMPTY_NAME,
    },
    Details: {
        "ref_id": NAME,
        "tags": ((), (NAME[1], *map(str, range(99)))),
        "created_by": NAME,
        "user_id": NAME,
        "metadata": ({}, JSON[1] | {"long": TEXT[1]}),
        "retry": JSON,
        "carrier": ({}, {"": "", NAME[1]: NAME[1]}),
        "schedule_name": NAME,
        "fire_time": INSTANT,
        "unique_key": NAME,
        "on_conflict": (OnConflict.RAISE.value, OnConflict.REPLACE.value),
        "worker": NAME,
        "context": JSON,
        "callback": NAME,
        "concurrency_key": NAME,
        "concurrency_limit": COUNT,
        "rate_key": NAME,
        "rate_limit": (
            RateLimit(1, timedelta(microseconds=1)),
            RateLimit(MOST_STARTS, timedelta(days=36_600), MOST_STARTS - 1),
        ),
    },
    BatchRequest: {
        "created_at": INSTANT,
        "tenant": EMPTY_NAME,
        "tags": ((), (*"ab", NAME[1])),
    },
    Waiting: {"condition": (Condition.SUCCESS, Condition.FINISH)},
    AwaitingCallback: STARTED,
    Scheduled: {"due": INSTANT},
    Ready: {"due": INSTANT},
    Completed: {"ended_at": INSTANT, **STARTED, "result_error": TEXT},
    Failed: ENDED,
    Cancelled: ENDED,
    Skipped: ENDED,
    Expired: ENDED,
    AttemptRecord: {
        "number": COUNT,
        "node": NAME,
        "claimed_at": INSTANT,
        "started_at": INSTANT,
        "ended_at": INSTANT,
        "outcome": (AttemptOutcome.FAILED, AttemptOutcome.LOST),
        "error": (JobError("a", ""), ERROR),
    },
    Progress: {"percent": (1e-300, 99.999_999_999_999), "message": TEXT},
    LogLine: {"at": INSTANT, "level": NAME, "message": TEXT},
    Saying: {
        "progress": (None, Progress(100 / 3, TEXT[1])),
        "lines": ((), (LogLine(INSTANT[0], "a", ""), LogLine(INSTANT[1], NAME[1], TEXT[1]))),
        "dropped": SAID,
        "told": SAID,
        "dossier": TEXT,
    },
    ScheduleRequest: {
        "name": NAME,
        "trigger": (every(timedelta(milliseconds=1)), cron("59 23 31 12 *")),
        "timezone": ("UTC", "America/Argentina/ComodRivadavia"),
        "overlap": (Overlap.SKIP, Overlap.CANCEL_OTHER),
        "coalesce": (Coalesce.LATEST, Coalesce.ALL),
        "misfire_grace_time": (1, HUNDRED_YEARS),
        "max_catchup": (1, MOST_CATCHUP),
        "jitter": (0, HUNDRED_YEARS),
        "start": INSTANT,
        "end": INSTANT,
    },
    StoredSchedule: {
        "anchor": INSTANT,
        "since": INSTANT,
        "next_at": INSTANT,
        "last_at": INSTANT,
        "paused": (False, True),
        "version": (0, LAST_INSTANT),
    },
    StoredPause: {"queue": NAME, "tenant": EMPTY_NAME, "reason": TEXT, "since": INSTANT},
}
"""By class and field; a test asks that none is missing."""

GIVEN: frozenset[str] = frozenset(
    ("id", "job_id", "last_job_id", "parents", "batch", "callback", "token", "number")
) | {"details", "template", "request"}
"""Fields that are given by whoever asks for the others: what tells one thing from another has to fit what
there is, and what is made of fields of its own is made by itself."""


def limits(kind: type[Kind], **given: Any) -> tuple[Kind, Kind]:
    """The smallest and the largest of this kind, with what is ``given`` alike in both."""
    least, most = (
        kind(**{name: pair[end] for name, pair in LIMITS[kind].items()} | given) for end in (0, 1)
    )
    return least, most
