"""A short campaign of crashes; and its judge finds whatever a story is spoiled with.

`make crash` runs a long one.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from property_tests.crash_stories import FIRST, SECOND, Tale, tale
from property_tests.crashes import laws
from property_tests.crashes.crew import wait_until
from property_tests.crashes.judge import judge
from property_tests.crashes.rounds import STANDS, Round
from property_tests.crashes.rows import CANCELLED, FAILED, AttemptRow

Spoil = Callable[[Tale], object]

SHORT = ("begun, not ended", "everybody at once", "enqueued, not claimed", STANDS)
"""What is done in the round that everybody runs. Whether a process is caught at its point is up to the machine."""


@pytest.mark.skipif(sys.platform != "linux", reason="only there is it known who stands still")
@pytest.mark.timeout(600)  # processes start after each other, which a busy machine takes time for
def test_whatever_is_killed_no_law_is_broken(tmp_path: Path) -> None:
    one = Round(tmp_path, "short", lease=2, workers=2)

    def more(done: int) -> str | None:
        if done == 0:
            assert wait_until(lambda: bool(one.crew.look.read_ledger().acknowledged))
        return SHORT[done] if done < len(SHORT) else None

    found = one.play(more)
    assert found == [], f"the file and the ledger are in {tmp_path}"
    words = Counter(line["word"] for line in one.lines())
    assert words["acknowledged"]
    assert words["kills"]


def found(told: Tale) -> set[str]:
    return {finding.law for finding in judge(told.timed(), told.rows)}


def test_of_a_sound_story_nothing_is_said() -> None:
    assert judge(tale().timed(), tale().rows) == []


# --- what a story is spoiled with -----------------------------------------------------------------


def a_job_is_lost(told: Tale) -> None:
    del told.jobs["one"]


def a_job_ran_and_is_not_there(told: Tale) -> None:
    told.begin("nobody's", "nobody", 1, 1, SECOND)


def half_of_what_was_asked_for_is_there(told: Tale) -> None:
    told.note("asked", what="jobs", refs=["half", "other half"])
    told.run("half", SECOND)


def what_was_refused_is_there(told: Tale) -> None:
    told.note("refused", refs=["one"])


def a_job_is_stuck(told: Tale) -> None:
    told.change("one", state=2, result=None)


def a_success_is_nobody_s(told: Tale) -> None:
    told.drop("returned", entry="one!")


def a_success_is_that_of_another(told: Tale) -> None:
    told.change("one", result="parent!")


def a_failure_came_by_itself(told: Tale) -> None:
    told.change("off", state=FAILED)


def a_quarantine_came_too_early(told: Tale) -> None:
    told.change("again", state=FAILED, result=None, reason="quarantined")
    told.attempts.append(AttemptRow("again", 2, 2, "lost"))


def nobody_had_called_it_off(told: Tale) -> None:
    told.drop("cancels")


def a_stale_result_has_landed(told: Tale) -> None:
    told.note("returned", FIRST, entry="again?")
    told.change("again", result="again?", attempt=1)
    told.attempts[0] = AttemptRow("again", 2, 2, "lost")


def a_result_is_older_than_a_lost_attempt(told: Tale) -> None:
    told.attempts.append(AttemptRow("one", 2, 2, "lost"))


def an_attempt_began_twice(told: Tale) -> None:
    told.begin("one?", "one", 1, 1, SECOND)


def an_attempt_has_no_record(told: Tale) -> None:
    told.attempts.clear()


def an_attempt_is_recorded_under_another_number(told: Tale) -> None:
    told.attempts[0] = AttemptRow("again", 1, 2, "lost")


def there_were_too_many_attempts(told: Tale) -> None:
    told.change("doomed", max_attempts=1)


def two_attempts_met(told: Tale) -> None:
    at = told.place("begun", entry="again?")
    told.lines.insert(at, told.drop("begun", entry="again!"))


def two_jobs_of_a_lane_met(told: Tale) -> None:
    begun = told.drop("begun", entry="behind 2!")
    told.lines.insert(told.place("returned", entry="behind 1!"), begun)


def it_began_before_its_parent_had_ended(told: Tale) -> None:
    begun = told.drop("begun", entry="follower!")
    told.lines.insert(told.place("returned", entry="parent!"), begun)


def it_began_before_its_batch_had_ended(told: Tale) -> None:
    begun = told.drop("begun", entry="end!")
    told.lines.insert(told.place("returned", entry="member 2!"), begun)


def it_began_for_a_failure_that_was_none(told: Tale) -> None:
    told.lines[told.place("acknowledged", what="continuation")]["on"] = "failure"


def it_was_given_up_for_nothing(told: Tale) -> None:
    told.change("follower", state=CANCELLED, result=None)
    told.drop("begun", entry="follower!")
    told.drop("returned", entry="follower!")


def a_child_is_missing(told: Tale) -> None:
    told.change("child", ref=None)


def a_child_is_that_of_a_lost_attempt(told: Tale) -> None:
    told.lines[told.place("begun", entry="again?")]["parts"] = 1
    told.run("stray", SECOND, ref="again?-0")


def a_callback_was_told_something_else(told: Tale) -> None:
    told.change("measure", result="one!")


def a_callback_was_not_called(told: Tale) -> None:
    del told.lines[told.place("begun", entry="tell!")]["told"]


def a_batch_has_lost_a_job(told: Tale) -> None:
    told.change("member 1", batch=None)


def a_batch_has_a_job_too_many(told: Tale) -> None:
    told.change("one", batch="b")


def an_instant_came_twice(told: Tale) -> None:
    told.change("tick 1", fire_time=0)


def an_instant_is_missing(told: Tale) -> None:
    told.change("tick 2", fire_time=600_000)


def an_instant_is_beside_the_grid(told: Tale) -> None:
    for beat in range(3):
        told.change(f"tick {beat}", schedule="tock", fire_time=beat * 600_000)


def two_live_jobs_had_one_key(told: Tale) -> None:
    for line in (told.drop("acknowledged", jobs=["key 2"]), told.drop("asked", refs=["key 2"])):
        told.lines.insert(told.place("returned", entry="key 1!"), line)


SPOILED: dict[Spoil, str] = {
    a_job_is_lost: laws.KEPT,
    a_job_ran_and_is_not_there: laws.KEPT,
    half_of_what_was_asked_for_is_there: laws.WHOLE,
    what_was_refused_is_there: laws.REFUSED,
    a_job_is_stuck: laws.ENDED,
    a_success_is_nobody_s: laws.EARNED,
    a_success_is_that_of_another: laws.EARNED,
    a_failure_came_by_itself: laws.EARNED,
    a_quarantine_came_too_early: laws.EARNED,
    nobody_had_called_it_off: laws.EARNED,
    a_stale_result_has_landed: laws.LAST,
    a_result_is_older_than_a_lost_attempt: laws.LAST,
    an_attempt_began_twice: laws.COUNTED,
    an_attempt_has_no_record: laws.COUNTED,
    an_attempt_is_recorded_under_another_number: laws.COUNTED,
    there_were_too_many_attempts: laws.COUNTED,
    two_attempts_met: laws.APART,
    two_jobs_of_a_lane_met: laws.ROOM,
    it_began_before_its_parent_had_ended: laws.AFTER,
    it_began_before_its_batch_had_ended: laws.AFTER,
    it_began_for_a_failure_that_was_none: laws.AFTER,
    it_was_given_up_for_nothing: laws.AFTER,
    a_child_is_missing: laws.CHILDREN,
    a_child_is_that_of_a_lost_attempt: laws.CHILDREN,
    a_callback_was_told_something_else: laws.TOLD,
    a_callback_was_not_called: laws.TOLD,
    a_batch_has_lost_a_job: laws.BATCH,
    a_batch_has_a_job_too_many: laws.BATCH,
    an_instant_came_twice: laws.INSTANTS,
    an_instant_is_missing: laws.INSTANTS,
    an_instant_is_beside_the_grid: laws.INSTANTS,
    two_live_jobs_had_one_key: laws.KEY,
}


@pytest.mark.parametrize(
    ("spoil", "law"), SPOILED.items(), ids=[spoil.__name__ for spoil in SPOILED]
)
def test_the_judge_finds(spoil: Spoil, law: str) -> None:
    told = tale()
    spoil(told)
    assert law in found(told)


def test_whoever_stood_still_is_excused_while_it_stores_nothing() -> None:
    told = tale()
    two_attempts_met(told)
    assert found(told) == {laws.APART}
    told.note("no pulse", FIRST)
    assert found(told) == set()
