"""What the report on mutants says, and that it can fail: on survivors and on explanations of none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from property_tests.mutation import workshop
from property_tests.mutation.__main__ import main
from property_tests.mutation.mutants import (
    Change,
    Mutant,
    Verdict,
    forget_verdicts,
    functions_in,
    read_mutants,
    verdict_of,
)
from property_tests.mutation.record import BadRecord, Entry, read_record, stale
from property_tests.mutation.report import Report
from property_tests.mutation.rooms import ROOMS, Room
from property_tests.mutation.rules import is_the_same

ROOT = Path(__file__).parents[2]

MUTATED = """
@attrs.frozen
class Bucket:
    @_mutmut_mutated(mutants_xǁBucketǁfull__mutmut)
    def full(self, now):
        return self.at <= now

    def xǁBucketǁfull__mutmut_orig(self, now):
        return self.at <= now

    def xǁBucketǁfull__mutmut_1(self, now):
        return self.at < now


async def x_start__mutmut_orig(
    first,
    second,
):
    await go(
        first,
        second,
    )


async def x_start__mutmut_1(
    first,
    second,
):
    await go(
        first,
        )


async def x_start__mutmut_2(
    first,
    second,
):
    await go(
        first,
        None,
    )
"""

FULL = Change("trio_gusto.model.rates.Bucket.full", "return self.at <= now", "return self.at < now")
START = "trio_gusto.model.rates.start"
LEFT_OUT = Change(START, "second, )", ")")
NOTHING = Change(START, "second,", "None,")


@pytest.fixture
def mutated(tmp_path: Path) -> Path:
    """As mutmut leaves it."""
    folder = tmp_path / "trio_gusto" / "model"
    folder.mkdir(parents=True)
    (folder / "rates.py").write_text(MUTATED, "utf-8")
    codes = {
        "trio_gusto.model.rates.xǁBucketǁfull__mutmut_1": 0,
        "trio_gusto.model.rates.x_start__mutmut_1": 1,
        "trio_gusto.model.rates.x_start__mutmut_2": -24,
    }
    (folder / "rates.py.meta").write_text(json.dumps({"exit_code_by_key": codes}), "utf-8")
    (tmp_path / "mutmut-stats.json").write_text("{}", "utf-8")
    return tmp_path


def test_mutants_are_read_with_what_they_change(mutated: Path) -> None:
    found = read_mutants(mutated)
    assert [(mutant.change, mutant.verdict) for mutant in found] == [
        (FULL, Verdict.SURVIVED),
        (LEFT_OUT, Verdict.KILLED),
        (NOTHING, Verdict.TIMEOUT),
    ]
    assert found[0].original == "def full(self, now):\n    return self.at <= now"
    assert found[0].mutated == "def full(self, now):\n    return self.at < now"


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (None, Verdict.NOT_ASKED),
        (0, Verdict.SURVIVED),
        (1, Verdict.KILLED),
        (33, Verdict.NO_TESTS),
        (36, Verdict.TIMEOUT),
        (2, Verdict.SUSPICIOUS),
        (-9, Verdict.SUSPICIOUS),
    ],
)
def test_what_says_nothing_is_no_kill(code: int | None, verdict: Verdict) -> None:
    assert verdict_of(code) is verdict


def test_what_is_forgotten_is_asked_again(mutated: Path) -> None:
    before = read_mutants(mutated)
    forget_verdicts(mutated, {before[0].name, "trio_gusto.of_another_room.x_start__mutmut_1"})
    verdicts = [mutant.verdict for mutant in read_mutants(mutated)]
    assert verdicts == [Verdict.NOT_ASKED, Verdict.KILLED, Verdict.TIMEOUT]
    assert not (mutated / "mutmut-stats.json").exists()


# --- the report -----------------------------------------------------------------------------------

ROOM = Room("model", parts={"model": ("trio_gusto.model.*",)}, judges=())


def mutant(
    change: Change, verdict: Verdict, original: str = "f(1)", mutated: str = "f(2)"
) -> Mutant:
    return Mutant("trio_gusto.model.rates.x_start__mutmut_1", change, verdict, original, mutated)


def reported(mutants: Sequence[Mutant], *entries: Entry) -> tuple[bool, list[str]]:
    report = Report.of(ROOM, mutants, entries)
    return report.is_explained, list(report.lines())


WHY = Entry(FULL, "a bucket that is full now is as good as none")


def test_a_survivor_that_nobody_explains_fails_the_report_and_is_shown() -> None:
    explained, lines = reported([mutant(FULL, Verdict.SURVIVED), mutant(NOTHING, Verdict.KILLED)])
    assert not explained
    assert lines[0] == f"survived: {FULL.function}  (trio_gusto.model.rates.x_start__mutmut_1)"
    assert lines[1:3] == ["    - return self.at <= now", "    + return self.at < now"]
    assert lines[-1].split() == ["model", "2", "1", "0", "0", "0", "1", "0", "50.0%"]


def test_a_recorded_survivor_is_explained_and_not_counted_as_noticed() -> None:
    explained, lines = reported(
        [mutant(FULL, Verdict.SURVIVED), mutant(NOTHING, Verdict.TIMEOUT)], WHY
    )
    assert explained
    assert lines[-1].split() == ["model", "2", "0", "1", "1", "0", "0", "0", "50.0%"]


def test_an_explanation_without_its_survivor_fails_the_report() -> None:
    explained, lines = reported([mutant(FULL, Verdict.KILLED)], WHY)
    assert not explained
    assert lines[0] == f"recorded as equivalent, but it did not survive: {FULL.function}"


def test_an_explanation_of_one_whose_time_ran_out_is_kept() -> None:
    """A busy machine has noticed it, and no test."""
    explained, lines = reported([mutant(FULL, Verdict.TIMEOUT)], WHY)
    assert explained
    assert len(lines) == 2


def test_an_explanation_of_a_module_that_was_not_mutated_is_left_alone() -> None:
    elsewhere = Entry(Change("trio_gusto.storage.rates.f", "a", "b"), "it is elsewhere")
    assert reported([mutant(FULL, Verdict.KILLED)], elsewhere)[0]


def test_a_verdict_that_says_nothing_cannot_be_explained() -> None:
    assert not reported([mutant(FULL, Verdict.SUSPICIOUS)], WHY)[0]


def test_a_run_that_was_stopped_explains_nothing_and_its_score_is_of_those_asked() -> None:
    explained, lines = reported(
        [mutant(NOTHING, Verdict.KILLED), mutant(FULL, Verdict.NOT_ASKED)], WHY
    )
    assert not explained
    assert len(lines) == 2
    assert lines[-1].split() == ["model", "2", "1", "0", "0", "0", "0", "1", "100.0%"]


def test_code_without_tests_is_as_good_as_a_survivor() -> None:
    assert not reported([mutant(FULL, Verdict.NO_TESTS)])[0]
    assert reported([mutant(FULL, Verdict.NO_TESTS)], WHY)[0]


# --- the rules ------------------------------------------------------------------------------------

MATCH = "match a:\n    case 1: b()\n"


@pytest.mark.parametrize(
    ("original", "mutated"),
    [
        ("x = cast('list[int]', y)", "x = cast('XXlist[int]XX', y)"),
        ("x = cast('list[int]', y)", "x = cast(None, y)"),
        ("run('SELECT a FROM b')", "run('select a from b')"),
        ("run(\" WHERE a = 'Ab' AND b\")", "run(\" where A = 'Ab' and B\")"),
        ("run(f'SELECT {a} FROM b')", "run(f'select {a} from b')"),
        ("run('RELEASE step')", "run('RELEASE STEP')"),
        ("run('NOT ' + a)", "run('not ' + a)"),
        ("run(' UNION ALL '.join(a))", "run(' union all '.join(a))"),
        (f"{MATCH}    case _: assert_never(a)", f"{MATCH}    case _: assert_never(None)"),
        (f"{MATCH}    case _: assert_never(a)", MATCH),
    ],
)
def test_these_mean_the_same(original: str, mutated: str) -> None:
    assert is_the_same(original, mutated)


@pytest.mark.parametrize(
    ("original", "mutated"),
    [
        ("x = cast('list[int]', y)", "x = cast('list[int]', None)"),
        ("x = cast('list[int]', y)", "x = cast(y)"),
        ("x = caste('list[int]', y)", "x = caste(None, y)"),
        ("run('SELECT a FROM b')", "run('XXSELECT a FROM bXX')"),
        ("run(\"WHERE a = 'Ab'\")", "run(\"WHERE a = 'AB'\")"),
        ("say('it is over')", "say('IT IS OVER')"),
        ("f(a < b)", "f(a <= b)"),
        ("f(a, b)", "f(a)"),
        ("f(x=a)", "f(y=a)"),
        ("a = 1", "a = 2"),
        ("a = 1", "a += 1"),
        (f"{MATCH}    case _: assert_never(a)", f"{MATCH}    case _: pass"),
        (f"{MATCH}    case _: f(a)", f"{MATCH}    case _: f(None)"),
        (f"{MATCH}    case _: f(a)", MATCH),
        (f"{MATCH}    case 2: assert_never(a)", MATCH),
        (f"{MATCH}    case _ if b: assert_never(a)", MATCH),
    ],
)
def test_these_do_not(original: str, mutated: str) -> None:
    assert not is_the_same(original, mutated)


# --- the record -----------------------------------------------------------------------------------

ENTRY = """
[[equivalent]]
function = "trio_gusto.model.rates.Bucket.full"
was = "return self.at <= now"
becomes = "return self.at < now"
why = "a bucket that is full now is as good as none"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "equivalent.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_record_is_read(tmp_path: Path) -> None:
    assert read_record(written(tmp_path, ENTRY)) == (WHY,)
    assert read_record(written(tmp_path, "")) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ENTRY.replace("why =", "reason ="), "has .*reason.* needs .*why"),
        (ENTRY.replace('why = "a bucket that is full now is as good as none"', ""), "needs"),
        (ENTRY.replace("a bucket that is full now is as good as none", " "), "gives no reason"),
        (ENTRY + ENTRY, "entry 2 .*stands there twice"),
    ],
)
def test_an_entry_that_explains_nothing_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadRecord, match=words):
        read_record(written(tmp_path, text))


