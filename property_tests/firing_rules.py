"""What must hold of schedules, and of the jobs that they make.

Each instant comes once and in order, is one that the trigger tells, is neither early nor lost; nothing
fires in a pause; and jobs meet as the schedule says. When a trigger happens is told here by grids of
instants, and asked of nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import attrs

from property_tests.hearing import Reply, Words, claimed, committed
from trio_gusto.clock import Clock
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import JobRequest
from trio_gusto.model.schedule import Coalesce, Overlap, ScheduleRequest, StoredSchedule
from trio_gusto.model.states import JobState, Skipped, State
from trio_gusto.model.triggers import Cron, Every
from trio_gusto.storage.messages import Committed, Write
from trio_gusto.storage.schedule_messages import Fire, PutSchedule

SECOND = 1_000_000

GRIDS = {"*/20 * * * * *": (20 * SECOND, 0), "7 * * * * *": (60 * SECOND, 7 * SECOND)}
"""The cron expressions that are known here: how far their instants lie apart, and one of them."""


def instants(schedule: StoredSchedule, until: int) -> range | None:
    """What lies between the mark of a schedule and ``until``, that one included.

    ``None`` for triggers that count from the end of a job.
    """
    request = schedule.request
    match request.trigger:
        case Every(length, anchor):
            one = schedule.anchor if anchor is None else anchor
        case Cron(expression):
            length, one = GRIDS[expression]
        case _:
            return None
    since = schedule.since if request.start is None else max(schedule.since, request.start - 1)
    last = until if request.end is None else min(until, request.end - 1)
    return range(one + ((since - one) // length + 1) * length, last + 1, length)


@attrs.define
class Made:
    """A job of an instant. ``behind`` are those that have to end before it runs."""

    name: str
    fire_time: int
    behind: set[JobId] = attrs.field(factory=set[JobId])
    by_hand: bool = False
    """Somebody had it run again, besides what the schedule does."""


class FiringRules(Words):
    """Hears what is kept of schedules, and what they fire."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._latest = 0
        """The latest instant that the wall clock has shown."""
        self.schedules: dict[str, StoredSchedule] = {}
        self.made: dict[JobId, Made] = {}
        self._instants: dict[tuple[str, int], JobId] = {}

    def hear(self, write: Write, reply: Reply) -> None:
        self.see_clock()
        if isinstance(write, PutSchedule) and isinstance(reply, Committed):
            self._put(write)
        if isinstance(write, Fire) and isinstance(reply, Committed):
            self._fired(write)
        for job in claimed(write, reply):
            made = self.made.get(job.request.id)
            free = made is None or made.by_hand or not made.behind
            self.expect(free, "a job runs when those before it have ended", job.request.id)
        for commit in committed(write, reply):
            self._note(commit.job_id, commit.state)
        super().hear(write, reply)

    def see_clock(self) -> None:
        """To be called before the clock is set: somebody may have seen it as it is."""
        self._latest = max(self._latest, self._clock.instant())

    def check_at_rest(self) -> None:
        """What has been due for a second has fired."""
        now = self._clock.instant() - SECOND
        for name, schedule in self.schedules.items():
            if schedule.paused:
                continue
            due = instants(schedule, now)
            if due is None:
                due = range(schedule.next_at or now + 1, now + 1)
            self.expect(not due, "what is due fires", name, schedule)

    def unfinished(self, name: str) -> list[JobId]:
        """Jobs of a schedule's instants that have not ended, nor were run again by hand."""
        return [
            job_id
            for job_id, made in self.made.items()
            if made.name == name and not made.by_hand and not self.has_ended(job_id)
        ]

    # --- inside ---

    def _note(self, job_id: JobId, state: State) -> None:
        made = self.made.get(job_id)
        if made is not None and self.has_ended(job_id):
            made.by_hand = True
        if state.word.is_ended:
            for other in self.made.values():
                other.behind.discard(job_id)

    def _put(self, put: PutSchedule) -> None:
        known, new = self.schedules.get(put.name), put.schedule
        version = None if known is None else known.version
        self.expect(put.version == version, "a schedule is changed as it was seen", put.name)
        if new is None:
            del self.schedules[put.name]
            return
        self.schedules[put.name] = new
        if known is None:
            return
        self.expect(new.since >= known.since, "what has fired is over", put.name)
        again = (new.request.trigger, new.request.timezone, new.request.start) != (
            known.request.trigger,
            known.request.timezone,
            known.request.start,
        )
        resumed = known.paused and not new.paused
        over = known.next_at is None and not known.paused
        stayed = new.since == known.since
        self.expect(stayed or again or resumed or over, "no instant is passed over", put.name)

    def _fired(self, fire: Fire) -> None:
        after, name = fire.schedule, fire.schedule.request.name
        known = self.schedules.get(name)
        self.expect(known is not None, "what is removed fires nothing", name)
        if known is None:
            return
        self.expect(known.version == fire.version, "a schedule fires as it was seen", name)
        self.expect(not known.paused, "a paused schedule fires nothing", name)
        self.expect(after.since >= known.since, "what has fired is over", name)
        records = list(zip(fire.requests, fire.states, strict=True))
        self._check_instants(known, after, records)
        new = [
            (request, state)
            for request, state in records
            if self._enter(name, _fire_time(request), request.id)
        ]
        self._check_overlap(known.request, new)
        self.schedules[name] = attrs.evolve(after, request=known.request)

    def _enter(self, name: str, fire_time: int, job_id: JobId) -> bool:
        """Whether an instant is new. One that is not has been dealt with."""
        known = self._instants.setdefault((name, fire_time), job_id)
        self.expect(known == job_id, "each instant has one job", name, fire_time)
        return job_id not in self.words

    def _check_instants(
        self,
        before: StoredSchedule,
        after: StoredSchedule,
        records: Sequence[tuple[JobRequest, State]],
    ) -> None:
        name = before.request.name
        times = [_fire_time(request) for request, _ in records]
        ordered = all(earlier < later for earlier, later in pairwise(times))
        self.expect(ordered, "instants come in their order", name, times)
        for request, _ in records:
            now, at = request.created_at, _fire_time(request)
            self.expect(before.since < at <= after.since, "no instant comes twice", name, at)
            self.expect(at <= now <= self._latest, "no instant comes early", name, at, now)
            assert request.execute_after is not None
            held_back = request.execute_after - at
            self.expect(0 <= held_back <= before.request.jitter, "jitter is short", name, held_back)
        due = instants(before, after.since)
        if due is None:
            self.expect(len(records) <= 1, "one job after the other", name, times)
            return
        self.expect(set(times) <= set(due), "the trigger tells each instant", name, times, due)
        if before.request.coalesce is not Coalesce.ALL:
            self.expect(len(records) == 1, "of many missed instants one is recorded", name, times)
        elif not any("at least" in _reason(state) for _, state in records):
            counted = sum(_count(state) for _, state in records)
            self.expect(counted == len(due), "no instant is lost in silence", name, counted, due)
        if records:
            left = instants(after, records[0][0].created_at)
            self.expect(not left, "what is due fires in one go", name, left)

    def _check_overlap(
        self, request: ScheduleRequest, new: Sequence[tuple[JobRequest, State]]
    ) -> None:
        name = request.name
        behind = self.unfinished(name)
        jobs = [job for job, state in new if not isinstance(state, Skipped)]
        most = {
            Overlap.SKIP: 0 if behind else 1,
            Overlap.ALLOW: len(jobs),
            Overlap.BUFFER_ONE: max(0, 2 - len(behind)),
            Overlap.CANCEL_OTHER: 1,
        }[request.overlap]
        self.expect(
            len(jobs) <= most, "jobs meet as asked", name, request.overlap, len(jobs), behind
        )
        for job in jobs:
            # A schedule that was registered anew under a clock that was set back may come to
            # instants before those of its former life; nobody waits for what is later.
            earlier = {
                one
                for one in behind
                if self.made[one].fire_time < _fire_time(job)
                and request.overlap is not Overlap.ALLOW
            }
            self.made[job.id] = Made(name, _fire_time(job), earlier)
            self.words[job.id] = JobState.WAITING  # for the next of these
            behind.append(job.id)


def _fire_time(request: JobRequest) -> int:
    assert request.details is not None
    assert request.details.fire_time is not None
    return request.details.fire_time


def _reason(state: State) -> str:
    return state.reason if isinstance(state, Skipped) else ""


def _count(state: State) -> int:
    """For how many instants a record stands."""
    found = re.search(r"\((\d+) instants\)", _reason(state))
    return int(found[1]) if found else 1
