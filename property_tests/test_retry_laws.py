"""Retries through real apps in virtual time: each attempt at its instant, none too many; and the law can fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.retry_errands import (
    TIMEOUT,
    Errand,
    any_errands,
    by_class,
    code,
    constant,
    errands,
    errors,
    growing,
    hanging,
    simple,
    snoozes,
    steps,
    wishes,
)
from property_tests.retry_oracle import MILLISECOND, Run, check_life
from trio_gusto import Gusto, Job, JobQueue, JobRef, MemoryStorage, Options
from trio_gusto.model import lifecycle, outcomes, retry
from trio_gusto.model.errors import DuplicateJob, UnknownJob
from trio_gusto.model.failure import leaves, qualified_name
from trio_gusto.model.happenings import Settlement
from trio_gusto.model.instants import to_instant
from trio_gusto.model.states import Ended, Processing, Ready, Scheduled
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Conflict,
    Insert,
    Inserted,
)
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock


class Round:
    """One app, the errands it is given, and what its handlers note."""

    def __init__(self, storage: Storage, errands: Sequence[Errand]) -> None:
        self.clock = VirtualClock()
        options = Options(concurrency=8, retention=None, default_timeout=TIMEOUT / 1000)
        self.app = Gusto(storage, clock=self.clock, options=options)
        self.errands = errands
        self.runs: list[list[Run]] = [[] for _ in errands]
        self.handlers = [
            self.app.job(name=f"errand-{number}", **errand.at_handler())(self.handler_of(number))
            for number, errand in enumerate(errands)
        ]

    def handler_of(self, number: int) -> Callable[[], Any]:
        script, runs = self.errands[number].script, self.runs[number]

        async def handler() -> None:
            began = self.clock.instant()
            step = script[len(runs)] if len(runs) < len(script) else None
            try:
                if step is not None and step.hangs:
                    await trio.sleep_forever()
                if step is not None:
                    await trio.sleep(step.work / 1000)
                    raise step.error()
            finally:
                runs.append(Run(began, self.clock.instant()))

        return handler

    async def play(self) -> None:
        async with self.app.running() as queue:
            refs: list[JobRef[Any]] = []
            dues: list[tuple[int, int | None]] = []
            for errand, handler in zip(self.errands, self.handlers, strict=True):
                due = self.clock.instant() + errand.after * MILLISECOND
                life = errand.life
                dues.append((due, None if life is None else due + life * MILLISECOND))
                refs.append(await queue.enqueue(handler, **errand.at_call()))
            firsts = [
                await self.check(queue, ref, number, *dues[number], before=0)
                for number, ref in enumerate(refs)
            ]
            await self.play_again(queue, refs, firsts)

    async def check(
        self,
        queue: JobQueue,
        ref: JobRef[Any],
        number: int,
        due: int,
        expires: int | None,
        before: int,
    ) -> tuple[Job, list[Run]]:
        """Wait for the end of a life, and see that it was as it had to be."""
        job = await ref.wait()
        records = [
            (
                one.number,
                one.outcome,
                *(
                    None if moment is None else to_instant(moment)
                    for moment in (one.claimed_at, one.started_at, one.ended_at)
                ),
            )
            for one in (await queue.attempts(ref))[before:]
        ]
        runs = list(self.runs[number])
        check_life(self.errands[number], due, expires, runs, job, records)
        return job, runs

    async def play_again(
        self, queue: JobQueue, refs: Sequence[JobRef[Any]], firsts: Sequence[tuple[Job, list[Run]]]
    ) -> None:
        """Whoever has not completed lives once more, without a deadline, and with the same pauses."""
        for number, (ref, (job, first)) in enumerate(zip(refs, firsts, strict=True)):
            self.runs[number].clear()
            is_retried = await queue.retry(ref)
            assert is_retried == (job.state != "completed"), "what has not completed may run again"
            if is_retried:
                now = self.clock.instant()
                _, second = await self.check(queue, ref, number, now, None, before=len(first))
                pauses = [
                    [after.began - run.ended for run, after in pairwise(life)]
                    for life in (first, second)
                ]
                least = min(map(len, pauses))
                assert pauses[0][:least] == pauses[1][:least], f"pauses are the same: {pauses}"


def play(make_storage: Callable[[], Storage], errands: Sequence[Errand]) -> None:
    trio.run(Round(make_storage(), errands).play, clock=MockClock(autojump_threshold=0))


in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("make_storage", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"])
@given(errands=any_errands())
def test_each_attempt_starts_when_the_policy_says_and_none_is_one_too_many(
    make_storage: Callable[[], Storage], errands: Sequence[Errand]
) -> None:
    play(make_storage, errands)


# --- planted faults -------------------------------------------------------------------------------


class CountsFromTheStart(MemoryStorage):
    """The pause after an attempt."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        state, record = commit.state, commit.record
        if isinstance(state, Scheduled) and record is not None:
            length = record.ended_at - (record.started_at or 0)
            commit = attrs.evolve(commit, state=Scheduled(state.due - length))
        return super()._commit(commit)


