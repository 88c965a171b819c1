"""Why a job is where it is: an example for each reason, and the law that nothing is left unexplained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.jobs import CALLBACK, EVERY_STATE, NOW, SECOND, stored
from trio_gusto.model import explaining
from trio_gusto.model.explaining import RULES, Rule, explain
from trio_gusto.model.explanation import Explanation, Reason, Surroundings, WorkersHere
from trio_gusto.model.failure import JobError
from trio_gusto.model.ids import to_uuid, uuid7
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import AttemptRecord, Details, StoredJob
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.pauses import StoredPause
from trio_gusto.model.rates import RateLimit, of_key, of_queue
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Condition,
    Expired,
    Failed,
    JobState,
    Processing,
    Ready,
    Scheduled,
    Skipped,
    Waiting,
)

PARENTS = tuple(uuid7(NOW * 1000, number) for number in range(3))
ABLE = WorkersHere(knows_handler=True, serves_queue=True, free=1, concurrency=4)
ERROR = JobError("OSError", "the disk is full", "", ())


def after(outcome: AttemptOutcome, state: Scheduled | Failed, attempt: int = 1) -> StoredJob:
    """A job whose first attempt is over."""
    error = ERROR if outcome is AttemptOutcome.FAILED else None
    record = AttemptRecord(1, 1, "node-0", NOW, NOW, NOW, outcome, error)
    return attrs.evolve(stored(state, attempt=attempt), history=(record,))


def now(**changes: Any) -> Surroundings:
    return attrs.evolve(Surroundings(now=NOW), **changes)


LEASE = NOW + 60 * SECOND
OF_SCHEDULE = Details(schedule_name="nightly", fire_time=NOW)

EXAMPLES: Sequence[tuple[Reason, StoredJob, Surroundings, str]] = [
    (
        Reason.WAITING_FOR_PARENTS,
        stored(Waiting(PARENTS)),
        now(live=PARENTS[:1]),
        "It waits for its parents to complete; of 3, 1 has not ended.",
    ),
    (
        Reason.WAITING_FOR_PARENTS,
        stored(Waiting(PARENTS, Condition.FAILURE)),
        now(live=PARENTS[:2]),
        "It waits for its parents to end, and one of them otherwise than completed; "
        "of 3, 2 have not ended.",
    ),
    (
        Reason.WAITING_FOR_RELEASE,
        stored(Waiting(PARENTS)),
        now(),
        "All that it waited for has ended, so it is about to be released or cancelled.",
    ),
    (
        Reason.WAITING_FOR_CALLBACK,
        stored(AwaitingCallback(CALLBACK, NOW, NOW, "node-0")),
        now(),
        "Its handler has returned; it waits for its callback, a job of its own, to end.",
    ),
    (
        Reason.WAITING_FOR_EARLIER,
        stored(Waiting(), details=OF_SCHEDULE),
        now(live=PARENTS[:2]),
        "It waits for 2 earlier jobs of the schedule 'nightly' to end.",
    ),
    (
        Reason.OVERDUE,
        stored(Ready(NOW - SECOND), expire_on=NOW),
        now(workers=ABLE),
        "It was to start before 2023-11-14 22:13:20 UTC, so it starts no more; "
        "the next sweep of a worker records its end.",
    ),
    (
        Reason.NOT_DUE,
        stored(Scheduled(NOW + SECOND)),
        now(),
        "It is due at 2023-11-14 22:13:21 UTC, and not before.",
    ),
    (
        Reason.NOT_DUE,
        after(AttemptOutcome.FAILED, Scheduled(NOW + SECOND), attempt=0),  # retried by hand since
        now(),
        "It is due at 2023-11-14 22:13:21 UTC, and not before.",
    ),
    (
        Reason.RETRYING,
        after(AttemptOutcome.FAILED, Scheduled(NOW + SECOND)),
        now(),
        "Attempt 1 of 3 ended as failed with OSError: the disk is full; "
        "the next is due at 2023-11-14 22:13:21 UTC.",
    ),
    (
        Reason.RETRYING,
        after(AttemptOutcome.TIMED_OUT, Scheduled(NOW + SECOND)),
        now(),
        "Attempt 1 of 3 ended as timed_out; the next is due at 2023-11-14 22:13:21 UTC.",
    ),
    (
        Reason.SNOOZED,
        after(AttemptOutcome.SNOOZED, Scheduled(NOW + SECOND), attempt=0),
        now(),
        "Its handler put it off until 2023-11-14 22:13:21 UTC.",
    ),
    (
        Reason.PAUSED,
        stored(Ready(NOW), queue="mail", tenant="acme"),
        now(workers=ABLE, pause=StoredPause("mail", "acme", "the relay is down", NOW)),
        "It is due since 2023-11-14 22:13:20 UTC, and the queue 'mail' of the tenant 'acme' is "
        "paused since 2023-11-14 22:13:20 UTC: the relay is down.",
    ),
    (
        Reason.PAUSED,
        stored(Ready(NOW), details=Details(worker="smtp")),
        now(workers=ABLE, pause=StoredPause(None, None, "", NOW), in_lane=PARENTS[:1]),
        "It is due since 2023-11-14 22:13:20 UTC, and everything is paused since "
        "2023-11-14 22:13:20 UTC.",
    ),
    (
        Reason.WORKER_BUSY,
        stored(Ready(NOW), details=Details(worker="smtp")),
        now(workers=attrs.evolve(ABLE, free=0), in_lane=PARENTS[:1]),
        "It is due since 2023-11-14 22:13:20 UTC, and its named worker 'smtp' runs job "
        f"{to_uuid(PARENTS[0])}.",
    ),
    (
        Reason.WORKER_BUSY,
        stored(Ready(NOW), details=Details(worker="smtp")),
        now(workers=ABLE, in_lane=PARENTS[:2]),
        "It is due since 2023-11-14 22:13:20 UTC, and its named worker 'smtp' runs job "
        f"{to_uuid(PARENTS[0])}, and 1 more are leased in a row to its node.",
    ),
    (
        Reason.CONCURRENCY_LIMIT,
        stored(Ready(NOW), details=Details(concurrency_key="acme", concurrency_limit=2)),
        now(workers=ABLE, in_lane=PARENTS[:2]),
        "It is due since 2023-11-14 22:13:20 UTC, and 2 jobs with the concurrency key 'acme' run or "
        f"are leased, of 2 at once; they are {to_uuid(PARENTS[0])}, {to_uuid(PARENTS[1])}.",
    ),
    (
        Reason.READY,
        stored(Ready(NOW), details=Details(concurrency_key="acme", concurrency_limit=2)),
        now(workers=ABLE, in_lane=PARENTS[:1]),
        "It is due since 2023-11-14 22:13:20 UTC, and the next free worker that serves the queue "
        "'default' and knows the handler 'say_hello' takes it.",
    ),
    (
        Reason.RATE_LIMITED,
        stored(Ready(NOW), details=Details(rate_key="api", rate_limit=RateLimit(2, per=60))),
        now(
            workers=attrs.evolve(ABLE, knows_handler=False),
            refusals=[
                (of_key("api"), RateLimit(2, per=60), NOW + SECOND),
                (of_queue("default"), RateLimit(1, per=5, burst=2), NOW + 2 * SECOND),
            ],
        ),
        "It is due since 2023-11-14 22:13:20 UTC, and the rate limit of the queue 'default' allows "
        "1 in 5 s, 2 at once; the next one may start at 2023-11-14 22:13:22 UTC.",
    ),
    (
        Reason.UNKNOWN_HANDLER,
        stored(Ready(NOW)),
        now(workers=attrs.evolve(ABLE, knows_handler=False, serves_queue=False, free=0)),
        "It is due since 2023-11-14 22:13:20 UTC, and the workers of this process know no handler "
        "'say_hello'; it runs where some know it.",
    ),
    (
        Reason.QUEUE_NOT_SERVED,
        stored(Ready(NOW), queue="mail"),
        now(workers=attrs.evolve(ABLE, serves_queue=False, free=0)),
        "It is due since 2023-11-14 22:13:20 UTC, and the workers of this process do not serve the "
        "queue 'mail'; it runs where some do.",
    ),
    (
        Reason.EXECUTORS_BUSY,
        stored(Ready(NOW)),
        now(workers=attrs.evolve(ABLE, free=0)),
        "It is due since 2023-11-14 22:13:20 UTC, and all 4 executors of this process are busy.",
    ),
    (
        Reason.TENANT_SHARE,
        stored(Ready(NOW), tenant="acme"),
        now(workers=attrs.evolve(ABLE, free=0, takes_turns=True)),
        "It is due since 2023-11-14 22:13:20 UTC, and all 4 executors of this process are busy; "
        "tenants take turns for them, and it waits for one of 'acme'.",
    ),
    (
        Reason.READY,
        stored(Ready(NOW)),
        now(workers=ABLE),
        "It is due since 2023-11-14 22:13:20 UTC, and the next free worker that serves the queue "
        "'default' and knows the handler 'say_hello' takes it.",
    ),
    (
        Reason.READY,
        stored(Ready(NOW)),
        now(),
        "It is due since 2023-11-14 22:13:20 UTC, and the next free worker that serves the queue "
        "'default' and knows the handler 'say_hello' takes it; this process runs no jobs.",
    ),
    (
        Reason.PROCESSING,
        stored(Processing("node-0", NOW, LEASE), attempt=1),
        now(),
        "Attempt 1 of 3 runs on the node node-0 since 2023-11-14 22:13:20 UTC, under a lease until "
        "2023-11-14 22:14:20 UTC.",
    ),
    (
        Reason.LEASE_LOST,
        stored(Processing("node-0", NOW, LEASE, "enough"), attempt=1),
        now(is_lost=True),
        "It ran on the node node-0, which is gone or let its lease pass; "
        "the next sweep of a worker takes it back.",
    ),
    (
        Reason.CANCELLING,
        stored(Processing("node-0", NOW, LEASE, ""), attempt=1),
        now(),
        "Its cancellation was asked for (no reason given), and the node node-0 is about to end it.",
    ),
    (
        Reason.COMPLETED,
        stored(Completed(NOW, NOW, NOW, "node-0", None, "too large"), attempt=2),
        now(),
        "It completed at 2023-11-14 22:13:20 UTC in attempt 2; its result was not stored: too large.",
    ),
    (
        Reason.FAILED,
        after(AttemptOutcome.FAILED, Failed(NOW, "all attempts failed")),
        now(),
        "It failed at 2023-11-14 22:13:20 UTC: all attempts failed; "
        "the last error was OSError: the disk is full.",
    ),
    (
        Reason.FAILED,
        stored(Failed(NOW, "lost in its last attempt"), attempt=3),
        now(),
        "It failed at 2023-11-14 22:13:20 UTC: lost in its last attempt.",
    ),
    (
        Reason.CANCELLED,
        stored(Cancelled(NOW, "")),
        now(),
        "It was cancelled at 2023-11-14 22:13:20 UTC: no reason given.",
    ),
    (
        Reason.SKIPPED,
        stored(Skipped(NOW, "the one before still runs")),
        now(),
        "It was skipped at 2023-11-14 22:13:20 UTC: the one before still runs.",
    ),
    (
        Reason.EXPIRED,
        stored(Expired(NOW, "not started in time")),
        now(),
        "It expired at 2023-11-14 22:13:20 UTC: not started in time.",
    ),
]


@pytest.mark.parametrize(("reason", "job", "around", "sentence"), EXAMPLES)
def test_a_job_is_explained_in_one_sentence(
    reason: Reason, job: StoredJob, around: Surroundings, sentence: str
) -> None:
    explanation = explain(job, around)
    assert (explanation.reason, explanation.sentence) == (reason, sentence)


def test_there_is_an_example_for_each_reason() -> None:
    assert {reason for reason, *_ in EXAMPLES} == set(Reason)


def test_fields_say_what_the_sentence_says() -> None:
    waiting = explain(stored(Waiting(PARENTS)), now(live=PARENTS[1:]))
    assert waiting.blocking == tuple(map(to_uuid, PARENTS[1:]))
    assert waiting.details == {"condition": "success", "parents": 3, "live": 2}
    running = explain(stored(Processing("node-0", NOW, LEASE), attempt=1), now())
    assert running.until == to_datetime(LEASE)
    assert running.details["node_id"] == "node-0"
    retrying = explain(after(AttemptOutcome.FAILED, Scheduled(NOW + SECOND)), now())
    assert (retrying.until, retrying.details["error"]) == (to_datetime(NOW + SECOND), ERROR)


def test_of_many_parents_a_hundred_are_named() -> None:
    many = tuple(uuid7(NOW * 1000, number) for number in range(150))
    explanation = explain(stored(Waiting(many)), now(live=many))
    assert len(explanation.blocking) == 100
    assert explanation.details["live"] == 150


# --- the law --------------------------------------------------------------------------------------

ENDED = {Reason(state.value) for state in JobState if state.is_ended}

around_jobs = st.builds(
    Surroundings,
    now=st.integers(NOW - 5, NOW + 5),
    live=st.sampled_from([(), PARENTS[:1], PARENTS]),
    is_lost=st.booleans(),
    workers=st.none()
    | st.builds(
        WorkersHere,
        knows_handler=st.booleans(),
        serves_queue=st.booleans(),
        free=st.integers(0, 2),
        concurrency=st.just(2),
    ),
)
jobs = st.builds(
    lambda state, expire_on, details: stored(state, expire_on=expire_on, details=details),
    st.sampled_from([*EVERY_STATE, Waiting(PARENTS), Processing("n", NOW, LEASE, "")]),
    st.none() | st.integers(NOW - 3, NOW + 3),
    st.none() | st.just(OF_SCHEDULE),
)


def assert_explained(
    job: StoredJob, around: Surroundings, ask: Callable[[StoredJob, Surroundings], Explanation]
) -> None:
    """What ended says how, what has not names what moves it on; others that block are named."""
    explanation = ask(job, around)
    assert explanation.sentence.endswith(".")
    assert "\n" not in explanation.sentence
    assert (explanation.reason in ENDED) == job.state.word.is_ended
    if explanation.reason in {Reason.WAITING_FOR_PARENTS, Reason.WAITING_FOR_EARLIER}:
        assert explanation.blocking
    if explanation.reason in {Reason.NOT_DUE, Reason.RETRYING, Reason.SNOOZED}:
        assert explanation.until is not None


@given(jobs, around_jobs)
def test_every_job_is_explained(job: StoredJob, around: Surroundings) -> None:
    assert_explained(job, around, explain)


def test_rules_that_end_without_an_answer_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault: a new obstacle was added behind, and the rule that always answers was lost."""
    faulty: Mapping[JobState, Sequence[Rule]] = {
        **RULES,
        JobState.READY: RULES[JobState.READY][:-1],
    }
    monkeypatch.setattr(explaining, "RULES", faulty)
    with pytest.raises(AssertionError, match="end without an answer"):
        assert_explained(stored(Ready(NOW)), now(), explain)
