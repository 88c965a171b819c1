"""What pages are made of: docstrings as Markdown, tables, and what is written below fields and constants."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any

import attrs

import trio_gusto


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
