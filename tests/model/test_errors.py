"""Errors say what happened, why not, and what to do instead; their fields are for programs."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.OptionsError("lease", 0, "use 1 s or more"), ["'lease'", "0", "use 1 s or more"]),
        (errors.UnknownHandler("f", ["b", "a"]), ["'f'", "@app.job", "a, b"]),
        (errors.UnknownHandler("f"), ["none"]),
        (errors.DuplicateHandler("f"), ["'f'", "name="]),
        (errors.DuplicateJob("ref_id", "order-1", ID), ["ref_id", "order-1", str(ID)]),
        (errors.UnknownJob(ID), [str(ID), "retention"]),
        (errors.BatchError.unknown(ID), [str(ID), "Options.retention"]),
        (errors.BatchError.exists(ID), [str(ID), "exists already"]),
        (errors.BatchError.finished(ID), [str(ID), "reopen=True"]),
        (errors.NotSupported("batches", "SupportsBatches"), ["batches", "SupportsBatches"]),
        (errors.NotSupported("retries", "X", "leave retry out"), ["retries", "leave retry out"]),
        (errors.NoCurrentJob(), ["inside a handler"]),
        (errors.AlreadyRunning(), ["second Gusto"]),
        (errors.IllegalTransition("ready", "Lost"), ["ready", "Lost", "A job's life"]),
        (errors.SchemaTooNew(9, 1), ["9", "1", "upgrade"]),
        (errors.JobFailed(ID, "bad", JobError("ValueError", "no")), ["bad", "ValueError: no"]),
        (errors.JobFailed(ID, "lost", None), ["lost"]),
        (errors.JobCancelled(ID, "not wanted"), ["cancelled", "not wanted"]),
        (errors.JobExpired(ID, "late"), ["expired", "late"]),
        (errors.JobSkipped(ID, "running"), ["skipped", "running"]),
        (errors.ResultError(ID, "a socket"), ["completed", "a socket"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_message_names_what_it_is_about(error: Exception, words: list[str]) -> None:
    for word in words:
        assert word in str(error)


def test_the_id_of_a_job_that_ended_badly_is_a_field() -> None:
    error = errors.JobCancelled(ID, "not wanted")
    assert (error.job_id, error.reason) == (ID, "not wanted")
