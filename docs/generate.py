"""Writes the pages that are made from the code, so that they cannot disagree with it.

Each entry of `PAGES` maps a page to the function that returns its text. With `--check` nothing is
written; the exit status tells whether every page is as its function would write it.
"""

import ast
import inspect
import io
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import cyclopts
from rich.console import Console

import trio_gusto
from trio_gusto import HandlerOptions, JobOptions, Options, ScheduleOptions, ServiceError
from trio_gusto.cli import exits
from trio_gusto.cli.main import commands
from trio_gusto.model import errors, facts, happenings, lifecycle, outcomes, states
from trio_gusto.storage import (
    batch_messages,
    dependency_messages,
    finding_messages,
    lease_messages,
    messages,
    pause_messages,
    rate_messages,
    report_messages,
    retention_messages,
    run_messages,
    schedule_messages,
)

HERE = Path(__file__).parent

# --- words ----------------------------------------------------------------------------------------


def prose(documented: object) -> str:
    """A docstring as Markdown; its code is marked with single backticks there."""
    text = documented if isinstance(documented, str) else inspect.getdoc(documented)
    return inspect.cleandoc(text or "").replace("``", "`")


def cell(text: str) -> str:
    """The same on one line, for a table."""
    return " ".join(text.split()).replace("|", "\\|")


