"""The documentation names everything, shows what is printed, and speaks of the project alone."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trio_gusto
import trio_gusto.testing

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("[!_]*/*.md"))]
HEADINGS = ["Context", "Decision", "Price", "What would change our mind"]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```(?:\n+```text\n(.*?)^```)?", re.DOTALL | re.MULTILINE)


def public_names() -> Iterator[str]:
    for name, value in vars(trio_gusto).items():
        if not name.startswith("_") and not isinstance(value, type(trio_gusto)):
            yield name
    yield from trio_gusto.testing.__all__


def decisions() -> list[Path]:
    return sorted((DOCS / "decisions").glob("0*.md"))


def test_every_public_name_is_in_the_reference() -> None:
    reference = "\n".join(
        page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md")
    )
    words = set(re.findall(r"\w+", reference))
    assert [name for name in public_names() if name not in words] == []


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(page.name.partition("-")[0]) for page in decisions()]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", decisions(), ids=lambda page: page.stem)
def test_a_decision_says_why_and_what_it_costs(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial/first-jobs.md"])
def test_what_is_shown_as_output_is_what_is_printed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    shown = printed = ""
    for language, code, output in BLOCK.findall((ROOT / name).read_text(encoding="utf-8")):
        if language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(code, name, "exec"), namespace)
            shown += output
            printed += out.getvalue()
    assert shown
    assert printed == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_no_path_of_a_machine_and_leave_nothing_to_be_done(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w/])/(?:root|tmp|home/\w+)/\S*", text) == []
    assert re.findall(r"\bTODO\b|\bFIXME\b", text) == []


def anchors(page: Path) -> set[str]:
    """What links may name on a page: its headings, as the build and code hosts write them."""
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    headings = re.findall(r"^#{1,3} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    broken: list[str] = []
    for name, anchor in LINK.findall(text):
        target = (page.parent / name) if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{name}#{anchor}")
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = "[a](no-page.md) [b](docs/index.md) [c](docs/index.md#nowhere) [d](README.md#install)"
    text += "[e](https://example.org/nowhere.md) [f](#nowhere)"
    assert broken_links(ROOT / "README.md", text) == [
        "no-page.md#",
        "docs/index.md#nowhere",
        "#nowhere",
    ]


def glossary() -> list[list[str]]:
    text = (DOCS / "reference" / "glossary.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_each_word_of_the_glossary_is_said_in_a_sentence_or_two_and_leads_to_its_page() -> None:
    words = [word for word, _, _ in glossary()]
    assert words == sorted(set(words))
    for word, meaning, more in glossary():
        assert 1 <= len(re.findall(r"[.)](?: |$)", meaning)) <= 3, word
        assert len(LINK.findall(more)) == 1, word


@pytest.mark.parametrize(
    "page", sorted((DOCS / "coming-from").glob("[!i]*.md")), ids=lambda page: page.stem
)
def test_a_page_for_newcomers_has_code_what_is_called_what_and_what_is_missing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[0] == "Side by side"
    assert headings[-2:] == ["What is different, and why", "Not here"]
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {3}, "two columns each"
