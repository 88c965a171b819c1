"""Middleware: what is done around every enqueue and every execution of an app.

Written as a class that overrides one verb or both. What overrides neither costs nothing, and neither
does an app that has none.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import attrs

from ..actors.context import set_user
from ..actors.workplace import Around, Proceed
from ..model.errors import OptionsError
from .call import Call
from .current import JobContext, current_job

OnEnqueue = Callable[[Call[Any]], Call[Any]]


class Middleware:
    """Subclass it, override what you need, and give it to `Gusto`; the first given is outermost.

    >>> from trio_gusto import Gusto
    >>> class Timed(Middleware):
    ...     async def execute(self, job: JobContext, proceed: Proceed) -> object:
    ...         began = trio.current_time()
    ...         try:
    ...             return await proceed()
    ...         finally:
    ...             job.log(f"took {trio.current_time() - began:.3f} s")
    >>> app = Gusto(middleware=[Timed()])
    >>> import trio
    """

    def enqueue(self, call: Call[Any]) -> Call[Any]:
        """Called with each call before it becomes a job; returns the call to be enqueued.

        For jobs alone, many at once, of batches and continuations; not for schedules, whose jobs
        repeat what was registered. What it raises reaches whoever enqueues, and nothing is stored.

        Args:
            call: the function, its arguments, the options given, and what is ``carried``. Change it
                with ``attrs.evolve``.
        """
        return call

    async def execute(self, job: JobContext, proceed: Proceed) -> object:  # noqa: ARG002 - for subclasses
        """Called around each attempt, in the job's own context, scope and timeout.

        What it raises ends the attempt as if the handler had raised it, and what it returns is the
        result. The arguments have been read; a service is made inside ``proceed``.

        Args:
            job: the same as `current_job`.
            proceed: runs the handler, with the middleware further inside around it.
        """
        return await proceed()


class CarryContext(Middleware):
    """Has jobs carry context variables from where they are enqueued to where they run.

    Only those named here, and only if they are set there; the values must be JSON, and are
    restored as such. In the handler, its tasks and its thread they have the same value again.

    Args:
        variables: which; their names must differ.

    Raises:
        OptionsError: two have the same name. At enqueue: a value is no JSON.
    """

    def __init__(self, *variables: contextvars.ContextVar[Any]) -> None:
        self._variables = {variable.name: variable for variable in variables}
        if len(self._variables) < len(variables):
            names = [variable.name for variable in variables]
            raise OptionsError("variables", names, "give context variables of different names")

    def enqueue(self, call: Call[Any]) -> Call[Any]:
        context = contextvars.copy_context()
        found = {
            name: context[variable]
            for name, variable in self._variables.items()
            if variable in context
        }
        return attrs.evolve(call, carried={**call.carried, **found}) if found else call

    async def execute(self, job: JobContext, proceed: Proceed) -> object:
        for name, value in job.carried.items():
            if name in self._variables:
                self._variables[name].set(value)
        return await proceed()


class LoadUser(Middleware):
    """Finds whom a job's ``user_id`` means, before its handler is entered: `JobContext.user`.

    Args:
        load: gives the user for an id; what it raises ends the attempt.
    """

    def __init__(self, load: Callable[[str], Awaitable[object]]) -> None:
        self._load = load

    async def execute(self, job: JobContext, proceed: Proceed) -> object:
        user_id = job.user_id
        if user_id is not None:
            set_user(await self._load(user_id))
        return await proceed()


def checked(middleware: Sequence[Middleware]) -> tuple[Middleware, ...]:
    """All of it, if it is.

    Raises:
        OptionsError: one is no instance of `Middleware`.
    """
    for each in middleware:
        if not isinstance(each, Middleware):
            raise OptionsError("middleware", each, "give instances of subclasses of Middleware")
    return tuple(middleware)


def on_enqueue(middleware: Sequence[Middleware]) -> tuple[OnEnqueue, ...]:
    """What is to be done at each enqueue, in order."""
    return tuple(
        each.enqueue for each in middleware if type(each).enqueue is not Middleware.enqueue
    )


def around_execution(middleware: Sequence[Middleware]) -> Around | None:
    """What is to be done around each execution, if anything is."""
    hooks = [each.execute for each in middleware if type(each).execute is not Middleware.execute]
    if not hooks:
        return None

    async def around(proceed: Proceed) -> object:
        job = current_job()
        for hook in reversed(hooks):
            proceed = partial(hook, job, proceed)
        return await proceed()

    return around
