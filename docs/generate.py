"""Writes the pages that are made from the code, so that they cannot disagree with it: `python -m docs.generate`.

Each entry of `PAGES` maps a page to the function that returns its text. With `--check` nothing is
written; the exit status tells whether every page is as its function would write it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from docs.lifecycle_picture import draw
from docs.page_parts import cell, classes_of, code, page, prose, table
from docs.reference_pages import (
    command_page,
    error_page,
    fact_page,
    job_options,
    message_page,
    options,
    state_page,
)
from docs.schedule_tables import missed_rows, overlap_rows
from docs.storage_promises import broken, promises
from trio_gusto.model import happenings, lifecycle, outcomes

HERE = Path(__file__).parent


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
    overlap = table(["overlap", "1:00", "2:00", "3:00"], overlap_rows())
    hours = [f"{hour}:00" for hour in range(1, 6)]
    parts = {"overlap": overlap, "missed": table(["options", *hours], missed_rows())}
    return filled("how-to/run-on-a-schedule.md", parts)


def lifecycle_picture() -> str:
    return draw(moves())


def storage_page() -> str:
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
    check = arguments == ["--check"]
    if arguments and not check:
        print("usage: python -m docs.generate [--check]", file=sys.stderr)
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
