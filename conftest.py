"""Runs the examples of the README, of the pages in `docs/` and of the package's docstrings.

Python blocks of one document run top to bottom in one namespace, each document in a temporary
working directory of its own, so that an example which writes `jobs.db` leaves nothing behind.
A page's blocks see `__name__ == "__main__"`, like the script a reader would paste them into;
a docstring's blocks see the names of its module. A block that is not meant to run is preceded by
`<!-- skip: next -->`.

The `console` blocks of how-to pages run too, in that same directory, and what they print has to be
what they show; `docs/console.py` says how that is compared.
"""

import contextlib
import gc
import logging
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers import markdown, myst, rest
from sybil.sybil import SybilCollection
from sybil.typing import Parser
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from docs.console import Shell
from property_tests.profiles import load_profile

load_profile()

Namespace = dict[str, Any]

SHELL = "__shell__"

_surroundings: dict[int, contextlib.ExitStack] = {}


@contextlib.contextmanager
def loggers_as_they_were() -> Generator[None]:
    """Examples add handlers to loggers; nobody else is to hear of that."""
    root = logging.getLogger()
    before = {
        name: list(logging.getLogger(name).handlers) for name in logging.Logger.manager.loggerDict
    }
    kept = list(root.handlers)
    try:
        yield
    finally:
        root.handlers[:] = kept
        for name in logging.Logger.manager.loggerDict:
            logging.getLogger(name).handlers[:] = before.get(name, [])


def enter_temporary_directory(namespace: Namespace) -> None:
    stack = contextlib.ExitStack()
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="trio-gusto-docs-"))
    stack.enter_context(contextlib.chdir(directory))
    stack.enter_context(loggers_as_they_were())
    _surroundings[id(namespace)] = stack


def enter_script(namespace: Namespace) -> None:
    enter_temporary_directory(namespace)
    namespace["__name__"] = "__main__"


def run_in_shell(example: Example) -> None:
    """Run a `console` block in the shell of its page, which begins with the first one."""
    namespace = example.namespace
    if SHELL not in namespace:
        surroundings = _surroundings[id(namespace)]
        namespace[SHELL] = surroundings.enter_context(Shell(Path.cwd()))
    namespace[SHELL].check(example.parsed)


def leave(namespace: Namespace) -> None:
    _surroundings.pop(id(namespace)).close()


@pytest.fixture(scope="session", autouse=True)
def little_room_for_logs() -> Generator[None]:
    """Thousands of files are opened, and filling 16 MiB for each would take longer than most of their tests."""
    from trio_gusto.storage.sqlite import log  # noqa: PLC0415 - not before there is a test to run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "ROOM", 64 << 10)
        yield


def pytest_collection_finish() -> None:
    """Ten thousand tests stay until the end; the garbage collector need not go through them again and again."""
    gc.collect()
    gc.freeze()


class PageByPage(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Shares tests out to processes: each goes by itself, but examples of one page build on each other."""

    def _split_scope(self, nodeid: str) -> str:
        page, _, place = nodeid.partition("::")
        return page if place.startswith("line:") else nodeid

    def _pending_of(self, workload: dict[str, dict[str, bool]]) -> int:
        """Forgets what is done, which would be counted again after each test."""
        for scope in [scope for scope, tests in workload.items() if all(tests.values())]:
            del workload[scope]
        pending: int = super()._pending_of(workload)
        return pending


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> PageByPage:
    """Whatever `--dist` says."""
    return PageByPage(config, log)


page_parsers: list[Parser] = [myst.PythonCodeBlockParser(), myst.SkipParser()]

readme = Sybil(
    parsers=page_parsers,
    filenames=["README.md"],
    excludes=["*/README.md"],
    setup=enter_script,
    teardown=leave,
)

how_to = Sybil(
    parsers=[*page_parsers, myst.CodeBlockParser(language="console", evaluator=run_in_shell)],
    path="docs/how-to",
    patterns=["*.md"],
    setup=enter_script,
    teardown=leave,
)

pages = Sybil(
    parsers=page_parsers,
    path="docs",
    patterns=["*.md"],
    excludes=["how-to/*.md"],
    setup=enter_script,
    teardown=leave,
)

docstrings = Sybil(
    parsers=[
        rest.DocTestParser(),
        rest.PythonCodeBlockParser(),
        markdown.CodeBlockParser(language="python", evaluator=PythonEvaluator()),
        myst.SkipParser(),
        rest.SkipParser(),
    ],
    path="trio_gusto",
    patterns=["*.py"],
    setup=enter_temporary_directory,
    teardown=leave,
)

pytest_collect_file = SybilCollection([readme, how_to, pages, docstrings]).pytest()
