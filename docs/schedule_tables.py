"""The tables of what a schedule's policies come to, made by asking the rules themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from trio_gusto.model.firing import Firing, fire
from trio_gusto.model.ids import JobId
from trio_gusto.model.instants import to_instant
from trio_gusto.model.job import JobRequest
from trio_gusto.model.occurrence import job_id_of
from trio_gusto.model.schedule import Overlap, StoredSchedule, admit
from trio_gusto.model.schedule_options import schedule_request

TEMPLATE = JobRequest(JobId(bytes(16)), "close_day", "[[],{}]", 0, 10)

MISSED: tuple[Mapping[str, object], ...] = (
    {"coalesce": "latest"},
    {"coalesce": "earliest"},
    {"coalesce": "all", "overlap": "allow"},
    {"coalesce": "all", "overlap": "allow", "max_catchup": 2},
    {"coalesce": "all", "overlap": "skip"},
    {"coalesce": "latest", "misfire_grace_time": 1800},
    {"coalesce": "earliest", "misfire_grace_time": 2 * 3600},
    {"coalesce": "all", "overlap": "allow", "misfire_grace_time": 2 * 3600},
)


def at(hour: int, minute: int = 0) -> int:
    return to_instant(datetime(2026, 6, 1, hour, minute, tzinfo=UTC))


def hourly(**options: object) -> StoredSchedule:
    """A schedule of every full hour, registered at midnight."""
    now = at(0)
    return admit(schedule_request("ledger", "0 * * * *", TEMPLATE, now=now, **options), now)  # type: ignore[arg-type]


def said(options: Mapping[str, object]) -> str:
    return ", ".join(f"`{key}={value!r}`" for key, value in options.items())


def cells(firing: Firing, hours: Iterable[int]) -> Iterator[str]:
    """What became of each hour's instant."""
    jobs = {fired.fire_time for fired in firing.jobs}
    skips = {one.fire_time: one for one in firing.skipped}
    for hour in hours:
        if at(hour) in jobs:
            yield "runs"
        elif (skip := skips.get(at(hour))) is not None:
            count = f", for {skip.count}" if skip.count > 1 else ""
            yield f"skipped ({skip.reason.value}{count})"
        else:
            yield ""


def missed_rows() -> Iterator[list[str]]:
    """Five instants, all missed, and looked at at 5:40."""
    for options in MISSED:
        firing = fire(hourly(**options), at(5, 40))
        yield [said(options), *cells(firing, range(1, 6))]


def overlap_rows() -> Iterator[list[str]]:
    """An instant at 2:00, while the job of 1:00 runs; and one at 3:00, while it runs still."""
    for overlap in Overlap:
        schedule = hourly(overlap=overlap.value)
        unfinished: list[JobId] = []
        row = [f"`{overlap.value!r}`"]
        for hour in (1, 2, 3):
            firing = fire(schedule, at(hour), unfinished)
            schedule = firing.schedule
            row.append(told(firing))
            unfinished = [one for one in unfinished if one not in firing.cancel]
            unfinished += [fired.job_id for fired in firing.jobs]
        yield row


def told(firing: Firing) -> str:
    if not firing.jobs:
        return "skipped"
    (fired,) = firing.jobs
    names = {job_id_of("ledger", at(hour)): f"{hour}:00" for hour in range(24)}
    called_off = [names[job_id] for job_id in firing.cancel]
    if called_off:
        return f"cancels {', '.join(called_off)}, runs after its end"
    if fired.wait_for:
        return f"waits for {', '.join(names[job_id] for job_id in fired.wait_for)}"
    return "runs"