def test_an_entry_is_stale_when_its_change_did_not_survive() -> None:
    assert stale([WHY], [FULL]) == []
    assert stale([WHY], [NOTHING]) == [WHY]


def test_the_record_of_this_repository_is_about_functions_as_they_are() -> None:
    """A function was split, and what was recorded of its lines went with none of the two."""
    sources: dict[Path, Mapping[str, str]] = {}
    for entry in read_record():
        module, name = entry.change.function, ""
        while not (path := ROOT / f"{module.replace('.', '/')}.py").exists():
            assert "." in module, f"no module has the function {entry.change.function}"
            module, _, last = module.rpartition(".")
            name = f"{last}.{name}".rstrip(".")
        if path not in sources:
            sources[path] = functions_of(path)
        assert entry.change.was in sources[path].get(name, ""), entry.change


def functions_of(path: Path) -> Mapping[str, str]:
    """The lines of its functions and methods, joined as the record has them."""
    source = path.read_text("utf-8")
    lines = source.splitlines()
    found: dict[str, str] = {}
    for within, node in functions_in(source):
        name = f"{within}.{node.name}".lstrip(".")
        body = lines[node.lineno - 1 : node.end_lineno]
        # A property and its setter have one name.
        found[name] = found.get(name, "") + " ".join(map(str.strip, body))
    return found