def capitalised(text: str) -> str:
    return cell(text[:1].upper() + text[1:])


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`"


def page(title: str, *parts: str) -> str:
    note = "<!-- Made by docs/generate.py; change the code instead, and run `make format`. -->"
    return "\n\n".join([note, f"# {title}", *parts]) + "\n"


def classes_of(module: ModuleType, kind: type = object) -> Iterator[type[Any]]:
    """The public classes that a module defines, in the order it defines them."""
    for name, value in vars(module).items():
        is_own = isinstance(value, type) and value.__module__ == module.__name__
        if is_own and not name.startswith("_") and issubclass(value, kind):
            yield value


def written_in(cls: type) -> ast.ClassDef:
    """A class as it is written."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    return tree


def field_notes(cls: type) -> dict[str, str]:
    """What is written below each field of a class."""
    body = written_in(cls).body
    return {
        field.target.id: prose(note.value.value)
        for field, note in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(note, ast.Expr)
        and isinstance(note.value, ast.Constant)
        and isinstance(note.value.value, str)
    }


def notes_of_constants(module: ModuleType) -> dict[str, str]:
    """What is written below each constant of a module."""
    body = ast.parse(inspect.getsource(module)).body
    return {
        constant.targets[0].id: prose(note.value.value)
        for constant, note in pairwise(body)
        if isinstance(constant, ast.Assign)
        and isinstance(constant.targets[0], ast.Name)
        and isinstance(note, ast.Expr)
        and isinstance(note.value, ast.Constant)
        and isinstance(note.value.value, str)
    }


def address(cls: type) -> str:
    """How users import a class."""
    if getattr(trio_gusto, cls.__name__, None) is cls:
        return str(cls.__name__)
    return f"{cls.__module__}.{cls.__qualname__}"


def fields_of(cls: Any) -> Iterator[tuple[str, str]]:
    """The fields of an attrs class, with their types."""
    for field in attrs.fields(cls):
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
        yield field.name, str(kind)


# --- options --------------------------------------------------------------------------------------


def default_of(field: Any) -> str:
    if field.default is attrs.NOTHING:
        return ""
    is_made = isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
    return "" if is_made else code(repr(field.default))


def options() -> str:
    notes = field_notes(Options)
    rows = [
        [code(field.name), code(cell(str(field.type))), default_of(field), cell(notes[field.name])]
        for field in attrs.fields(Options)
    ]
    return page(
        "Options",
        "`trio_gusto.Options`: how one app runs its jobs. "
        "See [Configure from TOML](../how-to/configure-from-toml.md) for files and environments.",
        "A value out of range raises `OptionsError` with its `key`, its `value` and what is "
        "`allowed`. A duration is seconds or a `timedelta`.",
        table(["option", "type", "default", "meaning"], rows),
    )


def job_options() -> str:
    return page(
        "Options of a job",
        "The keywords of `JobQueue.enqueue`, `call` and `@app.job` (`trio_gusto.JobOptions`). "
        "Three levels, the nearer wins: `Options.default_*`, the handler's, the call's. A level "
        "replaces what the one above said; tags and metadata are not merged.",
        prose(JobOptions),
        "## Options of a handler",
        "`trio_gusto.HandlerOptions`: "
        + prose(HandlerOptions).removeprefix("The options of `@app.job`: "),
        "## Options of a schedule",
        "`trio_gusto.ScheduleOptions`, the keywords of `JobQueue.schedule`. "
        + prose(ScheduleOptions).removeprefix(
            "The options of a schedule, and of its jobs (`JobOptions`)."
        ),
    )


# --- errors, facts, words -------------------------------------------------------------------------


def error_fields(cls: type) -> list[str]:
    """What an error carries: the attributes that its own `__init__` sets."""
    if "__init__" not in vars(cls):
        return []
    return [
        node.attr
        for node in ast.walk(written_in(cls))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
    ]


def error_page() -> str:
    rows = [
        [
            code(address(cls)),
            ", ".join(code(base.__name__) for base in cls.__bases__),
            cell(prose(cls)),
            ", ".join(code(name) for name in error_fields(cls)),
        ]
        for cls in [*classes_of(errors), ServiceError]
    ]
    return page(
        "Errors",
        "Every error that the package raises is a `GustoError`. Its message says what happened, why "
        "that cannot be, and what to do instead; its fields say it to programs. Names without a "
        "module are imported from `trio_gusto`.",
        table(["error", "is a", "when", "fields"], rows),
        "Waiting with a `timeout` that passes raises `trio.TooSlowError`, and the job goes on.",
        "`Retry`, `Snooze`, `Fail` and `Cancel` are no errors of the package: handlers raise them. "
        "See [States and outcomes](states-and-outcomes.md).",
    )


def fact_page() -> str:
    common = [name for name, _ in fields_of(facts.JobFact)]
    rows = [
        [
            code(cls.__name__),
            cell(prose(cls)),
            ", ".join(
                f"{code(name)}: {code(cell(kind))}"
                for name, kind in fields_of(cls)
                if name != "at" and not (issubclass(cls, facts.JobFact) and name in common)
            ),
        ]
        for cls in classes_of(facts)
        if cls not in (facts.Fact, facts.JobFact)
    ]
    return page(
        "Facts",
        prose(facts),
        "`JobQueue.events` gives a stream of them: what happens in this process, and not what others do. "
        "See [Look at jobs](../how-to/look-at-jobs.md).",
        "Every fact (`Fact`) has `at`, an aware `datetime`. A fact about a job (`JobFact`: all whose "
        "names begin with `Job` or `Lease`) also has `job_id`, `name` and `queue`.",
        table(["fact", "when", "its own fields"], rows),
    )


def state_page() -> str:
    state_rows = [
        [code(cls.word.value), "ended" if cls.word.is_ended else "", cell(prose(cls))]
        for cls in classes_of(states)
        if hasattr(cls, "word")
    ]
    outcome_rows = [
        [code(cls.word.value), cell(prose(cls))]
        for cls in classes_of(outcomes)
        if hasattr(cls, "word")
    ]
    raised = [
        [code(cls.__name__), capitalised(prose(cls).removeprefix("Raised by a handler: "))]
        for cls in classes_of(outcomes, Exception)
    ]
    return page(
        "States and outcomes",
        "The words are members of `StrEnum`s: `JobState.READY == 'ready'`.",
        "## States of a job",
        "`JobState`, in `Job.state` and `JobRef.status()`. Which may follow which is in "
        "[A job's life](../explanation/lifecycle.md).",
        table(["state", "", "meaning"], state_rows),
        "## Outcomes of an attempt",
        "`AttemptOutcome`, in `Attempt.outcome`; `None` while the attempt runs.",
        table(["outcome", "meaning"], outcome_rows),
        "## What a handler may raise",
        "Any other exception fails the attempt, and the retry policy decides.",
        table(["exception", "meaning"], raised),
    )


def message_page() -> str:
    def described(cls: type) -> str:
        fields = [f"- {code(name)}: {code(kind)}" for name, kind in fields_of(cls)]
        return "\n\n".join([f"### {cls.__name__}", prose(cls), "\n".join(fields)]).rstrip()

    first_queries: dict[ModuleType, type | None] = {
        messages: None,
        lease_messages: lease_messages.Stranded,
        finding_messages: finding_messages.Get,
        retention_messages: None,
        schedule_messages: schedule_messages.FindSchedules,
        batch_messages: batch_messages.Batches,
        dependency_messages: dependency_messages.Dependents,
        pause_messages: pause_messages.Pauses,
        rate_messages: rate_messages.Buckets,
        report_messages: report_messages.ReadLog,
        run_messages: run_messages.PastRuns,
    }
    writes: list[type] = []
    queries: list[type] = []
    for module, first_query in first_queries.items():
        kinds = list(classes_of(module))
        first = len(kinds) if first_query is None else kinds.index(first_query)
        writes += kinds[:first]
        queries += kinds[first:]
    return page(
        "Messages to a storage",
        "`trio_gusto.storage.messages`. " + prose(messages),
        "## Writes",
        "`Storage.apply(writes)`",
        *map(described, writes),
        "## Queries",
        "`Storage.read(query)`",
        *map(described, queries),
    )


def command_lines(app: cyclopts.App, *line: str) -> Iterator[list[str]]:
    """The command line itself, and then each command, with those that it has."""
    yield list(line)
    for name in sorted(app):
        if not name.startswith("-"):
            yield from command_lines(app[name], *line, name)


def command_page() -> str:
    parts: list[str] = []
    for line in command_lines(commands):
        out = io.StringIO()
        console = Console(file=out, width=96, force_terminal=False, color_system=None)
        commands([*line, "--help"], console=console)
        shown = "\n".join(text.rstrip() for text in out.getvalue().strip().splitlines())
        asked = " ".join(["trio-gusto", *line, "--help"])
        heading = f"## {' '.join(line)}\n\n" if line else ""
        parts.append(f"{heading}```console\n$ {asked}\n{shown}\n```")
    notes = notes_of_constants(exits)
    codes = [[str(getattr(exits, name)), cell(note)] for name, note in notes.items()]
    return page(
        "Command line",
        "`python -m trio_gusto` is the same as `trio-gusto`. Errors are sentences on standard error.",
        table(["exit code", "meaning"], codes),
        "Commands on stored jobs (all but `preflight`) need the file only, not the code that its jobs call: handlers are "
        "names there, and are not imported. With `--json` each prints one JSON document in one line: "
        "instants are in ISO 8601, durations in seconds. Elsewhere than on a terminal tables are lines "
        "whose columns are parted by tabs.",
        *parts,
        "In a checkout, `make demo` runs the demo on a folder (`DIR=...`, by default the checkout "
        "itself), and `make demo CRASH=1` with a crash.",
    )


# --- a job's life ---------------------------------------------------------------------------------


def word_of(state: Any) -> str:
    """What users see of a state."""
    return str(state.word.value)


def moves() -> Iterator[tuple[str, str, list[str]]]:
    """The table of transitions in words: state, what happened, the states it may lead to."""
    for (state, happening), (_, targets) in lifecycle.TRANSITIONS.items():
        words = [word_of(kind) for kind in (state, *targets)]
        yield words[0], happening.__name__, words[1:]


def transitions() -> str:
    rows = [
        [code(state), code(happening), ", ".join(map(code, targets))]
        for state, happening, targets in moves()
    ]
    return table(["a job that is", "takes", "and is then"], rows)


def happening_rows() -> str:
    kinds = {happening for _, happening in lifecycle.TRANSITIONS}
    known = [cls for cls in (*classes_of(happenings), *classes_of(outcomes)) if cls in kinds]
    rows = [[code(cls.__name__), cell(prose(cls))] for cls in known]
    return table(["happening", "meaning"], rows)


def filled(page: str, made_parts: Mapping[str, str]) -> str:
    """A page that is written by hand; only what stands between its marks is made here."""
    text = (HERE / page).read_text(encoding="utf-8")
    for name, made in made_parts.items():
        begin, end = f"<!-- begin: {name} -->\n", f"\n<!-- end: {name} -->"
        before, rest = text.split(begin)
        after = rest.partition(end.lstrip())[2]
        text = f"{before}{begin}\n{made}\n{end}{after}"
    return text


def lifecycle_page() -> str:
    parts = {"transitions": transitions(), "happenings": happening_rows()}
    return filled("explanation/lifecycle.md", parts)


def schedule_page() -> str:
    from docs.schedule_tables import missed_rows, overlap_rows

    overlap = table(["overlap", "1:00", "2:00", "3:00"], overlap_rows())
    hours = [f"{hour}:00" for hour in range(1, 6)]
    parts = {"overlap": overlap, "missed": table(["options", *hours], missed_rows())}
    return filled("how-to/run-on-a-schedule.md", parts)


def lifecycle_picture() -> str:
    from docs.lifecycle_picture import draw

    return draw(moves())


def storage_page() -> str:
    from docs.storage_promises import broken, promises

    parts: list[str] = []
    for about, rows in broken():
        cells = [[name, cell(what), cell(promise)] for name, what, promise in rows]
        head = ["storage", "what is wrong with it", "the promise that it breaks, and the check"]
        parts += [f"### {about}", table(head, cells)]
    return page(
        "Promises of a storage",
        "What `trio_gusto.testing.check_storage` checks, and what it is checked with itself. "
        "[Write your own storage](../how-to/write-your-own-storage.md) shows how it is used.",
        "## Promises",
        "Each is one check: a function whose name is the sentence, in `STORAGE_CHECKS` or, for what has to outlive "
        "a storage object, in `REOPENING_CHECKS`.",
        *promises(),
        "## Broken storages",
        "Each of these breaks one promise, and the check of that promise finds it. They stand in "
        "`property_tests/broken/`, and a test runs the check on each.",
        *parts,
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "explanation/lifecycle.md": lifecycle_page,
    "explanation/lifecycle.svg": lifecycle_picture,
    "how-to/run-on-a-schedule.md": schedule_page,
    "reference/options.md": options,
    "reference/job-options.md": job_options,
    "reference/errors.md": error_page,
    "reference/facts.md": fact_page,
    "reference/states-and-outcomes.md": state_page,
    "reference/messages.md": message_page,
    "reference/storage-contract.md": storage_page,
    "reference/cli.md": command_page,
}


def main(arguments: list[str]) -> int:
    sys.path.insert(0, str(HERE.parent))  # run as a script, this file sees only its own folder
    check = arguments == ["--check"]
    if arguments and not check:
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    stale = 0
    for name, make in PAGES.items():
        page = HERE / name
        text = make()
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check:
            print(f"docs/{name} is not what the code says; run `make format`", file=sys.stderr)
        else:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, encoding="utf-8")
            print(f"docs/{name} written")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
