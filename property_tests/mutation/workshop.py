"""Where mutants are made and judged: a copy of what is needed, in `build/mutation/`, which no other check looks into."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

from .mutants import Mutant, Verdict, forget_verdicts, read_mutants
from .rooms import Room
from .since import changed_functions, changed_since

ROOT = Path(__file__).parents[2]

_COPIED = (
    "trio_gusto",
    "tests",
    "property_tests",
    "docs/console.py",
    "docs/reference/sqlite-schema.md",
    "conftest.py",
)

LONGEST_NAME = 120
"""Characters in the name of a folder; file systems end at 255 bytes."""

_SETTINGS = """
[tool.mutmut]
source_paths = ["trio_gusto"]
only_mutate = {only}
do_not_mutate = {but_not}
also_copy = ["property_tests", "docs", "conftest.py"]
pytest_add_cli_args_test_selection = {judges}
pytest_add_cli_args = {arguments}
timeout_multiplier = 10.0
timeout_constant = 2.0
use_git_change_detection = false
on_dependency_change = "ignore"
"""

_ARGUMENTS = (
    "-p",
    "no:xdist",
    "-p",
    "no:cacheprovider",
    "-p",
    "property_tests.mutation.quickest_first",
)


_PROTECTION = re.compile(r"^ *@trio\.lowlevel\.(?:en|dis)able_ki_protection\b.*\n", re.MULTILINE)


class Workshop:
    """The copy for one room, or for some modules of it. It outlives a run, so that a second one asks of what is new only.

    Args:
        only: patterns of modules (``trio_gusto.model.rates``); none for the whole room.
        since: a commit; only functions that have changed since then are asked about.
    """

    def __init__(self, room: Room, only: Sequence[str] = (), since: str | None = None) -> None:
        self._room = room
        self._only = only or [each for part in room.parts.values() for each in part]
        self._patterns: Sequence[str] = ()
        words = [room.name, *only, *([] if since is None else ["since", since])]
        name = "+".join(words)
        self.subject = " ".join(words)
        """What is asked about, in words."""
        if since is not None:
            changed = changed_since(since, ROOT, self._sources())
            self._only = list(changed)
            self._patterns = [pattern for patterns in changed.values() for pattern in patterns]
        if len(name) > LONGEST_NAME:
            name = f"{room.name}+{sha256(name.encode()).hexdigest()[:16]}"
        self._place = ROOT / "build" / "mutation" / name

    @property
    def is_partial(self) -> bool:
        """Whether some functions of its modules are not asked about."""
        return bool(self._patterns)

    @property
    def has_nothing(self) -> bool:
        """Whether there is no function to ask about."""
        return not self._only

    @property
    def was_used(self) -> bool:
        """Whether there was a run before."""
        return self.mutated.exists()

    @property
    def mutated(self) -> Path:
        """Where mutmut keeps its mutants and its verdicts."""
        return self._place / "mutants"

    def _sources(self) -> list[Path]:
        wanted, unwanted = _files(self._only), _files(self._room.not_mutated)
        return [
            path
            for path in sorted((ROOT / "trio_gusto").rglob("*.py"))
            for name in [path.relative_to(ROOT).as_posix()]
            if any(fnmatch(name, each) for each in wanted)
            and not any(fnmatch(name, each) for each in unwanted)
        ]

    def mutants(self) -> list[Mutant]:
        """Those that are asked about, with what was said of them."""
        made = read_mutants(self.mutated)
        if not self._patterns:
            return made
        return [one for one in made if any(fnmatch(one.name, each) for each in self._patterns)]

    def run(self, *, processes: int) -> int:
        """Make the mutants anew and judge them, so many at once; returns mutmut's code."""
        shutil.rmtree(self._place, ignore_errors=True)
        self._furnish()
        return self._judge(processes, self._patterns)

    def run_again(self, about: Collection[str], *, processes: int) -> int:
        """The same for what has changed since the last run, what it has not come to, and mutants of these names.

        With ``since`` these are asked about as whole functions.
        """
        left = {one.name for one in self.mutants() if one.verdict is Verdict.NOT_ASKED}.union(about)
        changed = set(self._changed_meanwhile()) if self._patterns else ()
        functions = [
            each
            for each in self._patterns
            if each in changed or any(fnmatch(name, each) for name in left)
        ]
        if self._patterns and not functions:
            return 0
        forget_verdicts(self.mutated, about)
        self._furnish()
        return self._judge(processes, functions)

    def _changed_meanwhile(self) -> Iterator[str]:
        """Patterns of the mutants of functions that are not as they were judged."""
        for path in self._sources():
            name = path.relative_to(ROOT)
            judged = self._place / name
            before = judged.read_text("utf-8") if judged.exists() else ""
            yield from changed_functions(name, before, path.read_text("utf-8"))

    def _judge(self, processes: int, names: Sequence[str]) -> int:
        command = Path(sys.executable).with_name("mutmut")
        return subprocess.run(
            [command, "run", f"--max-children={processes}", *names],
            cwd=self._place,
            env={**os.environ, "HYPOTHESIS_PROFILE": "mutation"},
            check=False,
        ).returncode

    def _furnish(self) -> None:
        self._place.mkdir(parents=True, exist_ok=True)
        for folder in ("tests", "property_tests"):  # what is no longer there must judge no more
            shutil.rmtree(self.mutated / folder, ignore_errors=True)
        for name in _COPIED:
            _bring(ROOT / name, self._place / name)
        for path in (self._place / "trio_gusto").rglob("*.py"):
            _lay_bare(path)
        arguments = [*_ARGUMENTS, *(f"--deselect={test}" for test in self._room.but_not)]
        if self._room.but_none_with:
            arguments += ["-k", f"not {self._room.but_none_with}"]
        settings = _SETTINGS.format(
            only=_strings(_files(self._only)),
            but_not=_strings(_files(self._room.not_mutated)),
            judges=_strings(self._room.judges),
            arguments=_strings(arguments),
        )
        (self._place / "pyproject.toml").write_text(
            (ROOT / "pyproject.toml").read_text("utf-8") + settings, "utf-8"
        )


def _files(patterns: Iterable[str]) -> list[str]:
    """mutmut asks for the files of modules."""
    return [
        f"{pattern.replace('.', '/')}{'' if pattern.endswith('*') else '.py'}"
        for pattern in patterns
    ]


def _lay_bare(path: Path) -> None:
    """Take decorators away that guard functions against a Ctrl-C: mutmut leaves alone what is decorated.

    In a room of which that is true the judges must not send any.
    """
    text = path.read_text("utf-8")
    bare = _PROTECTION.sub("", text)
    if bare != text:
        its = path.stat()
        path.write_text(bare, "utf-8")
        os.utime(path, ns=(its.st_atime_ns, its.st_mtime_ns))


def _strings(values: Iterable[str]) -> str:
    return f"[{', '.join(f'{value!r}' for value in values)}]"


def _bring(source: Path, target: Path) -> None:
    """Copy what has changed, with its time: mutmut makes the mutants of a newer file anew."""
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and filecmp.cmp(source, target, shallow=False)):
            shutil.copy2(source, target)
