"""Promises about schedules: compared before they are changed, fired together with their jobs."""

from __future__ import annotations

from typing import Any

import attrs

from ...model.ids import JobId
from ...model.job import Details, JobRequest
from ...model.lifecycle import admit as admit_job
from ...model.occurrence import Occurrence, job_id_of, request_of
from ...model.schedule import Coalesce, Overlap, ScheduleRequest, StoredSchedule, admit
from ...model.states import Cancelled, Ready, Skipped, State, Waiting
from ...model.triggers import Trigger, cron, every, every_after
from ...storage.finding_messages import Find
from ...storage.messages import Commit, Committed, Conflict, Insert, Write
from ...storage.retention_messages import Prune, Pruned
from ...storage.schedule_messages import (
    FindSchedules,
    Fire,
    HeldJob,
    KeptSchedule,
    PutSchedule,
    Schedules,
)
from .inserting import ODD_TEXTS
from .subject import EVERYTHING, NOW, SECOND, Subject, ids, same

MINUTE = 60 * SECOND

TEMPLATE = JobRequest(JobId(bytes(16)), "close_day", "[[],{}]", 0, 3)


def schedule(
    name: str = "ledger", trigger: Trigger | None = None, **changes: Any
) -> StoredSchedule:
    """A schedule as it is at its first registration: every minute, unless told otherwise."""
    trigger = every(60.0) if trigger is None else trigger
    return admit(ScheduleRequest(name, trigger, TEMPLATE, **changes), NOW)


def advanced(before: StoredSchedule, until: int, **changes: Any) -> StoredSchedule:
    """The same after it has fired."""
    version = before.version + 1
    return attrs.evolve(before, since=until, next_at=until + MINUTE, version=version, **changes)


def firing(before: StoredSchedule, *instants: int, states: dict[int, State] | None = None) -> Fire:
    """The message that fires these instants; ready, unless ``states`` say otherwise."""
    requests = [request_at(before, instant) for instant in instants]
    known = states or {}
    after = advanced(before, instants[-1], last_at=instants[-1], last_job_id=requests[-1].id)
    first = [
        known.get(instant, admit_job(request))
        for instant, request in zip(instants, requests, strict=True)
    ]
    return Fire(before.version, after, requests, first)


def request_at(kept: StoredSchedule, instant: int) -> JobRequest:
    """The request of the job of an instant."""
    name = kept.request.name
    return request_of(kept.request, Occurrence(instant, job_id_of(name, instant), instant), instant)


async def put(subject: Subject, *schedules: StoredSchedule) -> None:
    for one in schedules:
        await subject.expect(Committed, PutSchedule(one.request.name, None, one))


async def find(subject: Subject, **query: Any) -> Schedules:
    return await subject.storage.read(FindSchedules(query.pop("limit", EVERYTHING), **query))


async def kept(subject: Subject, name: str = "ledger") -> KeptSchedule:
    """The one schedule of this name."""
    found = (await find(subject, name=name)).found
    same(len(found), 1, "the number of schedules of a name that exists")
    return found[0]


def names(found: Schedules) -> list[str]:
    return [one.schedule.request.name for one in found.found]


async def a_schedule_is_kept_as_it_was_put(subject: Subject) -> None:
    details = Details(
        tags=("b", "a"), metadata={"nested": [1, 2.5, None]}, retry={"fixed": [1.0, 0.0]}
    )
    template = attrs.evolve(
        TEMPLATE,
        timeout=SECOND,
        execute_after=SECOND,
        expire_on=MINUTE,
        queue="mail",
        priority=-7,
        tenant="acme",
        job_type="Ledger",
        method_name="close",
        details=details,
    )
    full = ScheduleRequest(
        "full",
        cron("H 2 * * MON-FRI").named("full"),
        template,
        "Europe/Rome",
        Overlap.CANCEL_OTHER,
        Coalesce.ALL,
        MINUTE,
        7,
        SECOND,
        NOW,
        NOW + 10**15,
    )
    last_id = job_id_of("full", NOW)
    schedules = [
        attrs.evolve(admit(full, NOW), last_at=NOW, last_job_id=last_id, paused=True),
        schedule("a", every_after(1.5)),
        schedule("b", cron("*/5 * * * *")),
        schedule("c", end=NOW + 1),
    ]
    await put(subject, *schedules)
    for wanted in schedules:
        name = wanted.request.name
        same(await kept(subject, name), KeptSchedule(wanted, (), None), "the schedule found")


