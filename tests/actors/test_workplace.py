"""What executors learn of handlers, arguments and results."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from tests.actors.doubles import NOW, stored
from tests.actors.test_roster import lease
from trio_gusto import Gusto, Job, JobState, Options, fixed
from trio_gusto.actors.workplace import Workplace
from trio_gusto.model.dependencies import Parent
from trio_gusto.model.failure import JobError
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import AttemptRecord
from trio_gusto.model.outcomes import AttemptOutcome, Succeeded
from trio_gusto.model.states import Completed, Failed


async def work(number: int) -> str:
    return f"done {number}"


def plain() -> None: ...


async def odd(number: NoSuchType) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def workplace(**options: Any) -> Workplace:
    app = Gusto(options=Options(**options))
    app.job(name="work")(work)
    app.job(name="plain", retry=fixed(7))(plain)
    app.job(name="odd")(odd)
    return app._workplace()


def test_handlers_are_known_by_their_stored_names() -> None:
    its = workplace()
    assert [its.knows(name) for name in ("work", "other")] == [True, False]
    station = its.station("work")
    assert station is not None
    assert (station.fn, station.is_plain) == (work, True)
    assert its.station("work") is station
    assert its.station("other") is None


def test_a_handler_that_runs_in_a_thread_is_not_entered_without_preparations() -> None:
    station = workplace().station("plain")
    assert station is not None
    assert not station.is_plain


def test_arguments_are_opened_the_quick_way() -> None:
    station = workplace().station("work")
    assert station is not None
    assert not isinstance(station.decode, partial)


def test_where_there_is_no_quick_way_arguments_are_opened_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow:
        def decoder(self, _handler: object) -> None:
            raise TypeError("broken annotations")

        def decode(self, handler: Any, stored: str) -> Any:
            return handler.fn, stored

    its = workplace()
    monkeypatch.setattr(its, "_calls", Slow())
    station = its.station("work")
    assert station is not None
    opened: object = station.decode("[[1], {}]")
    assert opened == (work, "[[1], {}]")


def test_arguments_of_broken_annotations_are_opened_when_a_job_comes() -> None:
    station = workplace().station("odd")
    assert station is not None
    with pytest.raises(Exception, match="NoSuchType"):
        station.decode("[[1], {}]")


def test_a_result_is_wrapped_up_or_told_why_it_cannot_be() -> None:
    its = workplace()
    station = its.station("work")
    assert station is not None
    assert its.success(station.handler, "done") == Succeeded('"done"')
    failed = its.success(station.handler, object())
    assert failed.result is None
    assert failed.result_error is not None
    assert failed.result_error.startswith(
        "UnstorableResult: $ cannot be stored: the object <object object"
    )


def test_services_callbacks_and_middleware_are_those_that_it_was_given() -> None:
    services: Any = SimpleNamespace(scope=lambda: "a scope")
    given: Any = SimpleNamespace(call_back=object(), around=object())
    app = Gusto()
    its = Workplace(
        *(app._registry, app._codec, app._calls, services, fixed(1)),
        *(given.call_back, given.around),
    )
    scope: object = its.scope()
    assert scope == "a scope"
    assert its.call_back is given.call_back
    assert its.around is given.around


def test_the_policy_of_a_handler_comes_before_that_of_the_app() -> None:
    default = fixed(3)
    its = workplace(default_retry=default)
    policies = [
        its.retry_of(station.handler) for station in map(its.station, ("work", "plain")) if station
    ]
    assert policies == [default, fixed(7)]


def test_a_parent_is_seen_with_its_result() -> None:
    job = stored(1, Completed(NOW, NOW, NOW, "node", '"done"'))
    parent = workplace().parent(job)
    expected = Parent(
        id=to_uuid(job.request.id), state=JobState.COMPLETED, result="done", error=None
    )
    assert parent == expected


def test_a_parent_that_has_failed_is_seen_with_its_error() -> None:
    error = JobError.of(ValueError("no"))
    last = AttemptRecord(1, 1, "node", NOW, NOW, NOW, AttemptOutcome.FAILED, error)
    parent = workplace().parent(stored(1, Failed(NOW, "all attempts failed"), history=(last,)))
    assert (parent.state, parent.result, parent.error) == (JobState.FAILED, None, error)


def test_a_claimed_job_is_seen_as_it_runs() -> None:
    claimed = lease(1, 5, token=9).claimed
    claimed.attempt, claimed.claimed_at = 2, NOW
    claimed.request.job_type = claimed.request.method_name = ""
    seen = workplace().view(claimed)
    assert isinstance(seen, Job)
    assert (seen.state, seen.attempt, seen.priority) == (JobState.PROCESSING, 2, 5)
    assert (seen.started_at, seen.method_name) == (to_datetime(NOW), "work")
