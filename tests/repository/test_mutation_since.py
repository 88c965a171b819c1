"""Only functions that have changed since a commit are asked about, if one is named."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from property_tests.mutation import workshop
from property_tests.mutation.__main__ import main
from property_tests.mutation.rooms import ROOMS
from property_tests.mutation.since import UnknownCommit, changed_since
from property_tests.mutation.workshop import Workshop

RATES = "trio_gusto.model.rates"
BEFORE = """
def start(now):
    return now + 1


def end(now):
    return now + 2


class Bucket:
    size = 1

    async def full(self):
        return self.size

    def empty(self):
        return 0
"""
AFTER = """
@trio.lowlevel.enable_ki_protection
def start(now):  # a comment, a decorator, and another break of lines
    return (
        now + 1
    )


def end(now):
    return now + 3


def new():
    return 1


class Bucket:
    size = 2

    async def full(self):
        return self.size > 0

    def empty(self):
        return 0
"""
CHANGED = [
    f"{RATES}.x_end__mutmut_*",
    f"{RATES}.x_new__mutmut_*",
    f"{RATES}.xǁBucketǁfull__mutmut_*",
]


def git(root: Path, *command: str) -> str:
    who = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *command], cwd=root, check=True, capture_output=True, encoding="utf-8"
    )
    return done.stdout.strip()


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, str]:
    """One with a module that has changed since its only commit, and one that has not; and the commit."""
    model = tmp_path / "trio_gusto" / "model"
    model.mkdir(parents=True)
    (model / "rates.py").write_text(BEFORE, "utf-8")
    (model / "same.py").write_text(BEFORE, "utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "as it was")
    (model / "rates.py").write_text(AFTER, "utf-8")
    monkeypatch.setattr(workshop, "ROOT", tmp_path)
    return tmp_path, git(tmp_path, "rev-parse", "HEAD")


def files(root: Path) -> Sequence[Path]:
    return sorted((root / "trio_gusto").rglob("*.py"))


def test_functions_have_changed_whose_syntax_is_another(repository: tuple[Path, str]) -> None:
    root, commit = repository
    assert changed_since(commit, root, files(root)) == {RATES: CHANGED}


def test_all_functions_of_a_new_module_are_new(repository: tuple[Path, str]) -> None:
    root, commit = repository
    (root / "trio_gusto" / "model" / "__init__.py").write_text(
        "def made():\n    return 1\n", "utf-8"
    )
    changed = changed_since(commit, root, files(root))
    assert changed == {"trio_gusto.model": ["trio_gusto.model.x_made__mutmut_*"], RATES: CHANGED}


def test_a_commit_that_is_none_is_an_error(
    repository: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    root, _ = repository
    with pytest.raises(UnknownCommit, match="'gone' is no commit of this repository"):
        changed_since("gone", root, files(root))
    with pytest.raises(SystemExit) as left:
        main(["model", "--since", "gone"])
    assert left.value.code == 2
    assert "'gone' is no commit of this repository" in capsys.readouterr().err


def test_where_nothing_has_changed_nobody_is_asked(
    repository: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, commit = repository
    assert main(["actors", "--since", commit]) == 0
    assert main(["model", "trio_gusto.model.same", "--since", commit]) == 0
    assert f"no function has changed there since {commit}" in capsys.readouterr().out


def test_without_a_run_before_there_is_nothing_to_go_on_with(
    repository: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, commit = repository
    with pytest.raises(SystemExit) as left:
        main(["model", "--since", commit, "--again"])
    assert left.value.code == 2
    assert f"nobody was asked about model since {commit} yet" in capsys.readouterr().err


class Recorder(Workshop):
    """Writes down who would be asked about."""

    asked: Sequence[str] = ()

    def _judge(self, processes: int, names: Sequence[str]) -> int:
        self.asked = names
        return 0

    def _furnish(self) -> None:
        pass

    def judged(self, source: str) -> None:
        """A run has judged this."""
        path = self._place / "trio_gusto" / "model" / "rates.py"
        path.parent.mkdir(parents=True)
        path.write_text(source, "utf-8")


def with_mutants(place: Path, codes: dict[str, int | None]) -> None:
    place.mkdir(parents=True)
    functions = sorted({name.partition("__mutmut_")[0].rpartition(".")[2] for name in codes})
    bodies = [
        f"def {function}__mutmut_{which}():\n    return {which!r}\n"
        for function in functions
        for which in ("orig", "1")
    ]
    source = place / "trio_gusto" / "model" / "rates.py"
    source.parent.mkdir(parents=True)
    source.write_text("\n\n".join(bodies), "utf-8")
    source.with_suffix(".py.meta").write_text(json.dumps({"exit_code_by_key": codes}), "utf-8")


@pytest.mark.parametrize(
    ("codes", "judged", "again", "asked"),
    [
        ({"x_start": None, "x_end": 1, "x_new": None}, AFTER, (), ["x_new"]),
        ({"x_start": None, "x_end": 0, "x_new": 1}, AFTER, ["x_end"], ["x_end"]),
        ({"x_start": None, "x_end": 1, "x_new": 1}, AFTER, (), []),
        ({"x_start": None, "x_end": 1, "x_new": 1}, AFTER.replace("3", "4"), (), ["x_end"]),
    ],
    ids=["not come to", "open", "done", "changed"],
)
def test_who_asks_again_asks_about_functions_that_are_not_done(
    repository: tuple[Path, str],
    codes: dict[str, int | None],
    judged: str,
    again: Collection[str],
    asked: Sequence[str],
) -> None:
    _, commit = repository
    recorder = Recorder(ROOMS["model"], [], commit)
    recorder.judged(judged)
    with_mutants(
        recorder.mutated, {f"{RATES}.{name}__mutmut_1": code for name, code in codes.items()}
    )
    assert {one.change.function for one in recorder.mutants()} == {f"{RATES}.end", f"{RATES}.new"}
    names = {f"{RATES}.{name}__mutmut_1" for name in again}
    assert recorder.run_again(names, processes=1) == 0
    assert list(recorder.asked) == [f"{RATES}.{name}__mutmut_*" for name in asked]


def test_all_that_have_changed_are_asked_about_at_first(repository: tuple[Path, str]) -> None:
    _, commit = repository
    recorder = Recorder(ROOMS["model"], [], commit)
    assert not recorder.was_used
    assert recorder.run(processes=1) == 0
    assert list(recorder.asked) == CHANGED
