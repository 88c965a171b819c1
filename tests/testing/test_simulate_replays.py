"""A failed simulation is replayed by the script that it prints, in another process."""

from __future__ import annotations

import shlex
import subprocess
import sys
import types
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import trio

from property_tests.planted import HidesLostLeases
from trio_gusto import Gusto, MemoryStorage, Options
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import SimulationFailed, World, simulate

app = Gusto(options=Options(concurrency=2, lease=30.0))


@app.job
async def work(seconds: float = 0) -> float:
    await trio.sleep(seconds)
    return seconds


async def hasty(world: World) -> None:
    """A scenario that is wrong."""
    await world.queue.enqueue(work, 5)
    await world.advance(seconds=2)
    raise RuntimeError("it takes five seconds")


async def fussy(world: World, *, year: int = 2026, seconds: int = 0) -> None:
    """A scenario that is wrong only with other arguments than those it is given by default."""
    await world.queue.enqueue(work, seconds)
    if year != world.now().year or seconds:
        raise RuntimeError(f"it is {world.now()}")


async def left_behind(world: World) -> None:
    """A scenario that fails only on a storage that is wrong."""
    ref = await world.queue.enqueue(work, 5)
    await world.advance(seconds=2)
    await world.crash("node-0")
    await world.restart("node-0")
    await world.advance(minutes=5)
    if await ref.status() != "completed":
        raise RuntimeError("it is lost")


def failure_of(*args: Any, **options: Any) -> SimulationFailed:
    with pytest.raises(SimulationFailed) as caught:
        simulate(*args, **options)
    return caught.value


def run(command: Sequence[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=cwd,
    )


MAY = datetime(2027, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        (hasty, {"seed": 42, "nodes": 3}),
        (left_behind, {"make_storage": HidesLostLeases}),
        (hasty, {"make_storage": partial(SqliteStorage, ":memory:", inline=True)}),
        (fussy, {"start": MAY}),
        (partial(fussy, seconds=7), {"seed": -1}),
    ],
    ids=["seed and nodes", "storage", "partial storage", "start", "partial scenario"],
)
def test_the_line_that_replays_it_fails_the_same_way(scenario: Any, options: Any) -> None:
    failure = failure_of(scenario, app, **options)
    command = shlex.split(failure.replay)
    assert command[0] == "python"
    done = run(command[1:])
    assert done.returncode == 1
    assert str(failure) in done.stderr
    assert f"seed={failure.seed}" in failure.replay


def test_the_scenario_that_is_to_fail_of_its_storage_passes_on_another() -> None:
    simulate(left_behind, app)


SCRIPT = """
    from trio_gusto import Gusto
    from trio_gusto.testing import SimulationFailed, simulate

    app = Gusto()

    async def lame(world):
        raise RuntimeError("it comes to nothing")

    if __name__ == "__main__":
        try:
            simulate(lame, app, seed=5)
        except SimulationFailed as failure:
            print(failure.replay)
"""


@pytest.mark.parametrize("as_module", [False, True], ids=["file", "package"])
def test_what_a_program_played_itself_is_replayed_from_anywhere(
    tmp_path: Path, as_module: bool
) -> None:
    room = tmp_path / "its $room"
    (room / "shop").mkdir(parents=True)
    (room / "shop" / "play.py").write_text(dedent(SCRIPT))
    printed = (
        run(["-m", "shop.play"], cwd=room)
        if as_module
        else run([str(room / "shop" / "play.py")], cwd=Path.cwd())
    )
    name = "shop.play" if as_module else "play"
    assert f"from {name} import lame, app" in printed.stdout, printed.stderr
    # A shell reads the line, since the path to the script has what a shell would expand.
    line = printed.stdout.replace("python", shlex.quote(sys.executable), 1)
    cwd = room if as_module else tmp_path
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=False, cwd=cwd, timeout=120
    )
    assert "with seed 5: RuntimeError: it comes to nothing" in done.stderr


def test_two_that_have_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("elsewhere")
    module.__spec__ = ModuleSpec("elsewhere", None)
    module.hasty = lambda: SqliteStorage(":memory:", inline=True)
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    replay = failure_of(hasty, app, make_storage=module.hasty).replay
    assert "from elsewhere import hasty as hasty_;" in replay
    assert "simulate(hasty, app, seed=0, nodes=1, make_storage=hasty_)" in replay


def test_what_cannot_be_imported_is_named() -> None:
    async def inner(_world: World) -> None:
        raise ValueError("of no use")

    own = Gusto()
    failure = failure_of(
        inner, own, seed=3, make_storage=lambda: SqliteStorage(":memory:", inline=True)
    )
    assert isinstance(failure.__cause__, ValueError)
    call, _, comment = failure.replay.partition("  # ")
    assert call == "simulate(inner, app, seed=3, nodes=1, make_storage=make_storage)"
    here = f"{test_what_cannot_be_imported_is_named.__name__} ({__file__}:"
    assert f"add it by hand: inner, a function inside {here}" in comment
    assert "app, a Gusto that no importable module has as a variable; " in comment
    assert f"make_storage, a lambda inside {here}" in comment
    assert "from trio_gusto.testing import simulate" in comment


def test_what_can_be_imported_is_said_beside_what_cannot() -> None:
    opened = partial(OpensAt, Path("jobs.db"))  # a path cannot be written down as a literal
    replay = failure_of(hasty, app, make_storage=opened).replay
    assert replay.startswith("simulate(hasty, app, seed=0, nodes=1, make_storage=make_storage)  # ")
    assert "make_storage, a partial that no importable module has" in replay
    assert f"from {__name__} import hasty, app" in replay


class OpensAt(MemoryStorage):
    def __init__(self, place: Path) -> None:
        super().__init__()
        self.place = place
