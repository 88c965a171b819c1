"""The benchmarks: what a goal means, what the table shows, and how two trees are compared."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
import trio

from benchmarks import compare, crowds, report
from benchmarks.catalogue import FIGURES, NAMES, module_of
from benchmarks.compare import USUAL, Comparison
from benchmarks.contender import NotMeasured, Track, track
from benchmarks.revisions import UnknownRevision, checked_out, commit_of
from benchmarks.rows import Figure, Goal, Pair, Row, alone, at_least, at_most, beside, versus
from benchmarks.scale import Scale

ROOT = Path(__file__).parents[2]

# --- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("goal", "value", "ratio", "is_met"),
    [
        (at_least(0.5), 1, 0.5, True),
        (at_least(0.5), 1, 0.49, False),
        (at_most(2), 2, None, True),
        (at_most(2), 2.1, 0.1, False),
    ],
)
def test_a_goal_is_for_the_ratio_or_for_the_value(
    goal: Goal, value: float, ratio: float | None, is_met: bool
) -> None:
    assert goal.is_met(value, ratio) is is_met


def test_a_row_without_a_floor_has_no_goal_for_its_ratio() -> None:
    with pytest.raises(ValueError, match="no floor"):
        Row("drain", "jobs/s", None, at_least(0.5))


def test_a_floor_is_measured_on_both_sides_of_the_product(tmp_path: Path) -> None:
    floors = iter([1.0, 3.0])
    figure = versus("x", Row("x", "s", "y"), lambda _: 4.0, lambda _: next(floors))
    assert figure.measure(Scale(tmp_path)) == [Pair(4.0, 2.0)]


def test_rows_that_are_measured_together_keep_their_own_floors(tmp_path: Path) -> None:
    rows = [Row("x", "s", "z"), Row("y", "ms", "z")]
    figure = beside("x", rows, lambda _: [4.0, 6.0], lambda _: [2.0, 1.0])
    assert [pair.ratio for pair in figure.measure(Scale(tmp_path))] == [2.0, 6.0]


def test_the_table_shows_a_row_without_a_floor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row("next_after", "µs", None, at_most(100))
    figure = alone("cron", [row], lambda _: [66.0])
    rounds = [figure.measure(Scale(tmp_path)), [Pair(120.0)], [Pair(130.0)]]
    results = report.results_of(figure, rounds)
    report.show({}, results)
    shown = capsys.readouterr().out
    assert [cell.strip() for cell in shown.splitlines()[-2].strip("│").split("│")] == [
        "cron", "next_after", "120 µs", "—", "—", "66 to 130 µs", "at most 100 µs", "below",
    ]  # fmt: skip
    said = json.loads(json.dumps(report.as_json({}, 3, results)))["rows"][0]
    assert (said["floor"], said["ratio"], said["ok"]) == (None, None, False)


def test_names_of_figures_are_told_apart() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert set(USUAL) < set(NAMES)


@pytest.mark.parametrize("figure", FIGURES, ids=NAMES)
def test_every_figure_is_found_in_its_own_module(figure: Figure) -> None:
    assert figure in sys.modules[module_of(figure)].FIGURES


# --- what happens to many at once -----------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["sqlite-fire", "sqlite-release", "sqlite-cancel", "memory-cancel", "cron-next", "cron-never"],
)
def test_a_goal_of_schedules_and_batches_is_set_for_every_row(name: str) -> None:
    figure = FIGURES[NAMES.index(name)]
    assert all(row.goal is not None and row.goal.of == "value" for row in figure.rows)


@pytest.mark.parametrize(
    "name",
    [
        "sqlite-fire",
        "sqlite-release",
        "sqlite-cancel",
        "memory-fire",
        "sqlite-archive",
        "sqlite-prune",
        "cron-next",
        "cron-never",
    ],
)
def test_a_figure_measures_something_for_every_row(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowds, "SILENCE", 0.01)
    figure = FIGURES[NAMES.index(name)]
    scale = attrs.evolve(Scale.quick(tmp_path), schedules=10, crowd=20, old=600)
    figure.prepare(scale)
    pairs = figure.measure(scale)
    assert len(pairs) == len(figure.rows)
    assert all(pair.product > 0 for pair in pairs)
    assert all(
        (pair.floor is None) == (row.floor is None)
        for pair, row in zip(pairs, figure.rows, strict=True)
    )


async def test_a_loop_held_until_the_end_of_the_block_is_seen(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(crowds, "perf_counter", autojump_clock.current_time)
    async with crowds.watched() as watch:
        autojump_clock.jump(0.5)  # what blocks the loop lets time pass, and nothing else run
    assert watch.worst == pytest.approx(0.5, abs=0.002)


# --- comparing two trees --------------------------------------------------------------------------

RATE = Row("drain", "jobs/s")
WAIT = Row("lag", "ms")


@pytest.mark.parametrize(
    ("row", "this", "other", "ratio", "is_slower"),
    [
        (RATE, [95.0], [100.0], 0.95, False),
        (RATE, [94.0], [100.0], 0.94, True),
        (WAIT, [100.0], [94.0], 0.94, True),
        (WAIT, [94.0], [100.0], 100 / 94, False),
        (RATE, [10.0, 100.0, 50.0], [10.0, 10.0, 50.0], 1.0, False),  # one round was disturbed
    ],
)
def test_slower_is_who_loses_more_than_five_per_cent(
    row: Row, this: list[float], other: list[float], ratio: float, is_slower: bool
) -> None:
    compared = Comparison("x", row, this, other)
    assert compared.ratio == pytest.approx(ratio)
    assert compared.is_slower is is_slower


def test_the_best_rounds_are_the_fastest() -> None:
    assert Comparison("x", RATE, [1.0, 8.0], [4.0, 2.0]).ratio_of_bests == 2
    assert Comparison("x", WAIT, [1.0, 8.0], [4.0, 2.0]).ratio_of_bests == 2


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with a single commit, in which there is a product that has a file's content of its own."""
    place = tmp_path / "repository"
    package = place / "trio_gusto"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('of the other revision')\n")
    git(place, "init", "--quiet")
    git(place, "add", ".")
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    git(place, *who, "-c", "commit.gpgsign=false", "commit", "--quiet", "-m", "first")
    return place


