"""Runs the examples of the README, of the pages in `docs/` and of the package's docstrings.

Python blocks of one document run top to bottom in one namespace, each document in a temporary
working directory of its own, so that an example which writes `jobs.db` leaves nothing behind.
A page's blocks see `__name__ == "__main__"`, like the script a reader would paste them into;
a docstring's blocks see the names of its module. A block that is not meant to run is preceded by
`<!-- skip: next -->`.
"""

import contextlib
import logging
import tempfile
from collections.abc import Generator
from typing import Any

from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers import markdown, myst, rest
from sybil.sybil import SybilCollection
from sybil.typing import Parser

Namespace = dict[str, Any]

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


def leave(namespace: Namespace) -> None:
    _surroundings.pop(id(namespace)).close()


page_parsers: list[Parser] = [myst.PythonCodeBlockParser(), myst.SkipParser()]

readme = Sybil(
    parsers=page_parsers,
    filenames=["README.md"],
    excludes=["*/README.md"],
    setup=enter_script,
    teardown=leave,
)

pages = Sybil(
    parsers=page_parsers,
    path="docs",
    patterns=["*.md"],
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

pytest_collect_file = SybilCollection([readme, pages, docstrings]).pytest()