async def odd_names_of_schedules_survive(subject: Subject) -> None:
    await put(subject, *(schedule(text) for text in ODD_TEXTS))
    same(names(await find(subject)), sorted(ODD_TEXTS, key=str.encode), "the names, in order")


async def a_schedule_is_put_only_at_the_version_that_was_seen(subject: Subject) -> None:
    first = schedule()
    await put(subject, first)
    second = advanced(first, NOW + MINUTE)
    for version in (None, first.version - 1, first.version + 1):
        await subject.expect(Conflict, PutSchedule("ledger", version, second))
    await subject.expect(Conflict, PutSchedule("other", first.version, schedule("other")))
    same(names(await find(subject)), ["ledger"], "the schedules after refused writes")
    same((await kept(subject)).schedule, first, "the schedule after refused writes")
    await subject.expect(Committed, PutSchedule("ledger", first.version, second))
    same((await kept(subject)).schedule, second, "the schedule")


async def a_removed_schedule_is_gone_and_its_jobs_stay(subject: Subject) -> None:
    first = schedule()
    await put(subject, first, schedule("other"))
    fire = firing(first, NOW + MINUTE)
    await subject.expect(Committed, fire)
    await subject.expect(Conflict, PutSchedule("ledger", first.version, None))
    await subject.expect(Committed, PutSchedule("ledger", fire.schedule.version, None))
    same(names(await find(subject)), ["other"], "the schedules that are left")
    same(ids(await subject.everything()), ids(fire.requests), "the jobs that are left")
    await subject.expect(Conflict, PutSchedule("ledger", fire.schedule.version, first))
    await subject.expect(Conflict, firing(fire.schedule, NOW + 2 * MINUTE))
    await put(subject, first)


async def a_schedule_fires_together_with_its_jobs(subject: Subject) -> None:
    first = schedule()
    await put(subject, first)
    instants = [NOW + n * MINUTE for n in range(1, 5)]
    states: dict[int, State] = {
        instants[0]: Skipped(NOW, "too late"),
        instants[2]: Waiting(),
        instants[3]: Ready(instants[3]),
    }
    fire = firing(first, *instants, states=states)
    await subject.expect(Committed, fire)
    for request, state in zip(fire.requests, fire.states, strict=True):
        job = await subject.get(request.id)
        same((job.request, job.state), (request, state), "a job of the firing, and its state")
    found = await kept(subject)
    same(found.schedule, fire.schedule, "the schedule after the firing")
    same(list(found.unfinished), ids(fire.requests[1:]), "its jobs that have not ended")
    claimed = (await subject.claim(instants[3])).jobs
    same(ids(claimed), [fire.requests[1].id, fire.requests[3].id], "what can be claimed")


async def a_schedule_fires_only_at_the_version_that_was_seen(subject: Subject) -> None:
    first = schedule()
    await put(subject, first, schedule("other"))
    fire = firing(first, NOW + MINUTE)
    late = firing(first, NOW + MINUTE, NOW + 2 * MINUTE)
    replies = await subject.apply([fire, late, fire])
    same(list(replies), [Committed(), Conflict(), Conflict()], "the replies to a race")
    same((await kept(subject)).schedule, fire.schedule, "the schedule after a race")
    same(ids(await subject.everything()), ids(fire.requests), "the jobs after a race")


async def a_firing_is_not_harmed_by_its_neighbours(subject: Subject) -> None:
    first = schedule()
    await put(subject, first)
    old = await subject.enqueue()
    fire = firing(first, NOW + MINUTE, NOW + 2 * MINUTE)
    again = Insert([old], [Ready(NOW)])
    new = subject.request()
    inserting = Insert([new], [Ready(NOW)])
    removing = PutSchedule("ledger", first.version, None)
    writes: list[Write] = [again, fire, again, removing, inserting, fire]
    replies = await subject.apply(writes)
    kinds = [type(reply).__name__ for reply in replies]
    wanted = ["DuplicateJob", "Committed", "DuplicateJob", "Conflict", "Inserted", "Conflict"]
    same(kinds, wanted, "the kinds of the replies")
    same(ids(await subject.everything())[::-1], ids([old, *fire.requests, new]), "the jobs stored")
    same((await kept(subject)).schedule, fire.schedule, "the schedule after the group")


