"""What mutmut has made of the sources, and what became of each: read from its files.

A mutant is known by its content here: its function, the lines that it changes and what they become. mutmut numbers
them, and a number means another mutant after the next change of the function.
"""

from __future__ import annotations

import ast
import difflib
import enum
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any


class Verdict(enum.Enum):
    """What the judges said of a mutant."""

    KILLED = "killed"
    """A test has failed."""

    TIMEOUT = "timeout"
    """It did not end, or took many times as long."""

    SURVIVED = "survived"
    """Every test that comes by its function has passed."""

    NO_TESTS = "no tests"
    """No test comes by its function."""

    SUSPICIOUS = "suspicious"
    """The tests could not be run as they should, or the process was killed."""

    NOT_ASKED = "not asked"
    """The run has not come to it."""


_VERDICTS = {
    0: Verdict.SURVIVED,
    1: Verdict.KILLED,
    3: Verdict.KILLED,
    5: Verdict.NO_TESTS,
    33: Verdict.NO_TESTS,
    24: Verdict.TIMEOUT,
    -24: Verdict.TIMEOUT,
    36: Verdict.TIMEOUT,
    152: Verdict.TIMEOUT,
    255: Verdict.TIMEOUT,
    None: Verdict.NOT_ASKED,
}


@dataclass(frozen=True, order=True)
class Change:
    """What a mutant is, by its content."""

    function: str
    """The module and the name in it: ``trio_gusto.model.rates.Bucket.start``."""

    was: str
    """The lines that it replaces, without their indentation, joined by a blank."""

    becomes: str
    """What stands in their place; empty if they are only left out."""


@dataclass(frozen=True)
class Mutant:
    """One mutant and its verdict."""

    name: str
    """mutmut's name, for ``mutmut show`` and the like."""

    change: Change
    verdict: Verdict
    original: str
    """The function as it is."""

    mutated: str
    """The function as the mutant has it."""


def read_mutants(mutated: Path) -> list[Mutant]:
    """All mutants in a folder that mutmut has written (`mutants/`), in the order of the sources."""
    found: list[Mutant] = []
    for meta in sorted(mutated.rglob("*.py.meta")):
        told = json.loads(meta.read_text("utf-8"))
        source = meta.with_suffix("")
        module = ".".join(source.relative_to(mutated).with_suffix("").parts)
        made = _made(source.read_text("utf-8"), module.removesuffix(".__init__"))
        for name, code in told["exit_code_by_key"].items():
            change, original, mutated_code = made[name.rpartition(".")[2]]
            found.append(Mutant(name, change, verdict_of(code), original, mutated_code))
    return found


def code_of(mutated: Path, name: str) -> tuple[str, str] | None:
    """The function as it is and as the mutant of this name has it; ``None`` if there is no such mutant."""
    module, _, mangled = name.rpartition(".")
    path = mutated.joinpath(*module.split("."))
    sources = [each for each in (path.with_suffix(".py"), path / "__init__.py") if each.exists()]
    for source in sources:
        originals, made = _bodies(source.read_text("utf-8"))
        if mangled in made:
            stem = mangled.partition("__mutmut_")[0]
            return "\n".join(originals[stem]), "\n".join(made[mangled])
    return None


def verdict_of(exit_code: int | None) -> Verdict:
    """By the exit code that mutmut keeps."""
    return _VERDICTS.get(exit_code, Verdict.SUSPICIOUS)


def forget_verdicts(mutated: Path, names: Collection[str]) -> None:
    """Let the next run ask again about the mutants of these names.

    Which tests come by which function is forgotten too, since tests may have changed.
    """
    for meta in mutated.rglob("*.py.meta"):
        told: dict[str, Any] = json.loads(meta.read_text("utf-8"))
        codes: dict[str, int | None] = told["exit_code_by_key"]
        codes.update({name: None for name in codes if name in names})
        meta.write_text(json.dumps(told, indent=4), "utf-8")
    (mutated / "mutmut-stats.json").unlink(missing_ok=True)


def _made(source: str, module: str) -> dict[str, tuple[Change, str, str]]:
    """The changes in a mutated source, each with the function before and after, by mutmut's names."""
    originals, mutated = _bodies(source)
    return {
        name: (
            _change(f"{module}.{_plain(stem)}", originals[stem], body),
            "\n".join(originals[stem]),
            "\n".join(body),
        )
        for name, body in mutated.items()
        for stem in [name.partition("__mutmut_")[0]]
    }


def _bodies(source: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The lines of functions as they are, by mutmut's names for them, and those of their mutants."""
    lines = source.splitlines()
    originals: dict[str, list[str]] = {}
    mutated: dict[str, list[str]] = {}
    for _, function in functions_in(source):
        stem, marked, number = function.name.partition("__mutmut_")
        if marked:
            body = dedent("\n".join(lines[function.lineno - 1 : function.end_lineno])).splitlines()
            body[0] = body[0].replace(function.name, _plain(stem).rpartition(".")[2])
            if number == "orig":
                originals[stem] = body
            else:
                mutated[function.name] = body
    return originals, mutated


def functions_in(source: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Functions and methods, each with the name of its class; that is empty for a function."""
    for statement in ast.parse(source).body:
        name, within = "", [statement]
        if isinstance(statement, ast.ClassDef):
            name, within = statement.name, statement.body
        for node in within:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name, node


def _plain(mangled: str) -> str:
    """mutmut writes ``x_name`` for a function and ``xǁClassǁname`` for a method."""
    return mangled[2:].replace("ǁ", ".")


def _change(function: str, original: list[str], mutated: list[str]) -> Change:
    gone: list[str] = []
    come: list[str] = []
    matcher = difflib.SequenceMatcher(None, original, mutated, autojunk=False)
    for tag, first, last, new_first, new_last in matcher.get_opcodes():
        if tag != "equal":
            gone += original[first:last]
            come += mutated[new_first:new_last]
    return Change(function, " ".join(map(str.strip, gone)), " ".join(map(str.strip, come)))