@pytest.mark.parametrize("room", ROOMS.values(), ids=lambda room: room.name)
def test_rooms_and_their_judges_are_there(room: Room) -> None:
    for pattern in [each for patterns in room.parts.values() for each in patterns]:
        assert list(ROOT.glob(f"{pattern.replace('.', '/').rstrip('*')}*")), pattern
    for judge in room.judges:
        assert (ROOT / judge.partition("::")[0]).exists(), judge
    for test in [*room.but_not, *(judge for judge in room.judges if "::" in judge)]:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / file).read_text("utf-8"), test


@pytest.mark.parametrize("option", ["--again", "--report"])
@pytest.mark.parametrize("only", [[], ["trio_gusto.model.rates"]], ids=["room", "module"])
def test_without_a_run_before_there_is_nothing_to_go_on_with(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    option: str,
    only: list[str],
) -> None:
    """A report of no mutants was printed, and counted as a success."""
    monkeypatch.setattr(workshop, "ROOT", tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["model", *only, option])
    assert left.value.code == 2
    assert f"about {' '.join(['model', *only])} yet" in capsys.readouterr().err


def test_verdicts_of_a_module_are_kept_beside_those_of_its_room() -> None:
    model = ROOMS["model"]
    many = [f"trio_gusto.model.{name}" for name in ("rates", "lanes", "states", "instants") * 5]
    rooms = [workshop.Workshop(model, only) for only in ([], many[:1], many, many[:-1])]
    for room in rooms:  # a name of all modules was too long for a folder
        assert isinstance(room.was_used, bool)
    assert len({room.mutated for room in rooms}) == len(rooms)