async def an_instant_has_one_job_whatever_happens(subject: Subject) -> None:
    first = schedule()
    await put(subject, first)
    again = firing(first, NOW + MINUTE, NOW + 2 * MINUTE)
    await subject.insert(again.requests[0], states=[Ready(NOW)])
    there = await subject.get(again.requests[0].id)
    await subject.expect(Committed, again)
    same(await subject.get(again.requests[0].id), there, "a job that was there already")
    same(ids(await subject.everything())[::-1], ids(again.requests), "all jobs, oldest first")
    same((await kept(subject)).schedule, again.schedule, "the schedule after the firing")


async def a_firing_leaves_what_was_asked_for(subject: Subject) -> None:
    first = schedule()
    await put(subject, first)
    fire = firing(first, NOW + MINUTE)
    other = attrs.evolve(first.request, timezone="Europe/Rome")
    fire.schedule = attrs.evolve(fire.schedule, request=other)
    await subject.expect(Committed, fire)
    same((await kept(subject)).schedule.request, first.request, "what was asked for")


async def a_firing_may_make_no_job(subject: Subject) -> None:
    first = schedule()
    await put(subject, first)
    after = advanced(first, NOW + MINUTE)
    await subject.expect(Committed, Fire(first.version, after, (), ()))
    same((await kept(subject)).schedule, after, "the schedule after a firing without jobs")
    same(await subject.everything(), [], "the jobs")


async def due_schedules_come_by_their_next_instant_in_slices(subject: Subject) -> None:
    instants = {"a": 3, "b": 1, "c": 2, "d": 1, "e": 9, "f": None}
    for name, at in instants.items():
        next_at = None if at is None else NOW + at
        await put(subject, attrs.evolve(schedule(name), next_at=next_at))
    due = await find(subject, due_by=NOW + 3)
    same(names(due), ["b", "d", "c", "a"], "the schedules that are due")
    same(due.next_at, NOW + 9, "the next instant later than that")
    same(names(await find(subject, due_by=NOW + 2)), ["b", "d", "c"], "those due a little sooner")
    same(names(await find(subject, due_by=NOW + 3, limit=3)), ["b", "d", "c"], "a slice of them")
    nothing = await find(subject, due_by=NOW)
    same(nothing, Schedules((), NOW + 1, ()), "what is due before, and what is next")
    same((await find(subject, due_by=NOW + 9)).next_at, None, "what is next after the last")


async def schedules_come_by_name_in_pages(subject: Subject) -> None:
    same(await find(subject), Schedules((), None, ()), "what is found of none")
    await put(subject, *(schedule(name) for name in ("c", "a", "B", "b", "Zoë")))
    everything = await find(subject)
    same(names(everything), ["B", "Zoë", "a", "b", "c"], "all schedules, in order")
    same(everything.next_at, NOW + MINUTE, "the next instant of all")
    same(names(await find(subject, limit=2)), ["B", "Zoë"], "the first page")
    same(names(await find(subject, limit=2, after="Zoë")), ["a", "b"], "the second page")
    same(names(await find(subject, after="c")), [], "the page after the last")
    same(names(await find(subject, name="a")), ["a"], "the one of a name")
    same(names(await find(subject, name="A")), [], "those of a name that nobody has")


async def jobs_started_by_hand_do_not_count(subject: Subject) -> None:
    await put(subject, schedule())
    by_hand = await subject.enqueue(details=Details(schedule_name="ledger"))
    await subject.enqueue()
    same(list((await kept(subject)).unfinished), [], "the jobs that have not ended")
    found = await subject.storage.read(Find(10, schedule_name="ledger"))
    same(ids(found.jobs), [by_hand.id], "the jobs of the schedule, all the same")
    nobodys = await subject.storage.read(Find(10, schedule_name="other"))
    same(ids(nobodys.jobs), [], "the jobs of another")


async def unfinished_jobs_are_those_that_live(subject: Subject) -> None:
    first = schedule()
    await put(subject, first)
    fire = firing(first, NOW + MINUTE, NOW + 2 * MINUTE)
    await subject.expect(Committed, fire)
    one, two = fire.requests
    claimed = await subject.claim_one(NOW + MINUTE)
    found = await kept(subject)
    same((found.unfinished, found.last_ended_at), ((one.id, two.id), None), "while one runs")
    await subject.complete(claimed, NOW + MINUTE)
    found = await kept(subject)
    same((found.unfinished, found.last_ended_at), ((two.id,), None), "when it has ended")
    stored = await subject.get(two.id)
    ended_at = NOW + 3 * MINUTE
    cancelled = Commit(two.id, stored.version, Cancelled(ended_at, "not wanted"), 0)
    await subject.expect(Committed, cancelled)
    found = await kept(subject)
    same((found.unfinished, found.last_ended_at), ((), ended_at), "when both have ended")
    again = Commit(two.id, stored.version + 1, Ready(ended_at), 0)
    await subject.expect(Committed, again)
    found = await kept(subject)
    same((found.unfinished, found.last_ended_at), ((two.id,), None), "when it is run again")


