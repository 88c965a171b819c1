"""Errors as stored data: bounded, encodable, whatever the exception does."""

from __future__ import annotations

import pytest

from trio_gusto.model.failure import (
    MAX_CHILDREN,
    MAX_DEPTH,
    MAX_MESSAGE,
    MAX_TRACEBACK,
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
    assert children[-1].message == "5 more exceptions were left out"


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
