"""`Call`: a call that is not enqueued yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar, Unpack, overload

import attrs

from ..job_options import JobOptions
from ..model.errors import ArgumentError
from .signatures import AnyMethod, Method, R, Ts

R_co = TypeVar("R_co", covariant=True)


@attrs.frozen
class Call(Generic[R_co]):
    """A function, its arguments and options; made by `call`, taken by `JobQueue.enqueue_many`.

    ``carried`` are JSON values that `Middleware` has the job carry, for `JobContext.carried`.
    """

    fn: Callable[..., Any]
    args: tuple[object, ...]
    options: Mapping[str, Any]
    carried: Mapping[str, object] = attrs.field(factory=dict[str, object])


@overload
def call(
    fn: Callable[[*Ts], Awaitable[R]], /, *args: *Ts, **options: Unpack[JobOptions[R]]
) -> Call[R]: ...
@overload
def call(
    fn: Callable[[Any, *Ts], Coroutine[Any, Any, R]],
    /,
    *args: *Ts,
    **options: Unpack[JobOptions[R]],
) -> Call[R]: ...
@overload
def call(fn: Callable[[*Ts], R], /, *args: *Ts, **options: Unpack[JobOptions[R]]) -> Call[R]: ...
@overload
def call(fn: Method[*Ts, R], /, *args: *Ts, **options: Unpack[JobOptions[R]]) -> Call[R]: ...
@overload
def call(fn: AnyMethod[*Ts, R], /, *args: *Ts, **options: Unpack[JobOptions[R]]) -> Call[R]: ...
def call(fn: Callable[..., Any], /, *args: object, **options: Any) -> Call[Any]:
    """Describe a call without enqueuing it; the same arguments as `JobQueue.enqueue`."""
    return Call(fn, args, options)


def checked(call: Call[R]) -> Call[R]:
    """The call.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(call, Call):
        raise ArgumentError(
            f"{call!r} is no call, so there is nothing to enqueue; "
            "give call(function, *args, **options) for each job"
        )
    return call
