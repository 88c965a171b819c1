"""A handler's signature, taken apart once, so that calls are written and read without it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .forms import Form, json_form, step
from .handler import Handler

UNANNOTATED = "annotate the parameter with its type"


class Parameters:
    """The forms of a handler's parameters; ``lookup`` finds the form of a type.

    ``names`` and ``positional`` are those that can be given by position, of which the first
    ``required`` must be given; ``rest`` is the form of ``*args``. ``keywords`` are those that can
    be given by name, of which ``needed`` must be given so; ``others`` is the form of ``**kwargs``.

    ``simple`` are the numbers of positional arguments that make a call without keywords complete.
    ``written`` and ``read`` are the classes of positional arguments that are complete and their own
    wire form, in the one direction and in the other.
    """

    def __init__(self, handler: Handler[..., Any], lookup: Callable[[Any], Form]) -> None:
        self.handler = handler
        self.names: list[str] = []
        self.positional: list[Form] = []
        self.required = 0
        self.rest: Form | None = None
        self.keywords: dict[str, Form] = {}
        self.needed: list[str] = []
        self.others: Form | None = None
        for name, parameter in handler.signature.parameters.items():
            known = name in handler.hints
            form = lookup(handler.hints[name]) if known else json_form(UNANNOTATED)
            self._add(name, parameter, form)
        self.dumps = [form.dump for form in self.positional]
        self.loads = [form.load for form in self.positional]
        self.simple = range(0 if self.needed else len(self.names) + 1)[self.required :]
        self.written: set[tuple[type, ...]] = set()
        self.read: set[tuple[type, ...]] = set()
        for count in self.simple:
            self._note_exact(count)

    def at(self, index: int) -> tuple[str, Form] | None:
        """The path and the form of a positional argument; ``None`` if there is no such."""
        if index < len(self.names):
            return step(self.names[index]), self.positional[index]
        return None if self.rest is None else (f"[{index}]", self.rest)

    def called(self, name: str) -> tuple[str, Form] | None:
        """The path and the form of an argument given by name; ``None`` if there is no such."""
        form = self.keywords.get(name) or self.others
        return None if form is None else (step(name), form)

    def _add(self, name: str, parameter: inspect.Parameter, form: Form) -> None:
        match parameter.kind:
            case inspect.Parameter.VAR_POSITIONAL:
                self.rest = form
            case inspect.Parameter.VAR_KEYWORD:
                self.others = form
            case inspect.Parameter.KEYWORD_ONLY:
                self.keywords[name] = form
                if parameter.default is parameter.empty:
                    self.needed.append(name)
            case kind:
                self.names.append(name)
                self.positional.append(form)
                if kind is not inspect.Parameter.POSITIONAL_ONLY:
                    self.keywords[name] = form
                if parameter.default is parameter.empty:
                    self.required = len(self.names)

    def _note_exact(self, count: int) -> None:
        exact = [form.exact for form in self.positional[:count]]
        classes = tuple(kind for kind in exact if kind is not None)
        if len(classes) == count:
            self.read.add(classes)
            # A float that is not finite would be written as null; its form refuses it.
            if float not in classes:
                self.written.add(classes)
