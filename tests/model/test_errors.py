"""Errors say what happened, why not, and what to do instead; their fields are for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import pytest

from trio_gusto.model import errors
from trio_gusto.model.failure import JobError

ID = UUID(int=7)


def every_error() -> list[type[Exception]]:
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    ]


def test_every_error_has_one_root() -> None:
    assert all(issubclass(kind, errors.GustoError) for kind in every_error())


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.ArgumentError, ValueError),
        (errors.OptionsError, ValueError),
        (errors.ScheduleError, ValueError),
        (errors.UnknownHandler, LookupError),
        (errors.UnknownJob, LookupError),
        (errors.NoCurrentJob, RuntimeError),
        (errors.AlreadyRunning, RuntimeError),
        (errors.BackendError, RuntimeError),
    ],
)
def test_an_error_is_also_the_builtin_one_that_people_expect(
    kind: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(kind, builtin)


MESSAGES: Sequence[tuple[Callable[[], Exception], str]] = [
    (lambda: errors.ArgumentError("it does not fit"), "it does not fit"),
    (
        lambda: errors.OptionsError("lease", 0, "use 1 s or more"),
        "the option 'lease' cannot be 0; use 1 s or more",
    ),
    (
        lambda: errors.ScheduleError("it is empty", "write five fields", field="name"),
        "this name cannot be used for a schedule: it is empty; write five fields",
    ),
    (
        lambda: errors.ScheduleError(
            "it is 60", "use 0 to 59", field="minute", expression="60 * * * *", position=0
        ),
        "the cron expression '60 * * * *' cannot be followed from character 1 "
        "(minute): it is 60; use 0 to 59",
    ),
    (
        lambda: errors.ScheduleError(
            "it has no end", "give five fields", field="fields", expression="* *"
        ),
        "the cron expression '* *' cannot be followed: it has no end; give five fields",
    ),
    (
        lambda: errors.UnknownHandler("f", ["b", "a"]),
        "no handler is registered as 'f', so no worker could run it; decorate the "
        "function with @app.job (registered: a, b)",
    ),
    (
        lambda: errors.UnknownHandler("f"),
        "no handler is registered as 'f', so no worker could run it; decorate the "
        "function with @app.job (registered: none)",
    ),
    (
        lambda: errors.DuplicateHandler("f"),
        "a handler named 'f' is registered already, and a stored job could not tell "
        "the two apart; give one of them another name with @app.job(name=...)",
    ),
    (
        lambda: errors.DuplicateJob("ref_id", "order-1", ID),
        "a job with the ref_id 'order-1' exists already "
        "(00000000-0000-0000-0000-000000000007), and nothing was stored; look at that "
        "job with queue.get(existing_id), or use another key",
    ),
    (
        lambda: errors.DuplicateJob("unique_key", "order-1", ID),
        "the live job 00000000-0000-0000-0000-000000000007 has the unique_key "
        "'order-1', and nothing was stored; wait for its end, or say "
        'on_conflict="return_existing" or, for a job that has not begun, '
        'on_conflict="replace"',
    ),
    (
        lambda: errors.UnknownJob(ID),
        "no job has the id 00000000-0000-0000-0000-000000000007; it never existed, or "
        "retention removed it (see Options.retention)",
    ),
    (
        lambda: errors.UnknownSchedule("nightly"),
        "no schedule has the name 'nightly'; it was never registered, or it was "
        "removed, so register it with queue.schedule(...), or see queue.schedules() "
        "for those there are",
    ),
    (
        lambda: errors.BatchError.unknown(ID),
        "no batch has the id 00000000-0000-0000-0000-000000000007, so nothing can be "
        "appended to it; it never existed, or retention removed it with its jobs (see "
        "Options.retention)",
    ),
    (
        lambda: errors.BatchError.exists(ID),
        "a batch with the id 00000000-0000-0000-0000-000000000007 exists already, and "
        "nothing was stored; append to that one, or make another",
    ),
    (
        lambda: errors.BatchError.finished(ID),
        "batch 00000000-0000-0000-0000-000000000007 is finished, and who waited for "
        "that was told; nothing was stored; make another batch, or open this one again "
        "with append_to(batch_id, reopen=True)",
    ),
    (
        lambda: errors.BatchError.incomplete(ID),
        "an enqueue_many of batch 00000000-0000-0000-0000-000000000007 did not come to "
        "its end, so jobs are missing, and nothing was stored; let what it raised "
        "leave the block, and begin again with a new one",
    ),
    (
        lambda: errors.BatchError.unstaged(ID, 5, 3),
        "of the 5 jobs that were put by for batch 00000000-0000-0000-0000-000000000007 "
        "the storage has 3, so nothing was stored; a sweep removes what gets no more "
        "jobs for a day, or whose node is gone; begin again with a new block, and pour "
        "the jobs in without such a pause",
    ),
    (
        lambda: errors.BatchError.closed(ID),
        "batch 00000000-0000-0000-0000-000000000007 takes jobs only inside its block, "
        "since the end of the block stores them; use `async with "
        "queue.append_to(batch_id)` for more",
    ),
    (
        lambda: errors.NotSupported("batches", "SupportsBatches"),
        "this storage does not support batches; implement SupportsBatches in its "
        "provider, or use another storage",
    ),
    (
        lambda: errors.NotSupported("retries", "SupportsRetries", "leave retry out"),
        "this storage does not support retries; leave retry out",
    ),
    (
        errors.NoCurrentJob,
        "current_job() was called where no job runs; call it inside a handler, in the "
        "handler's own task or one started by it",
    ),
    (
        errors.AlreadyRunning,
        "this app is running already, and its actors would meet themselves; leave the "
        "first block, or make a second Gusto object on the same storage",
    ),
    (
        lambda: errors.IllegalTransition("ready", "Lost"),
        "a job that is ready cannot take Lost; the table of allowed transitions is in "
        "the documentation under 'A job's life'",
    ),
    (
        lambda: errors.UnreadableRecord("job", "17", "no JSON"),
        "the record of job 17 cannot be read (no JSON), so nothing can be said of it; `trio-gusto audit` "
        "tells more, and a backup may have it as it was",
    ),
    (
        lambda: errors.SchemaTooNew(9, 1),
        "the storage has schema version 9, and this version of trio-gusto knows 1 at "
        "most; it could damage what it does not know, so upgrade trio-gusto",
    ),
    (
        lambda: errors.JobFailed(ID, "all attempts failed", JobError("ValueError", "no")),
        "job 00000000-0000-0000-0000-000000000007 failed (all attempts failed): ValueError: no",
    ),
    (
        lambda: errors.JobFailed(ID, "lost in its last attempt", None),
        "job 00000000-0000-0000-0000-000000000007 failed (lost in its last attempt)",
    ),
    (
        lambda: errors.JobCancelled(ID, "not wanted"),
        "job 00000000-0000-0000-0000-000000000007 was cancelled: not wanted",
    ),
    (
        lambda: errors.JobExpired(ID, "not started in time"),
        "job 00000000-0000-0000-0000-000000000007 expired: not started in time",
    ),
    (
        lambda: errors.JobSkipped(ID, "the one before still runs"),
        "job 00000000-0000-0000-0000-000000000007 was skipped: the one before still runs",
    ),
    (
        lambda: errors.ResultError(ID, "it is too large"),
        "job 00000000-0000-0000-0000-000000000007 completed, but its result could not "
        "be stored: it is too large",
    ),
]


@pytest.mark.parametrize(("make", "message"), MESSAGES)
def test_a_message_says_what_happened_why_not_and_what_to_do(
    make: Callable[[], Exception], message: str
) -> None:
    assert str(make()) == message


FIELDS: Sequence[tuple[Callable[[], Exception], dict[str, object]]] = [
    (lambda: errors.ArgumentError("no"), {"handler": "", "path": ""}),
    (lambda: errors.ArgumentError("no", handler="f", path="$.a"), {"handler": "f", "path": "$.a"}),
    (
        lambda: errors.OptionsError("lease", 0, "1 s"),
        {"key": "lease", "value": 0, "allowed": "1 s"},
    ),
    (
        lambda: errors.ScheduleError(
            "it is 60", "use less", field="minute", expression="60", position=0
        ),
        {"reason": "it is 60", "field": "minute", "expression": "60", "position": 0},
    ),
    (
        lambda: errors.ScheduleError("it is empty", "name it"),
        {"reason": "it is empty", "field": "", "expression": None, "position": None},
    ),
    (lambda: errors.UnknownHandler("f", ["b", "a"]), {"name": "f", "known": ("a", "b")}),
    (lambda: errors.DuplicateHandler("f"), {"name": "f"}),
    (
        lambda: errors.DuplicateJob("ref_id", "order-1", ID),
        {"key": "ref_id", "value": "order-1", "existing_id": ID},
    ),
    (lambda: errors.UnknownJob(ID), {"job_id": ID}),
    (lambda: errors.UnknownSchedule("nightly"), {"name": "nightly"}),
    (lambda: errors.BatchError.unknown(ID), {"batch_id": ID}),
    (lambda: errors.BatchError.exists(ID), {"batch_id": ID}),
    (lambda: errors.BatchError.finished(ID), {"batch_id": ID}),
    (lambda: errors.BatchError.incomplete(ID), {"batch_id": ID}),
    (lambda: errors.BatchError.unstaged(ID, 5, 3), {"batch_id": ID}),
    (lambda: errors.BatchError.closed(ID), {"batch_id": ID}),
    (lambda: errors.NotSupported("batches", "B"), {"what": "batches", "protocol": "B"}),
    (lambda: errors.IllegalTransition("ready", "Lost"), {"state": "ready", "happening": "Lost"}),
    (lambda: errors.SchemaTooNew(9, 1), {"found": 9, "supported": 1}),
    (
        lambda: errors.UnreadableRecord("job", "17", "no JSON"),
        {"kind": "job", "key": "17", "fault": "no JSON"},
    ),
    (
        lambda: errors.JobFailed(ID, "bad", JobError("ValueError", "no")),
        {"job_id": ID, "reason": "bad", "error": JobError("ValueError", "no")},
    ),
    (lambda: errors.JobCancelled(ID, "not wanted"), {"job_id": ID, "reason": "not wanted"}),
    (lambda: errors.JobExpired(ID, "late"), {"job_id": ID, "reason": "late"}),
    (lambda: errors.JobSkipped(ID, "running"), {"job_id": ID, "reason": "running"}),
    (lambda: errors.ResultError(ID, "a socket"), {"job_id": ID, "reason": "a socket"}),
]


@pytest.mark.parametrize(("make", "fields"), FIELDS)
def test_a_program_reads_it_from_fields(
    make: Callable[[], Exception], fields: dict[str, object]
) -> None:
    error = make()
    assert {name: getattr(error, name) for name in fields} == fields
