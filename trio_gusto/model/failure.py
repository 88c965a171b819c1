"""What went wrong in an attempt, as plain data of bounded size.

Exceptions are the handler's: their ``str`` may raise, be endless, or hold text no encoding takes, and so
may whatever else a class can define. Everything here survives that.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import TypeGuard, TypeVar, cast

import attrs

E = TypeVar("E", bound=BaseException)

MAX_MESSAGE = 4_000
"""Characters kept of a message."""

MAX_TRACEBACK = 16_000
"""Characters kept of a traceback: the first and the last half of them."""

MAX_CHILDREN = 20
"""Exceptions kept of one group."""

OURS = "trio_gusto.actors."
"""Where handlers are called from."""

MAX_DEPTH = 5
"""Groups kept inside each other."""


@attrs.frozen
class JobError:
    """An exception as it is stored.

    ``type`` is the qualified class name, ``message`` its text, ``traceback`` its formatted frames,
    ``children`` the members of an exception group (at most `MAX_CHILDREN`, `MAX_DEPTH` deep).
    """

    type: str
    message: str
    traceback: str = ""
    children: tuple[JobError, ...] = ()

    @classmethod
    def of(cls, error: BaseException, *, depth: int = 0) -> JobError:
        """Describe ``error``; never raises."""
        members = _members(error)
        children: tuple[JobError, ...] = ()
        if members:
            kept = members[:MAX_CHILDREN] if depth < MAX_DEPTH else ()
            children = tuple(cls.of(member, depth=depth + 1) for member in kept)
            left_out = len(members) - len(kept)
            if left_out:
                children += (cls("...", f"{left_out} more exceptions were left out"),)
        return cls(
            qualified_name(type(error)),
            _shorten(_text(error), MAX_MESSAGE),
            _shorten(_frames(error), MAX_TRACEBACK),
            children,
        )


def qualified_name(kind: type) -> str:
    """``module.qualname`` of a class, without the module for built-in ones."""
    try:
        if kind.__module__ == "builtins":
            return kind.__qualname__
        return f"{kind.__module__}.{kind.__qualname__}"
    except Exception:  # noqa: BLE001 - a handler's metaclass may do anything
        return "<a class without a name>"


def is_a(error: BaseException, kind: type[E]) -> TypeGuard[E]:
    """``isinstance``, for exceptions of handlers: it asks nothing of ``error`` itself."""
    return issubclass(type(error), kind)


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions of a group, groups inside it opened; ``[error]`` when it is no group.

    Each comes once, and groups may be inside each other as deep as they like.
    """
    found: list[BaseException] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        members = _members(one)
        if members:
            waiting += reversed(members)
        else:
            found.append(one)
    return found


def _members(error: BaseException) -> tuple[BaseException, ...]:
    """The exceptions of a group; none of any other exception."""
    if is_a(error, BaseExceptionGroup):
        own = BaseExceptionGroup.exceptions  # of the class itself
        return cast("tuple[BaseException, ...]", own.__get__(error))
    return ()


def words(text: object, most: int = MAX_MESSAGE) -> str:
    """A text that a handler gave, as every storage can keep it; whatever was given."""
    try:
        plain = text if type(text) is str else str.__str__(str(text))
    except BaseException as broken:  # noqa: BLE001 - a handler's __str__ may raise anything
        plain = f"<its str() raised {qualified_name(type(broken))}>"
    return _shorten(plain.encode("utf-8", "backslashreplace").decode("utf-8"), most)


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # noqa: BLE001 - a handler's __str__ may raise anything
        text = f"<its str() raised {type(broken).__name__}>"
    try:
        notes: object = getattr(error, "__notes__", ())
        if isinstance(notes, list | tuple):
            lines = cast("Sequence[object]", notes)
            text = "\n".join([text, *(line for line in lines if isinstance(line, str))])
    except Exception as broken:  # noqa: BLE001 - a handler's property may raise anything
        text = f"{text}\n<its notes raised {qualified_name(type(broken))}>"
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")


def _frames(error: BaseException) -> str:
    try:
        frames = error.__traceback__
        while frames is not None and _is_ours(frames):
            frames = frames.tb_next  # how the handler was entered tells its author nothing
        text = "".join(traceback.format_tb(frames))
    except Exception as broken:  # noqa: BLE001 - source files may be gone or unreadable
        text = f"<its traceback could not be formatted: {type(broken).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_ours(frames: TracebackType) -> bool:
    return str(frames.tb_frame.f_globals.get("__name__", "")).startswith(OURS)


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
