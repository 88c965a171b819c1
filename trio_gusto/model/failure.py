"""What went wrong in an attempt, as plain data of bounded size.

Exceptions are the handler's: their ``str`` may raise, be endless, or hold text no encoding takes.
Everything here survives that.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import cast

import attrs

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
            _shorten(_frames(error.__traceback__), MAX_TRACEBACK),
            children,
        )


def qualified_name(kind: type) -> str:
    """``module.qualname`` of a class, without the module for built-in ones."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions of a group, groups inside it opened; ``[error]`` when it is no group."""
    members = _members(error)
    if not members:
        return [error]
    return [leaf for member in members for leaf in leaves(member)]


def _members(error: BaseException) -> tuple[BaseException, ...]:
    """The exceptions of a group; none of any other exception."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions
    return ()


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # noqa: BLE001 - a handler's __str__ may raise anything
        text = f"<its str() raised {type(broken).__name__}>"
    notes: object = getattr(error, "__notes__", ())
    if isinstance(notes, list | tuple):
        lines = cast("Sequence[object]", notes)
        text = "\n".join([text, *(line for line in lines if isinstance(line, str))])
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _frames(frames: TracebackType | None) -> str:
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith(OURS):
        frames = frames.tb_next  # how the handler was entered tells its author nothing
    try:
        text = "".join(traceback.format_tb(frames))
    except Exception as broken:  # noqa: BLE001 - source files may be gone or unreadable
        text = f"<its traceback could not be formatted: {type(broken).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
