"""Errors as stored data: bounded, encodable, whatever the exception does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from trio_gusto.model.failure import (
    MAX_CHILDREN,
    MAX_DEPTH,
    MAX_MESSAGE,
    MAX_TRACEBACK,
    OURS,
    JobError,
    leaves,
    qualified_name,
    words,
)


class Rude(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class Unreadable(Exception):
    """Gives no traceback away."""

    def __getattribute__(self, name: str) -> object:
        if name == "__traceback__":
            raise OSError
        return super().__getattribute__(name)


class Outer:
    class Inner(Exception):
        pass


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return caught


def recursion(depth: int) -> None:
    if depth:
        recursion(depth - 1)
    raise ValueError("deep")


def test_an_error_keeps_its_type_message_and_frames() -> None:
    error = JobError.of(raised(ValueError("oops")))
    assert (error.type, error.message, error.children) == ("ValueError", "oops", ())
    assert "in raised" in error.traceback


def test_a_class_is_named_with_its_module() -> None:
    assert qualified_name(Outer.Inner).endswith("test_failure.Outer.Inner")
    assert qualified_name(KeyError) == "KeyError"


def test_notes_belong_to_the_message() -> None:
    error = ValueError("oops")
    error.add_note("while counting")
    assert JobError.of(error).message == "oops\nwhile counting"


def test_an_error_that_cannot_be_printed_is_described_all_the_same() -> None:
    assert JobError.of(Rude()).message == "<its str() raised KeyboardInterrupt>"


def test_an_error_whose_traceback_cannot_be_read_is_described_all_the_same() -> None:
    error = JobError.of(Unreadable("no"))
    assert error.message == "no"
    assert error.traceback == "<its traceback could not be formatted: OSError>"


def test_words_are_what_a_handler_meant_to_say() -> None:
    assert words("late") == "late"
    assert words(7) == "7"
    assert words(Rude()) == "<its str() raised KeyboardInterrupt>"


@pytest.mark.parametrize("notes", [7, None, [1, b"x"]])
def test_notes_that_are_none_are_left_out(notes: object) -> None:
    error = ValueError("oops")
    error.__notes__ = notes  # type: ignore[assignment]  # wrong on purpose
    assert JobError.of(error).message == "oops"


def test_text_that_cannot_be_encoded_is_escaped() -> None:
    message = JobError.of(ValueError("half \ud800 a pair")).message
    assert message == "half \\ud800 a pair"
    message.encode()


def test_a_long_message_keeps_its_ends() -> None:
    message = JobError.of(ValueError("a" * 50_000 + "z")).message
    assert len(message) < MAX_MESSAGE + 60
    assert message.startswith("aaa")
    assert message.endswith("aaz")
    assert "46001 characters left out" in message


def test_a_message_of_the_greatest_length_is_kept_whole() -> None:
    assert JobError.of(ValueError("a" * MAX_MESSAGE)).message == "a" * MAX_MESSAGE


def test_a_long_traceback_is_shortened() -> None:
    with pytest.raises(ValueError, match="deep") as caught:
        recursion(200)
    error = JobError.of(caught.value)
    assert len(error.traceback) < MAX_TRACEBACK + 60


def test_a_group_keeps_its_members() -> None:
    error = JobError.of(ExceptionGroup("several", [ValueError("a"), OSError("b")]))
    assert [child.type for child in error.children] == ["ValueError", "OSError"]


def test_a_large_group_says_how_many_were_left_out() -> None:
    members = [ValueError(str(n)) for n in range(MAX_CHILDREN + 5)]
    children = JobError.of(ExceptionGroup("many", members)).children
    assert len(children) == MAX_CHILDREN + 1
    assert children[-1] == JobError("...", "5 more exceptions were left out")


def test_groups_inside_each_other_end_somewhere() -> None:
    errors: list[Exception] = [ValueError("at the bottom")]
    for _ in range(MAX_DEPTH + 5):
        errors.append(ExceptionGroup("inside", errors[-1:]))
    described = JobError.of(errors[-1])
    depth = 0
    while described.children:
        described = described.children[0]
        depth += 1
    assert depth == MAX_DEPTH + 1
    assert described.message == "1 more exceptions were left out"


def test_leaves_are_the_members_of_all_groups() -> None:
    one, two, three = ValueError(), KeyError(), OSError()
    assert leaves(one) == [one]
    assert leaves(ExceptionGroup("a", [one, ExceptionGroup("b", [two, three])])) == [
        one,
        two,
        three,
    ]


def test_an_exception_that_is_in_a_group_twice_is_a_leaf_once() -> None:
    twice, other = ValueError("twice"), KeyError("other")
    inner = BaseExceptionGroup("inner", [twice])
    assert leaves(BaseExceptionGroup("outer", [twice, inner, twice, other])) == [twice, other]


class Shouting(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("as it is", "as it is"),
        (7, "7"),
        (Shouting("loud"), "LOUD"),
        (Rude(), "<its str() raised KeyboardInterrupt>"),
        ("half of \ud83d", "half of \\ud83d"),
        ("naïve", "naïve"),
    ],
)
def test_words_of_a_handler_can_be_kept_whatever_they_are(given: object, kept: str) -> None:
    assert words(given) == kept
    assert type(words(given)) is str


def test_words_of_a_handler_are_as_long_as_they_may_be() -> None:
    assert words("a" * 10, 10) == "a" * 10
    assert words("a" * 5 + "b" * 6, 10) == "aaaaa\n... 1 characters left out ...\nbbbbb"


def test_frames_of_the_scheduler_that_lead_to_a_handler_are_left_out() -> None:
    ours = caller("trio_gusto.actors.executor")
    theirs, nobodys = caller("trio_gusto.actors_of_mine"), caller(None)
    assert files_of(ours, ours) == ["test_failure.py"]
    assert files_of(ours, theirs, ours) == ["theirs.py", "ours.py", "test_failure.py"]
    assert files_of(nobodys, ours) == ["theirs.py", "ours.py", "test_failure.py"]


def caller(module: str | None) -> Callable[[Callable[[], None]], None]:
    """A function of that module, or of none, that calls what it is given."""
    names: dict[str, Any] = {"__name__": module} if module else {}
    file = "ours.py" if module and module.startswith(OURS) else "theirs.py"
    exec(compile("def call(handler):\n    handler()", file, "exec"), names)
    call: Callable[[Callable[[], None]], None] = names["call"]
    return call


def files_of(*callers: Callable[[Callable[[], None]], None]) -> list[str]:
    """The files in the traceback that is kept of a handler which is called through all of these."""

    def handler() -> None:
        raise ValueError("oops")

    entered = handler
    for call in reversed(callers):
        entered = partial(call, entered)
    with pytest.raises(ValueError, match="oops") as caught:
        entered()
    traceback = caught.value.__traceback__
    assert traceback is not None
    kept = JobError.of(caught.value.with_traceback(traceback.tb_next)).traceback
    return [
        Path(line.split('"')[1]).name for line in kept.splitlines() if line.startswith("  File")
    ]


class NameRaises(type):
    def __getattribute__(cls, name: str) -> object:
        if name == "__module__":
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class Nameless(Exception, metaclass=NameRaises):
    pass


class NotesRaise(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # wrong on purpose
        raise LookupError("no notes")


def test_what_cannot_be_looked_at_is_said_to_be_so() -> None:
    assert qualified_name(Nameless) == "<a class without a name>"
    assert JobError.of(NotesRaise("oops")).message == "oops\n<its notes raised LookupError>"


def test_a_traceback_that_cannot_be_formatted_is_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreadable(_frames: object) -> list[str]:
        raise OSError("the source is gone")

    monkeypatch.setattr("traceback.format_tb", unreadable)
    error = JobError.of(raised(ValueError("oops")))
    assert error.traceback == "<its traceback could not be formatted: OSError>"


def test_a_traceback_that_cannot_be_encoded_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceback.format_tb", lambda _frames: ["half \ud800 a pair"])
    assert JobError.of(ValueError("oops")).traceback == "half \\ud800 a pair"
