"""What a write is to others, by what it was and what was answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from trio_gusto.model.errors import GustoError, StorageError
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import ClaimedJob, Details, JobRequest
from trio_gusto.model.states import (
    AwaitingCallback,
    Completed,
    Ready,
    Scheduled,
    Skipped,
    State,
    Waiting,
)
from trio_gusto.storage.batch_messages import Discard, Discarded, Stage, Staged
from trio_gusto.storage.lease_messages import Renew, Renewed, RequestCancel
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
    Write,
    WriteReply,
)
from trio_gusto.storage.news import EVERYTHING, NOTHING, News, news_of
from trio_gusto.storage.pause_messages import PutPause
from trio_gusto.storage.report_messages import Report, Reported
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.schedule_messages import PutSchedule
from trio_gusto.testing.storage_contract.scheduling import MINUTE, firing, schedule

CLAIMABLE, ENDED, AWAITED = News.CLAIMABLE, News.ENDED, News.AWAITED
SCHEDULES, DEADLINES = News.SCHEDULES, News.DEADLINES

ONE, TWO = JobId(bytes(16)), JobId(bytes([1] * 16))
PLAIN = JobRequest(ONE, "f", "[]", 0, 3)


def request(**details: Any) -> JobRequest:
    return attrs.evolve(PLAIN, details=Details(**details))


def told(write: Write, reply: WriteReply | GustoError) -> News:
    return news_of([write], [reply])


@pytest.mark.parametrize(
    ("state", "expire_on", "news"),
    [
        (Ready(0), None, CLAIMABLE),
        (Scheduled(5), None, CLAIMABLE),
        (Waiting((TWO,)), None, AWAITED),
        (Skipped(0, "no"), None, ENDED),
        (Ready(0), 0, CLAIMABLE | DEADLINES),
        (Waiting((TWO,)), 7, AWAITED | DEADLINES),
    ],
)
def test_new_jobs_are_news_by_their_first_states(
    state: State, expire_on: int | None, news: News
) -> None:
    job = attrs.evolve(PLAIN, expire_on=expire_on)
    assert told(Insert([job], [state]), Inserted()) == news


def test_new_jobs_are_news_by_all_of_their_states_together() -> None:
    states: list[State] = [Ready(0), Waiting((TWO,)), Skipped(0, "no")]
    assert told(Insert([PLAIN] * 3, states), Inserted()) == CLAIMABLE | AWAITED | ENDED
    assert told(Insert([PLAIN] * 2, states[1:]), Inserted()) == AWAITED | ENDED


def test_a_job_that_was_there_already_is_no_news() -> None:
    deadline = attrs.evolve(PLAIN, expire_on=7)
    insert = Insert([deadline, PLAIN], [Ready(0), Waiting((TWO,))])
    assert told(insert, Inserted({0: TWO})) == AWAITED
    assert told(insert, Inserted({1: TWO})) == CLAIMABLE | DEADLINES
    assert told(insert, Inserted({0: TWO, 1: TWO})) == NOTHING


def test_what_new_jobs_replace_has_ended() -> None:
    insert = Insert([PLAIN], [Ready(0)])
    assert told(insert, Inserted(replaced=(TWO,))) == CLAIMABLE | ENDED
    assert told(insert, Inserted(replaced=(TWO,), awaited=(TWO,))) == CLAIMABLE | ENDED | AWAITED
    waiting = Insert([PLAIN], [Waiting((TWO,))])
    assert told(waiting, Inserted(replaced=(TWO,))) == CLAIMABLE | ENDED | AWAITED


def successes(*requests: JobRequest) -> Complete:
    claims = [ClaimedJob(one, 1, 1, 0, "node", 0) for one in requests]
    return Complete(claims, [Completed(0, 0, 0, "node")] * len(claims))


@pytest.mark.parametrize(
    ("requests", "news"),
    [
        ([PLAIN], ENDED),
        ([request(tags=("a",))], ENDED),
        ([request(rate_key="a")], ENDED),
        ([request(worker="a")], ENDED | CLAIMABLE),
        ([request(worker="a"), PLAIN], ENDED | CLAIMABLE),
        ([PLAIN, request(concurrency_key="a", concurrency_limit=2)], ENDED | CLAIMABLE),
    ],
)
def test_successes_make_room_only_in_lanes_that_can_be_full(
    requests: Sequence[JobRequest], news: News
) -> None:
    assert told(successes(*requests), Completions()) == news
    assert told(successes(*requests), Completions(awaited=(ONE,))) == news | AWAITED


def test_successes_that_were_refused_are_no_news() -> None:
    both = successes(PLAIN, request(worker="a"))
    assert told(both, Completions({0: Conflict(), 1: Conflict()})) == NOTHING
    assert told(both, Completions({0: Conflict()})) == ENDED | CLAIMABLE
    assert told(successes(PLAIN, PLAIN), Completions({1: Conflict()})) == ENDED


def test_a_firing_is_news_of_its_jobs_and_of_schedules_only_where_one_has_to_wait() -> None:
    kept = schedule()
    assert told(firing(kept, MINUTE), Committed()) == CLAIMABLE
    assert told(firing(kept, MINUTE, states={MINUTE: Skipped(0, "no")}), Committed()) == ENDED
    held = firing(kept, MINUTE, states={MINUTE: Waiting()})
    assert told(held, Committed()) == AWAITED | SCHEDULES


@pytest.mark.parametrize(
    ("write", "reply"),
    [
        (Commit(ONE, 1, Ready(0), 1), Committed()),
        (Commit(ONE, 1, AwaitingCallback(TWO, 0, 0, "node"), 1), Committed()),
        (RequestCancel(ONE, 1, "no"), Committed()),
        (PutSchedule("ledger", None, None), Committed()),
        (PutPause(None, None, "", 0), Committed()),
    ],
)
def test_of_what_is_rare_everybody_hears(write: Write, reply: WriteReply) -> None:
    assert told(write, reply) == EVERYTHING


@pytest.mark.parametrize(
    ("write", "reply"),
    [
        (ClaimDue("node", 0, 1, 1, 1), ClaimReply((), more=False, next_due=None)),
        (Renew("node", 0, 1, []), Renewed((), ())),
        (Report((), 1, 1), Reported()),
        (Stage(ONE, TWO, "node", 0, 0, Insert([], [])), Staged()),
        (Discard(ONE, 1), Discarded(1)),
        (Prune(0, 1), Pruned(0, more=False, mark=None)),
    ],
)
def test_nobody_hears_of_what_changes_nothing_for_others(write: Write, reply: WriteReply) -> None:
    assert told(write, reply) == NOTHING


@pytest.mark.parametrize("refusal", [Conflict(), StorageError("no")])
def test_what_was_refused_is_no_news(refusal: Conflict | GustoError) -> None:
    assert told(Insert([PLAIN], [Ready(0)]), refusal) == NOTHING
    assert told(Commit(ONE, 1, Ready(0), 1), refusal) == NOTHING


def test_a_group_is_what_all_of_its_writes_are() -> None:
    writes: list[Write] = [Insert([PLAIN], [Ready(0)]), Renew("node", 0, 1, []), successes(PLAIN)]
    replies: list[WriteReply] = [Inserted(), Renewed((), ()), Completions()]
    assert news_of(writes, replies) == CLAIMABLE | ENDED
    assert news_of([], []) == NOTHING
    with pytest.raises(ValueError, match="zip"):
        news_of(writes, replies[:2])


def test_jobs_and_states_that_do_not_go_together_are_a_mistake() -> None:
    kept = schedule()
    fire = attrs.evolve(firing(kept, MINUTE), states=[])
    for write, reply in ((Insert([PLAIN], []), Inserted()), (fire, Committed())):
        with pytest.raises(ValueError, match="zip"):
            told(write, reply)


def test_everything_is_all_kinds_and_nothing_is_none() -> None:
    assert EVERYTHING == CLAIMABLE | ENDED | AWAITED | SCHEDULES | DEADLINES | News.WISHES
    assert list(NOTHING) == []
