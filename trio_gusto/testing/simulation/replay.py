"""The script that lets a failed simulation happen again, in another process.

It imports what it plays. What no other process can import, as a lambda or a function inside a test, it
names, so that whoever replays it knows what to add.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from ast import literal_eval
from collections.abc import Callable, Iterator
from functools import partial
from keyword import iskeyword
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from ...app import Gusto
from ...storage.memory import MemoryStorage
from ...storage.storage import Storage
from ..clock import START
from .history import History


def replay_of(
    scenario: Callable[..., object],
    app: Gusto,
    history: History,
    make_storage: Callable[[], Storage],
) -> str:
    """A line for a shell; or for a test, with a comment that says what cannot be imported."""
    inner: Any = scenario
    while type(inner) is partial:
        inner = inner.func
    script = _Script(near=str(getattr(inner, "__module__", "")))
    simulate = script.take("trio_gusto.testing", "simulate")
    arguments = [
        script.expression("scenario", scenario),
        script.expression("app", app),
        f"seed={history.seed}",
        f"nodes={history.nodes}",
    ]
    if history.start != START:
        start = f"{script.take('datetime', 'datetime')}.fromisoformat"
        arguments.append(f"start={start}({history.start.isoformat()!r})")
    if make_storage is not MemoryStorage:
        arguments.append(f"make_storage={script.expression('make_storage', make_storage)}")
    return script.text(f"{simulate}({', '.join(arguments)})")


class _Script:
    """Python that gets what it needs by importing it. ``near`` is the module that is asked first."""

    def __init__(self, near: str) -> None:
        self._near = near
        self._imports: dict[str, dict[str, None]] = {}
        self._folders: dict[str, None] = {}
        self._taken: dict[str, tuple[str, str]] = {}
        self._by_hand: list[str] = []

    def take(self, module: str, name: str, folder: Path | None = None) -> str:
        """Import something. Returns what it is called then."""
        called = name
        while self._taken.setdefault(called, (module, name)) != (module, name):
            called += "_"
        source = name if called == name else f"{name} as {called}"
        self._imports.setdefault(module, {})[source] = None
        if folder is not None:
            self._folders[str(folder)] = None
        return called

    def expression(self, parameter: str, value: Any) -> str:
        """What ``value`` is in the script."""
        parts = _parts_of(value)
        if parts is not None:
            fn, given = parts
            inner = self.expression(parameter, fn)
            return f"{self.take('functools', 'partial')}({', '.join([inner, *given])})"
        for module, name in _variables(value, self._near):
            source = _source_of(module)
            if source is not None:
                return self.take(source.module, name, source.folder)
        name = getattr(value, "__name__", parameter)
        called = name if name.isidentifier() else parameter
        self._by_hand.append(f"{called}, {_described(value)}")
        return called

    def text(self, call: str) -> str:
        """All of it, which ends with ``call``."""
        statements = [f"sys.path.insert(0, {folder!r})" for folder in self._folders]
        if statements:
            statements.insert(0, "import sys")
        statements += [
            f"from {module} import {', '.join(names)}" for module, names in self._imports.items()
        ]
        if self._by_hand:
            missing = "; ".join(self._by_hand)
            return f"{call}  # cannot be imported, so add it by hand: {missing}. {'; '.join(statements)}"
        quoted = re.sub(r'[\\"$`]', r"\\\g<0>", "; ".join([*statements, call]))
        return f'python -c "{quoted}"'


def _parts_of(value: Any) -> tuple[Any, list[str]] | None:
    """Of a `functools.partial`, the function and its arguments, if they can be written down."""
    if type(value) is not partial:
        return None
    named = [f"{name}={each!r}" for name, each in value.keywords.items()]
    is_simple = all(map(_is_literal, [*value.args, *value.keywords.values()]))
    return (value.func, [*map(repr, value.args), *named]) if is_simple else None


def _is_literal(value: object) -> bool:
    try:
        return bool(literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False


def _variables(value: Any, near: str) -> Iterator[tuple[ModuleType, str]]:
    """The variables of modules that have ``value``: those of its own module first, by its own name."""
    own = str(getattr(value, "__module__", ""))
    name = str(getattr(value, "__name__", ""))
    for module in map(sys.modules.get, dict.fromkeys([own, near, *sys.modules])):
        if isinstance(module, ModuleType):
            variables = dict(vars(module))
            if variables.get(name) is value:
                yield module, name
            for variable, other in variables.items():
                if other is value and variable.isidentifier():
                    yield module, variable


@attrs.frozen
class _Source:
    """How another process imports a module: its name there, and the folder that has to be in its path."""

    module: str
    folder: Path | None


def _source_of(module: ModuleType) -> _Source | None:
    """``None`` if no other process can import it."""
    name, spec = module.__name__, getattr(module, "__spec__", None)
    file = getattr(module, "__file__", None)
    if name == "__main__":
        name = Path(file or "").stem if spec is None else spec.name
    parts = name.split(".")
    if not all(part.isidentifier() and not iskeyword(part) for part in parts):
        return None
    if file is None:
        return None if spec is None else _Source(name, None)
    path = Path(file).absolute()
    path = path.parent if path.stem == "__init__" else path.with_name(path.name.split(".")[0])
    if path.parts[-len(parts) :] != tuple(parts):
        return None  # it was loaded in a way of its own
    folder = path.parents[len(parts) - 1]
    found_anyway = [Path.cwd(), *map(Path, sysconfig.get_paths().values())]
    return _Source(name, None if folder in found_anyway else folder)


def _described(value: Any) -> str:
    code = getattr(value, "__code__", None)
    if code is None:
        return f"a {type(value).__name__} that no importable module has as a variable"
    kind = "a lambda" if code.co_name == "<lambda>" else "a function"
    inside = code.co_qualname.rpartition(".<locals>.")[0]
    return (
        f"{kind}{f' inside {inside}' if inside else ''} ({code.co_filename}:{code.co_firstlineno})"
    )