def git(place: Path, *arguments: str) -> str:
    command = ["git", "-C", str(place), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def work_trees(place: Path) -> Sequence[str]:
    return [
        line
        for line in git(place, "worktree", "list", "--porcelain").splitlines()
        if line.startswith("worktree ")
    ]


@pytest.mark.parametrize("ending", [None, KeyboardInterrupt, SystemExit, ValueError])
def test_nothing_is_left_of_the_other_revision(
    repository: Path, ending: type[BaseException] | None
) -> None:
    seen: list[Path] = []

    def use() -> None:
        with checked_out(repository, commit_of(repository, "HEAD")) as tree:
            seen.append(tree)
            assert (tree / "trio_gusto" / "__init__.py").exists()
            (tree / "written").write_text("")
            assert len(work_trees(repository)) == 2
            if ending is not None:
                raise ending

    if ending is None:
        use()
    else:
        with pytest.raises(ending):
            use()
    assert not seen[0].parent.exists()
    assert len(work_trees(repository)) == 1


@pytest.mark.parametrize("revision", ["nothing", "--all", "HEAD:trio_gusto", "HEAD~1"])
def test_a_revision_that_is_no_commit_is_refused(repository: Path, revision: str) -> None:
    with pytest.raises(UnknownRevision, match="names no commit"):
        commit_of(repository, revision)


def test_the_product_that_is_measured_is_the_tree_s_own(repository: Path, tmp_path: Path) -> None:
    figure = FIGURES[NAMES.index("cron-next")]
    with track(tmp_path, quick=True) as ground:
        (here,) = ground.measure(ROOT, figure)
        with pytest.raises(NotMeasured, match="of the other revision"):
            ground.measure(repository, figure)
    assert here > 0


def test_a_figure_does_without_the_features_that_others_are_about() -> None:
    code = "import sys, benchmarks.figures.throughput; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "benchmarks.throughput" in loaded.split()
    assert not {"benchmarks.crowds", "benchmarks.cron_expressions"} & set(loaded.split())


def test_a_product_of_some_other_place_is_not_measured(tmp_path: Path) -> None:
    with track(tmp_path) as ground, pytest.raises(NotMeasured, match="was to be measured"):
        ground.measure(tmp_path, FIGURES[0])


def test_a_comparison_tells_by_its_exit_code(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = {ROOT: 90.0}

    def measured(_: object, tree: Path, figure: Figure) -> Sequence[float]:
        return [speeds.get(tree, 100.0) for _ in figure.rows]

    def compared() -> int:
        return compare.main(["HEAD", "--figures", "memory-drain", "--dir", str(tmp_path / "db")])

    monkeypatch.setattr(Track, "measure", measured)
    monkeypatch.setattr(compare, "commit_of", lambda _, revision: commit_of(repository, revision))
    monkeypatch.setattr(compare, "checked_out", lambda _, commit: checked_out(repository, commit))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert compared() == 1
    speeds[ROOT] = 96.0
    assert compared() == 0
    monkeypatch.setattr(Track, "measure", interrupted)
    assert compared() == 130
    assert len(work_trees(repository)) == 1
    assert not (tmp_path / "db").exists()


def interrupted(*_: object) -> Sequence[float]:
    raise KeyboardInterrupt


def test_few_rounds_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compare.main(["HEAD", "--rounds", "4"])
    assert "at least 5" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["benchmarks", "benchmarks.compare"])
def test_help_names_every_figure_that_may_be_asked_for(module: str) -> None:
    command = [sys.executable, "-m", module, "--help"]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = NAMES if module == "benchmarks" else USUAL
    assert [name for name in names if name not in "".join(said.split())] == []
