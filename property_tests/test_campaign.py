"""A short campaign; and each law of it finds what is planted for it, on acts that lead there.

`make prove` runs a long one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

import pytest
import trio
from hypothesis import given, settings

from property_tests import planted
from property_tests.broken.tenants import ServesWhoeverIsDueFirst
from property_tests.campaign import faults, laws, looking, reckoning, service
from property_tests.campaign.__main__ import main
from property_tests.campaign.plans import Act, Plan, plans
from property_tests.campaign.scenes import Explored, play
from trio_gusto import Explanation, JobContext, JobQueue, Reason
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import KILL_POINTS, SimulationFailed

SHORT = 100
"""Worlds, at most, of the test that everybody runs."""


@settings(max_examples=min(SHORT, settings().max_examples))
@given(plan=plans)
def test_whatever_happens_no_law_is_broken(plan: Plan) -> None:
    play(plan)


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_campaign_comes_to_every_kill_point(point: str) -> None:
    explored = Explored()
    play(Plan((), focus=point), explored)
    assert explored.points[point] == 1


def test_a_continuation_that_is_retried_by_hand_need_not_wait() -> None:
    scripts = [["sleep:8"], ["cancel"]]
    play(Plan((("batch", -1, scripts, "success"), ("retry", -1, 1))))


# --- planted faults -------------------------------------------------------------------------------


def _enqueue(*script: str, **options: object) -> Act:
    return "enqueue", -1, list(script), options


def _advance(seconds: float) -> Act:
    return "advance", seconds


def _one_by_one(count: int, **options: object) -> Iterator[Act]:
    for _ in range(count):
        yield _enqueue("sleep:8", **options)
        yield _advance(1)


SOLO = {"worker": "solo"}
PAIR = {"concurrency_key": "pair", "concurrency_limit": 2}
OFTEN: Act = ("schedule", -1, 20, "allow", "all", ["ok"])

PLANTED: dict[str, tuple[Callable[[], Storage], int, tuple[Act, ...]]] = {
    laws.ENDS_ONCE: (
        planted.BelievesZombies,
        2,
        (
            ("stop", 1, None),
            ("stop", 0, "outcome.before_commit"),
            _enqueue("ok"),
            _advance(5),
            ("go_on", 1),
            _advance(70),
            ("go_on", 0),
            _advance(70),
        ),
    ),
    laws.STARTS_NO_MORE: (faults.RunsWhatHasCompleted, 1, (_enqueue("ok"),)),
    laws.NUMBERED: (faults.GivesAnAttemptAway, 1, (_enqueue("fail", "ok"), _advance(5))),
    laws.ATTEMPTS: (
        faults.AllowsMoreAttempts,
        1,
        (_enqueue("fail", max_attempts=2), _advance(31)),
    ),
    laws.ONE_PLACE: (
        faults.GivesTheSameToAnother,
        2,
        tuple(_enqueue("sleep:50") for _ in range(6)),
    ),
    laws.NOT_ROBBED: (
        faults.TakesLeasesAway,
        3,
        (
            ("many", -1, 5, ["sleep:50"], {}),
            ("many", -1, 3, ["sleep:50"], {}),
            _advance(1),
            ("crash", 0, None, False),
            _advance(31),
        ),
    ),
    laws.ALONE: (faults.FreesLanes, 2, (("many", -1, 3, ["sleep:8"], SOLO), _advance(31))),
    laws.LIMIT: (faults.FreesLanes, 2, (("many", -1, 5, ["sleep:8"], PAIR), _advance(31))),
    laws.PAUSED: (
        planted.ClaimsWhatIsPaused,
        1,
        (("pause_queue", -1, "left"), _enqueue("ok", queue="left"), _advance(1)),
    ),
    laws.NOT_EARLY: (
        faults.ClaimsEarly,
        1,
        (_enqueue("ok", execute_after=20), _advance(15), _enqueue("ok"), _advance(1)),
    ),
    laws.NOT_LATE: (
        faults.LosesDeadlines,
        1,
        (
            ("pause_queue", -1, "left"),
            _enqueue("ok", queue="left", expire_on=100),
            _enqueue("ok"),
            _advance(400),
            ("resume_queue", -1, "left"),
        ),
    ),
    laws.PRIORITY: (faults.PutsTheEarlierOff, 1, tuple(_one_by_one(12))),
    laws.IN_ORDER: (faults.PutsTheEarlierOff, 1, tuple(_one_by_one(5, worker="solo"))),
    laws.AFTER_PARENTS: (
        planted.SeesAllParentsCompleted,
        1,
        (
            _enqueue("sleep:50"),
            _enqueue("sleep:1"),
            ("after", -1, [0, 1], "success", ["ok"], {}),
            _advance(5),
        ),
    ),
    laws.CONDITION: (
        planted.TakesFailuresForSuccesses,
        1,
        (
            _enqueue("final", execute_after=3),
            ("after", -1, [0], "success", ["ok"], {}),
            _advance(5),
        ),
    ),
    laws.INSTANT_ONCE: (faults.FiresAgain, 1, (OFTEN, _advance(70))),
    laws.ON_THE_GRID: (faults.FiresBesideTheInstant, 1, (OFTEN, _advance(70))),
    laws.NO_INSTANT_LOST: (faults.MovesOnWithoutItsJobs, 1, (OFTEN, _advance(70))),
    laws.EDGES: (
        faults.PutsOffForEver,
        1,
        (_enqueue("hang", timeout=5), _advance(31)),
    ),
    laws.STAYS_ENDED: (
        faults.FailsWhatHasEnded,
        1,
        (_enqueue("ok"), _advance(5), _enqueue("ok")),
    ),
    laws.UNIQUE: (
        planted.ForgetsKeysOfClaimedJobs,
        1,
        (_enqueue("sleep:50", unique_key="one"), _enqueue("sleep:8", unique_key="one")),
    ),
    laws.BATCH_COUNTS: (faults.MiscountsBatches, 1, (("batch", -1, [["ok"]], None),)),
    laws.STATS: (planted.ForgetsTheEndedInItsCounts, 1, (_enqueue("ok"),)),
    laws.AS_ASKED: (faults.KnowsNoPriority, 1, (_enqueue("ok", priority=1),)),
    laws.NOT_LOST: (faults.LosesJobs, 1, (("many", -1, 3, ["ok"], {}),)),
    laws.ALL_END: (
        planted.HidesLostLeases,
        1,
        (_enqueue("sleep:50"), ("crash", 0, None, False)),
    ),
    laws.EARNED: (faults.CancelsWhatFails, 1, (_enqueue("final"),)),
    laws.LEASE_GROWS: (
        faults.CutsLeases,
        1,
        (_enqueue("sleep:50"), _advance(5), _advance(5), _advance(5)),
    ),
    laws.DELAYED: (faults.WaitsForNothing, 1, (_enqueue("fail", "ok"), _advance(5))),
    laws.TOKENS: (
        faults.GrowsTokensFaster,
        1,
        tuple(_enqueue("ok", rate_key="slowly") for _ in range(3)),
    ),
    laws.CHILDREN: (
        faults.KeepsChildrenOfFailed,
        2,
        (
            ("stop", 1, None),
            ("stop", 0, "outcome.before_commit"),
            _enqueue("child"),
            _advance(5),
            ("go_on", 1),
            _advance(70),
            ("go_on", 0),
        ),
    ),
    laws.CALLED_BACK: (
        faults.EndsBeforeItsCallback,
        1,
        (_enqueue("ok", callback=["sleep:8"]), _advance(31)),
    ),
    laws.ANSWERED: (faults.RefusesNowAndThen, 1, tuple(_enqueue("ok") for _ in range(3))),
    laws.RECORDS: (planted.ForgetsRecords, 1, (_enqueue("fail", "ok"), _advance(5))),
}


def _is_found(law: str, plan: Plan, make_storage: Callable[[], Storage] | None = None) -> None:
    with pytest.raises(SimulationFailed) as caught:
        play(plan, make_storage=make_storage)
    assert isinstance(caught.value.__cause__, laws.LawBroken)
    assert caught.value.__cause__.law == law


@pytest.mark.parametrize("law", PLANTED)
def test_the_law_finds_what_is_planted(law: str) -> None:
    make_storage, nodes, acts = PLANTED[law]
    plan = Plan(acts, nodes=nodes)
    _is_found(law, plan, make_storage)
    play(plan)


@pytest.mark.parametrize("make_storage", [faults.WaitsForNothing, faults.WaitsForLong])
@pytest.mark.parametrize("options", [{}, {"backoff": 0}, {"backoff": 0.01}])
def test_a_delay_that_is_not_that_of_the_retry_is_found(
    make_storage: Callable[[], Storage], options: dict[str, object]
) -> None:
    acts = _enqueue("fail", "fail", "fail", "ok", **options), *[_advance(1) for _ in range(12)]
    play(Plan(acts))
    _is_found(laws.DELAYED, Plan(acts), make_storage)


def test_children_that_are_lost_are_found() -> None:
    for script in (["child"], ["fail", "child"], ["follow"]):
        plan = Plan((_enqueue(*script), _advance(5)))
        _is_found(laws.CHILDREN, plan, faults.LosesChildren)
        play(plan)


def test_a_callback_that_is_lost_is_found() -> None:
    plan = Plan((_enqueue("ok", callback=["ok"]),))
    _is_found(laws.CALLED_BACK, plan, faults.LosesChildren)


def test_a_job_that_fails_though_its_callback_has_completed_is_found() -> None:
    plan = Plan((_enqueue("ok", callback=["fail", "ok"]), _advance(31)))
    play(plan)
    _is_found(laws.EARNED, plan, faults.FailsWithItsCallback)


@pytest.mark.parametrize("callback", [["ok"], ["final"]])
def test_children_stay_whatever_becomes_of_the_callback(callback: list[str]) -> None:
    play(Plan((_enqueue("child", callback=callback), _advance(5), ("retry", -1, 0))))


def test_children_of_a_failure_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan((_enqueue("orphan", "ok"), _advance(1)))
    play(plan)

    def at_once(context: JobContext) -> JobQueue:
        queue = context._workplace.queue
        assert isinstance(queue, JobQueue)
        return queue

    monkeypatch.setattr(JobContext, "queue", property(at_once))
    _is_found(laws.CHILDREN, plan)


def test_a_key_that_nobody_holds_and_is_refused_is_found() -> None:
    again = _enqueue("ok", unique_key="one")
    plan = Plan((again, _advance(5), again))
    play(plan)
    _is_found(laws.ANSWERED, plan, planted.HoldsKeysForEver)


def test_whoever_is_never_answered_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def enqueue(*_: object, **__: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(JobQueue, "enqueue", enqueue)
    _is_found(laws.ANSWERED, Plan((_enqueue("ok"),)))


def test_what_is_done_with_every_act_is_counted() -> None:
    explored = Explored()
    acts: list[Act] = [
        ("cancel", -1, 0),  # there is none yet
        _enqueue("ok"),
        ("cancel", -1, 0),  # it has ended
        ("full", 0),
        ("enqueue", 0, ["ok"], {}),
        ("clear",),
        ("slow", None, 50.0),
        _enqueue("ok"),
    ]
    play(Plan(tuple(acts)), explored)
    tally = explored.tally
    assert tally.done == {"enqueue": 1, "full": 1, "clear": 1, "slow": 1}
    assert tally.idle == {"cancel": 2}
    assert tally.refused == {"StorageFull": 1}
    assert tally.unanswered == {"enqueue": 1}
    assert explored.looks >= len(acts)


def test_tenants_that_have_no_turns_are_found() -> None:
    crowd = [_enqueue("sleep:8", tenant="ann") for _ in range(12)]
    acts = *crowd, _enqueue("sleep:8", tenant="bob"), _advance(70)
    _is_found(laws.TURNS, Plan(acts, fair=True), ServesWhoeverIsDueFirst)
    play(Plan(acts, fair=True))
    play(Plan(acts), make_storage=ServesWhoeverIsDueFirst)


def test_a_node_that_runs_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CONCURRENCY", 5)
    _is_found(laws.ROOM, Plan((("many", -1, 5, ["sleep:8"], {}),)))


def test_jobs_of_a_schedule_that_meet_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    acts: tuple[Act, ...] = (("schedule", -1, 20, "skip", "all", ["sleep:50"]), _advance(70))
    play(Plan(acts))
    asked = JobQueue.schedule

    async def overlapping(*arguments: object, **options: object) -> object:
        return await asked(*arguments, **{**options, "overlap": "allow"})  # type: ignore[call-overload]

    monkeypatch.setattr(JobQueue, "schedule", overlapping)
    _is_found(laws.NO_OVERLAP, Plan(acts))


def test_an_explanation_that_is_not_true_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def explain(*_: object) -> Explanation:
        return Explanation(sentence="it is paused", reason=Reason.PAUSED)

    monkeypatch.setattr(JobQueue, "explain", explain)
    _is_found(laws.EXPLAINED, Plan((_enqueue("ok", execute_after=90),)))


def test_a_lease_of_nobody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def explain(*_: object) -> Explanation:
        return Explanation(sentence="it runs", reason=Reason.PROCESSING)

    monkeypatch.setattr(JobQueue, "explain", explain)
    _is_found(laws.LEASED, Plan((_enqueue("sleep:50"),)))


def test_every_law_has_something_planted_for_it() -> None:
    every = {law for name, law in inspect.getmembers(laws) if name.isupper()}
    assert every == {*PLANTED, laws.ROOM, laws.TURNS, laws.NO_OVERLAP, laws.EXPLAINED, laws.LEASED}


# --- the command ----------------------------------------------------------------------------------


def test_the_command_tells_what_was_explored(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--minutes", "0.01", "--seed", "5"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("seed 5\n")
    assert "virtual days" in told
    assert "every kill point was reached" in told
    assert all(point in told for point in KILL_POINTS)


def test_the_command_tells_how_a_failure_is_played_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "ENDED", set())  # an oracle that errs will do
    monkeypatch.setattr(reckoning, "ENDED", set())
    assert main(["--minutes", "1", "--seed", "5"]) == 1
    told = capsys.readouterr().out
    assert "A LAW IS BROKEN (seed 5)" in told
    line = told.strip().splitlines()[-1]
    plan = line.partition("--plan ")[2].strip("'")
    assert main(["--plan", plan]) == 1
    monkeypatch.undo()
    assert main(["--plan", plan]) == 0
