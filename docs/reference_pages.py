"""Pages of reference that are made from the code alone: options, errors, facts, words, messages, commands."""

import ast
import io
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import attrs
import cyclopts
from rich.console import Console

from docs.page_parts import (
    address,
    capitalised,
    cell,
    classes_of,
    code,
    field_notes,
    fields_of,
    notes_of_constants,
    page,
    prose,
    table,
    written_in,
)
from trio_gusto import HandlerOptions, JobOptions, Options, ScheduleOptions, ServiceError
from trio_gusto.cli import exits
from trio_gusto.cli.main import commands
from trio_gusto.model import errors, facts, outcomes, states
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