async def held_jobs_name_whom_they_wait_for(subject: Subject) -> None:
    first, other = schedule("a"), schedule("b")
    await put(subject, first, other)
    instants = [NOW + n * MINUTE for n in range(1, 4)]
    fire = firing(first, *instants, states={instants[1]: Waiting(), instants[2]: Waiting()})
    await subject.expect(Committed, fire)
    await subject.expect(Committed, firing(other, instants[0], states={instants[0]: Waiting()}))
    await subject.insert(subject.request(), states=[Waiting()])
    one, two, three = ids(fire.requests)
    alone = HeldJob(job_id_of("b", instants[0]), "b", ())
    held = [HeldJob(two, "a", (one,)), HeldJob(three, "a", (one, two)), alone]
    same(list((await find(subject, limit=1)).held), held, "the jobs held")
    same(
        list((await find(subject, due_by=NOW)).held), held, "the jobs held, when asked what is due"
    )
    same(list((await find(subject, name="a")).held), [], "those told when one name is asked for")
    await subject.complete(await subject.claim_one(instants[0]))
    same(
        (await find(subject)).held[0], HeldJob(two, "a", ()), "the second, when the first has ended"
    )
    await subject.expect(Committed, Commit(two, 0, Ready(instants[1]), 0))
    held = [HeldJob(three, "a", (two,)), alone]
    same(list((await find(subject)).held), held, "the jobs held, when the second may run")


async def many_jobs_go_in_one_firing(subject: Subject) -> None:
    first = schedule()
    await put(subject, first)
    fire = firing(first, *(NOW + n * MINUTE for n in range(1, 301)))
    await subject.expect(Committed, fire)
    same(list((await kept(subject)).unfinished), ids(fire.requests), "the jobs, in order")
    same(ids(await subject.everything())[::-1], ids(fire.requests), "all jobs, oldest first")


async def schedules_handed_out_do_not_change(subject: Subject) -> None:
    first = schedule()
    await put(subject, first)
    before = await kept(subject)
    copy = attrs.evolve(before, schedule=attrs.evolve(before.schedule))
    await subject.expect(Committed, firing(first, NOW + MINUTE))
    same(before, copy, "a schedule that was handed out before")


async def the_newest_job_of_a_schedule_is_not_pruned(subject: Subject) -> None:
    before = schedule()
    await put(subject, before)
    instants = [before.anchor + n * MINUTE for n in (1, 2)]
    ended: dict[int, State] = {instant: Skipped(NOW, "") for instant in instants}
    await subject.expect(Committed, firing(before, *instants, states=ended))
    pruned = await subject.expect(Pruned, Prune(NOW + 9, EVERYTHING))
    same(pruned.count, 1, "the number of jobs deleted while the schedule is there")
    (left,) = await subject.everything()
    same(left.request.id, (await kept(subject)).schedule.last_job_id, "the job left")
    version = (await kept(subject)).schedule.version
    await subject.expect(Committed, PutSchedule("ledger", version, None))
    pruned = await subject.expect(Pruned, Prune(NOW + 9, EVERYTHING))
    same(pruned.count, 1, "the number of jobs deleted when it is removed")


SCHEDULING_CHECKS = (
    a_schedule_is_kept_as_it_was_put,
    odd_names_of_schedules_survive,
    a_schedule_is_put_only_at_the_version_that_was_seen,
    a_removed_schedule_is_gone_and_its_jobs_stay,
    a_schedule_fires_together_with_its_jobs,
    a_schedule_fires_only_at_the_version_that_was_seen,
    a_firing_is_not_harmed_by_its_neighbours,
    an_instant_has_one_job_whatever_happens,
    a_firing_leaves_what_was_asked_for,
    a_firing_may_make_no_job,
    due_schedules_come_by_their_next_instant_in_slices,
    schedules_come_by_name_in_pages,
    jobs_started_by_hand_do_not_count,
    unfinished_jobs_are_those_that_live,
    held_jobs_name_whom_they_wait_for,
    many_jobs_go_in_one_firing,
    schedules_handed_out_do_not_change,
    the_newest_job_of_a_schedule_is_not_pruned,
)
