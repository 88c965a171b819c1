"""A transcript in the docs that is not what happens is found out, whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.console import Command, Shell, commands, same

ONE = "00000000-0000-0000-0000-000000000001"
TWO = "00000000-0000-0000-0000-000000000002"
ALIKE = f"{ONE} runs, {ONE} ends"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with Shell(tmp_path) as shell:
        yield shell


def test_a_block_is_commands_with_their_outputs() -> None:
    assert list(commands("$ one\n$ two\n> more\nsaid\n\nand\n$ three")) == [
        Command("one", ""),
        Command("two\nmore", "said\n\nand"),
        Command("three", ""),
    ]
    with pytest.raises(AssertionError, match="begins with output"):
        list(commands("said\n$ one"))


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a  b", "a\tb  "),
        ("at 2026-01-02 03:04:05", "at 2027-02-03 14:05:06"),
        ("2026-01-02T03:04:05.678901+00:00", "2027-02-03T04:05:06+00:00"),
        ("till-0123456789ab", "till-ba9876543210"),
        ("begin\n...\nend", "begin\none\ntwo\nend"),
        (ALIKE, ALIKE.replace(ONE, TWO)),
    ],
)
def test_what_differs_from_run_to_run_may_differ(shown: str, printed: str) -> None:
    assert same(shown, printed, {}) is not None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("1 job", "2 jobs"),
        ("", "a warning"),
        ("one\ntwo", "one"),
        ("a+", "aa"),
        ("at 2026-01-02 03:04:05", "at noon"),
        ("till-0123456789ab", "till"),
        (ALIKE, f"{ONE} runs, {TWO} ends"),
        (f"{ONE} and {TWO}", f"{ONE} and {ONE}"),
    ],
)
def test_what_is_another_output_is_told_apart(shown: str, printed: str) -> None:
    assert same(shown, printed, {}) is None


def test_an_id_stands_for_one_printed_id_only() -> None:
    assert same(ONE, TWO, {}) == {ONE: TWO}
    known = {ONE: TWO}
    assert same(ONE, TWO, known) == {}
    assert same(ONE, ONE, known) is None
    assert same(TWO, TWO, known) is None, "two ids that are shown would be the same job"


def test_a_page_has_one_shell(shell: Shell) -> None:
    shell.check("$ mkdir shop\n$ cd shop\n$ NAME=till")
    shell.check("$ basename $PWD; echo $NAME\nshop\ntill\n$ (exit 3)\n$ echo $?\n3")


def test_a_command_in_the_background_is_waited_for_until_it_has_said_what_is_shown(
    shell: Shell,
) -> None:
    shell.check("$ (bash -c 'echo begins'; exec tail -f /dev/null) &\nbegins\n$ echo $?\n0")


def test_a_shown_id_is_the_printed_one_in_later_commands(shell: Shell) -> None:
    shell.check(f"$ echo {TWO} > id\n$ cat id\n{ONE}\n$ grep -c {ONE} id\n1")


@pytest.mark.parametrize(
    "block",
    [
        "$ echo one\ntwo",
        "$ echo one",
        "$ true\none",
        "$ false\n$ echo $?\n0",
        "$ trio-gusto-of-another-name\n",
        "$ exit 0\n",
    ],
)
def test_a_wrong_transcript_fails(shell: Shell, block: str) -> None:
    with pytest.raises(AssertionError):
        shell.check(block)


def test_a_command_that_hangs_fails(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docs.console.PATIENCE", 0.1)
    with pytest.raises(AssertionError, match="hung"):
        shell.check("$ tail -f /dev/null")
