"""Schedules for the machine that drives two storages side by side: kept, fired, and looked for."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.agreement import Agreement
from trio_gusto.actors.cron import _fire
from trio_gusto.model.happenings import ParentsEnded
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import JobRequest
from trio_gusto.model.lifecycle import advance
from trio_gusto.model.schedule import (
    Coalesce,
    Overlap,
    ScheduleRequest,
    StoredSchedule,
    admit,
    edit,
    pause,
    resume,
)
from trio_gusto.model.triggers import Every, EveryAfter, cron
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.messages import Commit, Committed, Conflict
from trio_gusto.storage.schedule_messages import (
    FindSchedules,
    KeptSchedule,
    PutSchedule,
    Schedules,
)

TICK = 1000
"""Microseconds: the shortest interval that is kept."""

TEMPLATE = JobRequest(JobId(bytes(16)), "f", "[[],{}]", 0, 2)

names = st.sampled_from(["x", "y", "é"])
triggers = st.sampled_from([Every(TICK), Every(3 * TICK), EveryAfter(TICK), cron("* * * * * *")])


class ScheduleAgreement(Agreement):
    """What happens to all jobs, and to those of schedules besides."""

    def looked_for(self, query: FindSchedules) -> Schedules:
        found = self.ask(query)
        assert isinstance(found, Schedules)
        return found

    def one(self, name: str) -> KeptSchedule | None:
        found = self.looked_for(FindSchedules(1, name=name)).found
        return found[0] if found else None

    def put(self, name: str, before: KeptSchedule | None, after: StoredSchedule | None) -> None:
        version = None if before is None else before.schedule.version
        stale = -1 if version is None else version + 1
        wrong, right = self.tell(PutSchedule(name, stale, after), PutSchedule(name, version, after))
        assert (wrong, right) == (Conflict(), Committed())

    @rule(count=st.integers(1, 3))
    def instants_come(self, count: int) -> None:
        self.now += count * TICK

    @rule(
        name=names,
        trigger=triggers,
        overlap=st.sampled_from(Overlap),
        coalesce=st.sampled_from(Coalesce),
        expire_on=st.none() | st.just(2 * TICK),
    )
    def register(
        self,
        name: str,
        trigger: Every | EveryAfter,
        overlap: Overlap,
        coalesce: Coalesce,
        expire_on: int | None,
    ) -> None:
        template = JobRequest(TEMPLATE.id, "f", "[[],{}]", 0, 2, expire_on=expire_on)
        request = ScheduleRequest(
            name, trigger, template, overlap=overlap, coalesce=coalesce, max_catchup=3
        )
        before = self.one(name)
        if before is None:
            self.put(name, None, admit(request, self.now))
        else:
            self.put(name, before, edit(before.schedule, request, self.now))

    @rule(name=names, what=st.sampled_from(["pause", "resume", "remove"]))
    def manage(self, name: str, what: str) -> None:
        before = self.one(name)
        if before is None:
            return
        if what == "pause":
            self.put(name, before, pause(before.schedule))
        elif what == "resume":
            self.put(name, before, resume(before.schedule, self.now))
        else:
            self.put(name, before, None)

    @rule(limit=st.integers(1, 3), twice=st.booleans())
    def fire_what_is_due(self, limit: int, twice: bool) -> None:
        page = self.looked_for(FindSchedules(limit, due_by=self.now))
        messages = [_fire(kept, self.now).message for kept in page.found]
        if messages:
            replies = self.tell(*messages, *messages[: int(twice)])
            assert list(replies[: len(messages)]) == [Committed()] * len(messages)
            assert list(replies[len(messages) :]) == [Conflict()] * int(twice)
        for message in messages:
            assert all(request.id in self.jobs for request in message.requests)

    @rule()
    def let_go(self) -> None:
        for held in self.looked_for(FindSchedules(1)).held:
            if not held.behind:
                job = self.jobs[held.job_id]
                state = advance(job, ParentsEnded(self.now)).state
                (reply,) = self.tell(Commit(held.job_id, job.version, state, job.attempt))
                assert reply == Committed()

    @rule(name=names, limit=st.integers(0, 3), by=st.integers(-2, 2))
    def look_at_schedules(self, name: str, limit: int, by: int) -> None:
        self.looked_for(FindSchedules(limit))
        self.looked_for(FindSchedules(limit, after=name))
        self.looked_for(FindSchedules(limit, due_by=self.now + by * TICK))
        self.one(name)
        self.ask(Find(limit, schedule_name=name))