class LosesThePause(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        if isinstance(commit.state, Scheduled) and commit.record is not None:
            commit = attrs.evolve(commit, state=Ready(commit.record.ended_at))
        return super()._commit(commit)


class AllowsOneMore(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        more = [attrs.evolve(one, max_attempts=one.max_attempts + 1) for one in insert.requests]
        return super()._insert(attrs.evolve(insert, requests=more))


class NumbersEveryRecordOne(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        record = commit.record
        if record is not None:
            commit = attrs.evolve(commit, record=attrs.evolve(record, number=1))
        return super()._commit(commit)


class KeepsTheLastRecordOnly(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        reply = super()._commit(commit)
        if isinstance(reply, Committed) and commit.record is not None:
            self._jobs[commit.job_id].history = (commit.record,)
        return reply


class EatsTheAttemptOfASnooze(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        record = commit.record
        if record is not None and record.outcome == "snoozed":
            commit = attrs.evolve(commit, attempt=record.number)
        return super()._commit(commit)


class TellsNobodyWhatIsDue(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return attrs.evolve(super()._claim_due(claim), next_due=None)


Plant = Callable[[pytest.MonkeyPatch], None]


def adds_twice_the_jitter(patches: pytest.MonkeyPatch) -> None:
    draw = retry._draw
    patches.setattr(retry, "_draw", lambda state: 2 * draw(state))


def jitters_to_both_sides(patches: pytest.MonkeyPatch) -> None:
    draw = retry._draw
    patches.setattr(retry, "_draw", lambda state: draw(state) - 0.5)


def draws_anew_each_time(patches: pytest.MonkeyPatch) -> None:
    draws = iter(range(1, 1_000_000))
    patches.setattr(retry, "_draw", lambda state: 1 / next(draws))


def grows_from_the_first_pause_on(patches: pytest.MonkeyPatch) -> None:
    call = retry.Exponential.__call__
    patches.setattr(
        retry.Exponential,
        "__call__",
        lambda self, state: call(self, attrs.evolve(state, attempt=state.attempt + 1)),
    )


def knows_no_cap(patches: pytest.MonkeyPatch) -> None:
    call = retry.Exponential.__call__
    patches.setattr(
        retry.Exponential,
        "__call__",
        lambda self, state: call(attrs.evolve(self, cap=3_600_000.0), state),
    )


def asks_the_first_of_a_group(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(retry, "leaves", lambda error: leaves(error)[:1])


def takes_the_widest_class(patches: pytest.MonkeyPatch) -> None:
    def policy_for(self: retry.RetryOn, leaf: BaseException) -> retry.RetryPolicy:
        for kind in reversed(type(leaf).__mro__):
            policy = self.rules.get(qualified_name(kind))
            if policy is not None:
                return policy
        return self.otherwise

    patches.setattr(retry.RetryOn, "_policy_for", policy_for)


def hears_no_wish(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(outcomes, "retry_after", lambda error: None)


def hears_the_wish_beside_an_error(patches: pytest.MonkeyPatch) -> None:
    classify = outcomes.classify

    def judge(error: BaseException) -> outcomes.Outcome:
        outcome = classify(error)
        wanted = [outcomes.retry_after(leaf) for leaf in leaves(error)]
        if isinstance(outcome, outcomes.AttemptFailed):
            outcome.after = max((each for each in wanted if each is not None), default=None)
        return outcome

    patches.setattr("trio_gusto.actors.judge.classify", judge)


def starts_after_the_deadline(patches: pytest.MonkeyPatch) -> None:
    def put_back(job: Any, ending: Any, due: int, attempt: int) -> Settlement:
        record = lifecycle._record(job, ending)
        return Settlement(Scheduled(due), attempt, record, forget_expiry=True)

    patches.setattr(lifecycle, "_put_back", put_back)


def forgives_timeouts(patches: pytest.MonkeyPatch) -> None:
    """They are given back, so that a job that hangs is tried for ever."""
    rule, targets = lifecycle.TRANSITIONS[Processing, outcomes.TimedOut]

    def time_out(job: Any, ending: Any) -> Settlement:
        settlement = rule(job, ending)
        again = not isinstance(settlement.state, Ended)
        return attrs.evolve(settlement, attempt=job.attempt - 1) if again else settlement

    patches.setitem(lifecycle.TRANSITIONS, (Processing, outcomes.TimedOut), (time_out, targets))


INSTANT, ONE_TOO_MANY = "an attempt starts at its instant", "no attempt after the last"
RECORD = "the record is right"
ONE, GROUP = steps(errors, most=1), steps(errors)
ANY = ""
"""Where it depends on what is drawn whether there is an attempt too many, too early or too late."""
FOR_EVER = st.none()

STORAGES: dict[type[MemoryStorage], tuple[str, st.SearchStrategy[Sequence[Errand]]]] = {
    CountsFromTheStart: (ANY, errands(ONE, constant, life=FOR_EVER)),
    LosesThePause: (INSTANT, errands(ONE, constant, life=FOR_EVER)),
    AllowsOneMore: (ONE_TOO_MANY, errands(ONE, constant, life=FOR_EVER)),
    NumbersEveryRecordOne: (RECORD, errands(ONE, constant, life=FOR_EVER)),
    KeepsTheLastRecordOnly: ("every attempt has a record", errands(ONE, constant, life=FOR_EVER)),
    EatsTheAttemptOfASnooze: (RECORD, errands(steps(snoozes), constant, life=FOR_EVER)),
    TellsNobodyWhatIsDue: (INSTANT, errands(ONE, constant, life=FOR_EVER)),
}
PATCHES: dict[Plant, tuple[str, st.SearchStrategy[Sequence[Errand]]]] = {
    adds_twice_the_jitter: (INSTANT, errands(ONE, constant | growing, life=FOR_EVER)),
    jitters_to_both_sides: (INSTANT, errands(ONE, constant | growing, life=FOR_EVER)),
    draws_anew_each_time: ("pauses are the same", errands(ONE, constant, life=FOR_EVER)),
    grows_from_the_first_pause_on: (INSTANT, errands(ONE, growing, life=FOR_EVER)),
    knows_no_cap: (INSTANT, errands(ONE, growing, life=FOR_EVER)),
    asks_the_first_of_a_group: (ANY, errands(GROUP, by_class(simple), life=FOR_EVER)),
    takes_the_widest_class: (ANY, errands(ONE, by_class(simple), life=FOR_EVER)),
    hears_no_wish: (ANY, errands(steps(wishes, most=1), constant, life=FOR_EVER)),
    hears_the_wish_beside_an_error: (ANY, errands(steps(errors, wishes), constant, life=FOR_EVER)),
    starts_after_the_deadline: (ONE_TOO_MANY, errands(ONE, constant)),
    forgives_timeouts: (RECORD, errands(hanging, constant | code, "handler", FOR_EVER)),
}


def check_is_caught(
    law: str, drawn: st.SearchStrategy[Sequence[Errand]], storage: Callable[[], Storage]
) -> None:
    @settings(LOOKING, max_examples=1000)
    @given(errands=drawn)
    def law_of_retries(errands: Sequence[Errand]) -> None:
        play(storage, errands)

    check_is_broken(law, law_of_retries)


@pytest.mark.parametrize("fault", STORAGES, ids=lambda fault: fault.__name__)
def test_the_law_catches_a_storage_that(fault: type[MemoryStorage]) -> None:
    check_is_caught(*STORAGES[fault], fault)


@pytest.mark.parametrize("plant", PATCHES, ids=lambda plant: plant.__name__)
def test_the_law_catches_who(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    check_is_caught(*PATCHES[plant], MemoryStorage)
