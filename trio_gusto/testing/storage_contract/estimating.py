"""Promises about earlier runs: which are looked at, and in which order they are told."""

from __future__ import annotations

from ...model.job import Details, JobRequest
from ...model.states import Cancelled, Completed, State
from ...storage.messages import Insert
from ...storage.run_messages import PastRuns, RunsFound
from .subject import NOW, Subject, same

ENOUGH = 100


async def earlier_runs_are_told_newest_end_first(subject: Subject) -> None:
    for duration, ended in ((5, 30), (6, 10), (7, 20), (8, 30)):
        await _ran(subject, duration, ended=ended)
    await _expect(subject, [8, 5, 7, 6])
    await _expect(subject, [8, 5], limit=2)


async def only_so_many_of_the_jobs_that_ended_last_are_looked_at(subject: Subject) -> None:
    await _ran(subject, 1, ended=1)
    await _ran(subject, 2, ended=2)
    await _ran(subject, 3, ended=3, name="another")
    await _expect(subject, [2], look=2)
    await _expect(subject, [], look=1)


async def only_completed_runs_of_the_handler_count(subject: Subject) -> None:
    await _ran(subject, 1, ended=1)
    await _ran(subject, 2, ended=2, name="another")
    await _keep(subject, subject.request(), Cancelled(NOW + 9, ""))
    await subject.enqueue()
    await _expect(subject, [1])
    await _expect(subject, [2], name="another")
    await _expect(subject, [], name="a third")


async def runs_of_another_named_worker_do_not_count(subject: Subject) -> None:
    await _ran(subject, 1, ended=1)
    await _ran(subject, 2, ended=2, details=Details(worker="smtp"))
    await _ran(subject, 3, ended=3, details=Details(worker="printer"))
    await _expect(subject, [1])
    await _expect(subject, [2], worker="smtp")


async def runs_of_a_schedule_are_those_of_the_jobs_it_made_last(subject: Subject) -> None:
    nightly = Details(schedule_name="nightly")
    await _ran(subject, 1, ended=9, details=nightly)
    await _ran(subject, 2, ended=1, details=nightly)
    await _ran(subject, 3, ended=2, details=Details(schedule_name="hourly"))
    await _ran(subject, 4, ended=3)
    await _expect(subject, [2, 1], schedule="nightly")
    await _expect(subject, [2], schedule="nightly", look=1)
    await _expect(subject, [], schedule="weekly")
    await _expect(subject, [1, 4, 3, 2])


async def _ran(
    subject: Subject, duration: int, *, ended: int, details: Details | None = None, **place: str
) -> None:
    at = NOW + ended
    state = Completed(at, at - duration, at - duration, subject.node)
    await _keep(subject, subject.request(details=details, **place), state)


async def _keep(subject: Subject, request: JobRequest, state: State) -> None:
    """Whatever its state, a new job is a new job to a storage."""
    await subject.tell(Insert([request], [state]))


async def _expect(
    subject: Subject,
    durations: list[int],
    *,
    name: str = "say_hello",
    worker: str | None = None,
    limit: int = ENOUGH,
    look: int = ENOUGH,
    schedule: str | None = None,
) -> None:
    found = await subject.storage.read(PastRuns(name, worker, limit, look, schedule))
    if not isinstance(found, RunsFound):
        raise AssertionError(f"PastRuns should be answered with RunsFound, not {found!r}")
    same(list(found.durations), durations, "how long the earlier runs took")


ESTIMATING_CHECKS = (
    earlier_runs_are_told_newest_end_first,
    only_so_many_of_the_jobs_that_ended_last_are_looked_at,
    only_completed_runs_of_the_handler_count,
    runs_of_another_named_worker_do_not_count,
    runs_of_a_schedule_are_those_of_the_jobs_it_made_last,
)
