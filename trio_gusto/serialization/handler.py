"""`Handler`: a function that jobs can run, with all that was declared about it.

A handler is called like the function it was made from. What it is called in a registry and which
defaults it has are here; the function itself is never marked, so it may belong to several apps.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from ..model.errors import OptionsError
from .annotations import code_of, hints_of_function, is_local

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Handler(Generic[P, R_co]):
    """What ``@app.job`` returns: callable like ``fn``, and what ``enqueue`` takes.

    ``R_co`` is the result of the job. What a direct call gives differs between the two kinds,
    `AsyncHandler` and `ThreadHandler`. It must not have a ``__code__``: that is how type checkers
    tell a handler from a method given unbound.

    ``name`` is what stored jobs call it, ``aliases`` are older names that it answers to.
    ``job_type`` and ``method_name`` are the module (or service class) and the function, as
    telemetry shows them. ``options`` are its defaults for every job. ``thread`` is ``False`` for a
    plain function that is cheap enough to run on the event loop. ``service`` is the class whose
    instance is the first argument of ``fn``, if it is a method of a service.
    """

    __name__: str
    __wrapped__: Callable[P, Any]

    def __init__(
        self,
        fn: Callable[P, Any],
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        options: Mapping[str, Any] | None = None,
        thread: bool | None = None,
        service: type | None = None,
    ) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.is_async = is_async(fn)
        _refuse_impossible(fn, thread=thread, is_async=self.is_async)
        self.job_type, self.method_name = _path_of(fn, service)
        self.name = f"{self.job_type}.{self.method_name}" if name is None else name
        self.aliases = tuple(aliases)
        self.options: Mapping[str, Any] = MappingProxyType(dict(options or {}))
        self.thread = thread
        self.service = service
        if is_local(f"{self.job_type}.{self.method_name}"):
            _ = self.hints  # now, while the function around it runs

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function directly; no job is made."""
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Handler {self.name}{self.signature}>"

    @property
    def in_thread(self) -> bool:
        """Whether jobs run it in a worker thread: a plain function, unless ``thread=False``."""
        return not self.is_async and self.thread is not False

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """The parameters that jobs give; without the instance, for a method of a service."""
        signature = inspect.signature(self.fn)
        if self.service is None:
            return signature
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    @functools.cached_property
    def hints(self) -> Mapping[str, Any]:
        """The types of the annotated parameters and of the result (``"return"``)."""
        return hints_of_function(self.fn)


class AsyncHandler(Handler[P, R_co]):
    """Made from an ``async def``.

    Calling it is typed as an ``Awaitable``, not a ``Coroutine``: so type checkers tell it from a
    method given unbound (see `trio_gusto.queue.signatures`).
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R_co]:
        """Call the function directly; no job is made."""
        made: Awaitable[R_co] = self.fn(*args, **kwargs)
        return made


class ThreadHandler(Handler[P, R_co]):
    """Made from a plain ``def``, which jobs run in a worker thread."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function directly; no job is made."""
        result: R_co = self.fn(*args, **kwargs)
        return result


class Declare(Protocol):
    """What ``@app.job(...)`` with options returns: it makes a handler of a function."""

    @overload  # async first: a plain function may return anything, so also a coroutine
    def __call__(  # type: ignore[overload-overlap]  # that is why it comes first
        self, fn: Callable[P, Awaitable[R]], /
    ) -> AsyncHandler[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> ThreadHandler[P, R]: ...


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling it makes a coroutine; sees through partials and callable objects."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(code_of(fn))


def _refuse_impossible(fn: Callable[..., Any], *, thread: bool | None, is_async: bool) -> None:
    if not callable(fn):
        raise OptionsError("fn", fn, "give a function")
    code = code_of(fn)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise OptionsError(
            "fn", fn, "a generator runs nothing when it is called; give a function that returns"
        )
    if is_async and thread:
        raise OptionsError(
            "thread", thread, "an async function runs on the event loop; leave thread out"
        )


def _path_of(fn: Callable[..., Any], service: type | None) -> tuple[str, str]:
    if service is not None:
        return f"{service.__module__}.{service.__qualname__}", getattr(fn, "__name__", "")
    code = code_of(fn)
    named = type(fn) if getattr(code, "__name__", "") == "__call__" else code
    return named.__module__, named.__qualname__
