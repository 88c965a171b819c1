"""A job that kills its worker, again and again, ends in quarantine, and the others run."""

from __future__ import annotations

import trio

from tests.processes.conftest import PATIENCE, Workshop
from trio_gusto import AttemptOutcome, JobState

LOST = AttemptOutcome.LOST


def test_what_kills_its_worker_is_quarantined_and_the_others_run(workshop: Workshop) -> None:
    workshop.enqueue("poison")
    workshop.enqueue_many("double", [(number,) for number in range(20)])
    for _ in range(2):
        workshop.killed()
    # The third time it waits for a moment of its own, and the others run before or after it.
    workshop.killed()
    workshop.work()
    (poison, attempts), *others = workshop.look()
    assert (poison.state, poison.attempt) == (JobState.FAILED, 3)
    assert poison.reason == "quarantined: lost with its node 3 times in a row"
    assert [attempt.outcome for attempt in attempts] == [LOST] * 3
    assert workshop.ledger.words().count("poison") == 3
    assert {job.state for job, _ in others} == {JobState.COMPLETED}


def test_by_hand_it_runs_again_and_is_counted_anew(workshop: Workshop) -> None:
    poison = workshop.enqueue("poison")
    options = {"quarantine_after": 2}
    for _ in range(2):
        workshop.killed(options=options)

    async def look_and_retry() -> None:
        async with workshop.program.app.running() as queue:
            with trio.fail_after(PATIENCE):
                assert (await queue.ref(poison.id).wait()).state is JobState.FAILED
            explanation = await queue.explain(poison.id)
            assert "quarantined: lost with its node 2 times in a row" in explanation.sentence
            assert "runs again only if it is retried by hand" in explanation.sentence
            assert explanation.details["quarantined"] is True

    async def retry() -> None:
        async with workshop.program.app.connected() as queue:
            assert await queue.retry(poison.id)

    workshop.program = type(workshop.program)(workshop.home, quarantine_after=2)
    trio.run(look_and_retry)
    trio.run(retry)
    workshop.killed(options=options)  # once more is not twice in a row
    (workshop.home / "antidote").touch()
    workshop.work()
    ((job, attempts),) = workshop.look()
    assert job.state is JobState.COMPLETED
    assert [attempt.outcome for attempt in attempts] == [LOST, LOST, LOST, "succeeded"]


def test_to_leave_the_process_is_to_be_lost_with_it(workshop: Workshop) -> None:
    workshop.enqueue("leave")
    worker = workshop.start(options={"quarantine_after": 1})
    assert worker.ended() == 3
    workshop.program = type(workshop.program)(workshop.home, quarantine_after=1)
    workshop.work()
    ((job, (attempt,)),) = workshop.look()
    assert (job.state, attempt.outcome) == (JobState.FAILED, LOST)
    assert workshop.ledger.words() == ["leave"]
