"""Functions that have changed since a commit, so that their mutants can be asked about alone.

Syntax decides: a comment or another break of lines is no change, and a function that was moved into another module is new
there.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from .mutants import functions_in


class UnknownCommit(Exception):
    """There is no such commit."""


def changed_since(commit: str, root: Path, files: Iterable[Path]) -> Mapping[str, Sequence[str]]:
    """By module, patterns of the mutants of its functions that are not the same in ``commit``; no others.

    Args:
        root: a folder with a repository, in which the ``files`` are.

    Raises:
        UnknownCommit: there is none of this name.
    """
    if _git(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").returncode:
        raise UnknownCommit(
            f"{commit!r} is no commit of this repository, so nothing can have changed since; `git log` shows those that are"
        )
    changed: dict[str, Sequence[str]] = {}
    for path in files:
        name = path.relative_to(root)
        before = _git(root, "show", f"{commit}:{name.as_posix()}").stdout
        patterns = changed_functions(name, before, path.read_text("utf-8"))
        if patterns:
            changed[module_of(name)] = patterns
    return changed


def changed_functions(path: Path, before: str, now: str) -> Sequence[str]:
    """The same for the source of one module, whose ``path`` is seen from the root."""
    known = dict(_functions(before))
    return [
        f"{module_of(path)}.{mangled}__mutmut_*"
        for mangled, syntax in _functions(now)
        if known.get(mangled) != syntax
    ]


def module_of(path: Path) -> str:
    """The name of a module by its path, seen from the root."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _git(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What it says is empty if there is no such file."""
    return subprocess.run(
        ["git", *command], cwd=root, capture_output=True, encoding="utf-8", check=False
    )


def _functions(source: str) -> Iterator[tuple[str, str]]:
    """Functions and methods by mutmut's names for them, and the syntax of each, but for its decorators."""
    for within, node in functions_in(source):
        node.decorator_list = []
        yield f"xǁ{within}ǁ{node.name}" if within else f"x_{node.name}", ast.dump(node)
