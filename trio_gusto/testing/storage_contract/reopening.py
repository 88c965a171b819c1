"""Promises about what outlives a storage object: all that was acknowledged, and nothing by halves."""

from __future__ import annotations

from ...model.states import Cancelled
from ...storage.messages import Commit, Committed, Conflict, Insert
from .callbacks import awaiting
from .depending import ask, of
from .plays import REOPENED_PLAY_CHECKS
from .scheduling import MINUTE, find, firing, put, schedule
from .subject import NOW, Subject, same, successes


async def jobs_and_schedules_are_there_when_it_is_opened_again(subject: Subject) -> None:
    await subject.enqueue(priority=7)
    await subject.enqueue()
    done, running = (await subject.claim(limit=2)).jobs
    await subject.complete(done)
    await subject.enqueue()
    returned, callback = await subject.claim_one(), subject.request(execute_after=NOW + MINUTE)
    await subject.expect(Committed, awaiting(returned, callback))
    waiting = await subject.enqueue(execute_after=running.request.created_at + 1)
    await put(subject, schedule())
    await subject.expect(Committed, firing(schedule(), NOW + MINUTE))
    kept = await subject.everything()
    schedules = await find(subject)
    await subject.reopen()
    same(await subject.everything(), kept, "the jobs after the storage was opened again")
    same(await find(subject), schedules, "the schedules after the storage was opened again")
    (claimed,) = (await subject.claim(waiting.created_at + 1)).jobs
    same(claimed.request, waiting, "the job claimed after the storage was opened again")
    duplicate = await subject.tell(Insert([waiting], [kept[0].state]))
    same(type(duplicate).__name__, "DuplicateJob", "the reply to an id used before reopening")
    refused = await subject.complete_all(successes(running, done))
    same(refused, {1: Conflict()}, "what is refused of successes claimed before reopening")
    await subject.expect(Committed, Commit(callback.id, 0, Cancelled(NOW, "not wanted"), 0))
    over = of(await ask(subject))
    same(over, [returned.request.id], "whose wait for a callback may be over after reopening")


REOPENING_CHECKS = (
    jobs_and_schedules_are_there_when_it_is_opened_again,
    *REOPENED_PLAY_CHECKS,
)
