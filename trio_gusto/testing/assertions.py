"""What a test asks of a queue: run what is due, and say what is or is not enqueued.

They work on any `JobQueue`, also on a merely connected one, and raise plain `AssertionError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, cast

import attrs

from ..model.errors import ArgumentError
from ..model.job import Job, StoredJob
from ..model.states import JobState, Ready
from ..queue.call import Call
from ..queue.jobqueue import JobQueue
from ..queue.records import JobFilter

SHOWN = 10
"""Near misses that a message lists, at most."""

PAGE = 500
"""Jobs looked at in one go."""

LIVE = tuple(state for state in JobState if not state.is_ended)

_CRITERIA = frozenset(field.name for field in attrs.fields(Job)) - {"args", "kwargs"}


async def drain(queue: JobQueue) -> None:
    """Run everything that is due, and what that makes due, in the calling task; then return.

    For a queue of ``app.connected()`` actors are started inside this call and are gone when it
    returns. For one of ``app.running()``, whose actors run already, it waits until they are idle.
    Jobs that fall due later are left alone.

    An exception of a handler is its job's affair, as always: look at ``ref.result()``.
    """
    await queue.work_until_idle()


async def assert_enqueued(
    queue: JobQueue, fn: Callable[..., Any], /, *args: object, **criteria: object
) -> Job:
    """Assert that a job which calls ``fn(*args)`` is enqueued and has not ended.

    Args:
        queue: where to look.
        fn: the handler, or a `functools.partial` of it with keyword arguments.
        args: all arguments of the call as it was enqueued, compared in their stored form. With
            none at all, any arguments will do.
        criteria: what the job's other fields have to be, by the names of `Job`: ``queue="mail"``,
            ``priority=5``, ``state="scheduled"``, ``tags=["vip"]``,
            ``execute_after=timedelta(hours=1)`` (a timedelta counts from the enqueue).

    Returns:
        The oldest such job.

    Raises:
        AssertionError: there is none; the message lists the jobs that come near.
        ArgumentError: ``args`` do not fit the handler, or a criterion is no field of `Job`.
        UnknownHandler: ``fn`` is registered nowhere.
    """
    wanted = _Wanted.of(queue, fn, args, criteria)
    jobs = await _all(queue, JobFilter(names=[wanted.name], states=LIVE))
    fitting = [job for job in jobs if not wanted.misfits(job)]
    if fitting:
        return fitting[-1]
    ended = await queue.find(JobFilter(names=[wanted.name], states=_ENDED), limit=SHOWN)
    others = await _all(queue, JobFilter(states=LIVE))
    lines = [
        f"no job that has not ended is {wanted}",
        *_listed("jobs of this handler come near:", [wanted.near_miss(job) for job in jobs]),
        *_listed("jobs of this handler have ended:", [_shown(job) for job in ended.items]),
        *_listed("enqueued otherwise:", _counted(job for job in others if job.name != wanted.name)),
    ]
    raise AssertionError("\n".join(lines if len(lines) > 1 else [*lines, "  nothing is enqueued"]))


async def refute_enqueued(
    queue: JobQueue, fn: Callable[..., Any], /, *args: object, **criteria: object
) -> None:
    """Assert that no job which calls ``fn(*args)`` is enqueued; jobs that have ended do not count.

    Takes what `assert_enqueued` takes, and means the same by it.

    Raises:
        AssertionError: there are such jobs; the message lists them.
        ArgumentError: ``args`` do not fit the handler, or a criterion is no field of `Job`.
        UnknownHandler: ``fn`` is registered nowhere.
    """
    wanted = _Wanted.of(queue, fn, args, criteria)
    jobs = await _all(queue, JobFilter(names=[wanted.name], states=LIVE))
    fitting = [_shown(job) for job in jobs if not wanted.misfits(job)]
    if fitting:
        lines = _listed(f"there should be no {wanted}, but:", fitting, indent="")
        raise AssertionError("\n".join(lines))


# --- what is looked for ---------------------------------------------------------------------------

_ENDED = tuple(state for state in JobState if state.is_ended)


@attrs.frozen
class _Wanted:
    name: str
    call: Job | None
    """The wanted call, as a job would show it; ``None`` if any arguments will do."""
    criteria: Mapping[str, object]

    @classmethod
    def of(
        cls,
        queue: JobQueue,
        fn: Callable[..., Any],
        args: tuple[object, ...],
        criteria: Mapping[str, object],
    ) -> _Wanted:
        for key in criteria.keys() - _CRITERIA:
            raise ArgumentError(
                f"{key!r} is no field of a job, so no job could have it; "
                f"give one of {', '.join(sorted(_CRITERIA))}",
                path=f"$.{key}",
            )
        name = _handler_name(queue, fn)
        if not _gives_arguments(fn, args):
            return cls(name, None, criteria)
        wanted = Call[Any](fn, args, {})
        request = queue._draft(wanted)  # pyright: ignore[reportPrivateUsage] # stores nothing
        drafted = StoredJob(request, 0, Ready(request.created_at))
        view = queue.reader.view(drafted)  # as users see it
        return cls(name, view, criteria)

    def misfits(self, job: Job) -> list[str]:
        """What about ``job`` is not as wanted, in words."""
        found: list[str] = []
        if self.call is not None and (job.args, job.kwargs) != (self.call.args, self.call.kwargs):
            found.append("other arguments")
        for key, value in self.criteria.items():
            actual = getattr(job, key)
            if actual != _comparable(key, value, job):
                found.append(f"{key} is {_plain(actual)}")
        return found

    def near_miss(self, job: Job) -> str:
        return f"{_shown(job)}  ← {', '.join(self.misfits(job))}"

    def __str__(self) -> str:
        shown = f"{self.name}(…)" if self.call is None else _called(self.call)
        wanted = ", ".join(f"{key}={_plain(value)}" for key, value in self.criteria.items())
        return f"{shown} with {wanted}" if wanted else shown


def _gives_arguments(fn: object, args: tuple[object, ...]) -> bool:
    return bool(args) or isinstance(fn, partial)


def _handler_name(queue: JobQueue, fn: Callable[..., Any]) -> str:
    while isinstance(fn, partial):
        fn = fn.func
    return queue._drafter.registry.handler_of(fn).name  # pyright: ignore[reportPrivateUsage] # the app's own


def _comparable(key: str, value: object, job: Job) -> object:
    if key in ("execute_after", "expire_on") and isinstance(value, timedelta):
        return job.created_at + value
    if key == "tags" and isinstance(value, Iterable) and not isinstance(value, str):
        return frozenset(cast("Iterable[object]", value))
    return value


async def _all(queue: JobQueue, criteria: JobFilter) -> list[Job]:
    """Every job that fits, newest first."""
    page = await queue.find(criteria, limit=PAGE)
    jobs = list(page.items)
    while page.next is not None:
        page = await queue.find(criteria, limit=PAGE, after=page.next)
        jobs += page.items
    return jobs


# --- words ----------------------------------------------------------------------------------------


def _shown(job: Job) -> str:
    return f"{job.id}  {job.state:<10}  {_called(job)}"


def _called(job: Job) -> str:
    arguments = [repr(argument) for argument in job.args]
    arguments += [f"{key}={value!r}" for key, value in job.kwargs.items()]
    return f"{job.name}({', '.join(arguments)})"


def _plain(value: object) -> str:
    match value:
        case JobState():
            return repr(value.value)
        case frozenset():
            return repr(sorted(map(str, cast("frozenset[object]", value))))
        case None | str() | int() | float():
            return repr(value)
        case _:
            return str(value)


def _counted(jobs: Iterable[Job]) -> list[str]:
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.name] = counts.get(job.name, 0) + 1
    return [f"{count} of {name}" for name, count in sorted(counts.items())]


def _listed(title: str, lines: list[str], indent: str = "  ") -> list[str]:
    if not lines:
        return []
    more = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [indent + title, *(f"{indent}  {line}" for line in [*lines[:SHOWN], *more])]
