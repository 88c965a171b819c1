"""A call ↔ its wire form, by the signature of the handler.

The wire form is a JSON array of the positional arguments; arguments that can only be given by
keyword make it an object, ``{"args": […], "kwargs": {…}}``. Defaults are not stored.

Each handler's signature is taken apart once. Most calls are then one comparison of types and one
call of orjson; all else goes the long way, which also finds the words for what is wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import orjson

from ..model.errors import ArgumentError
from .codec import FAULTS, TOO_DEEP, Codec, DecodeError
from .forms import Form, Unfit, expected, first_fault, is_array, is_object, json_form, step
from .handler import Handler

__all__ = ["Calls", "DecodeError"]

UNANNOTATED = "annotate the parameter with its type"

ARGS = "args"
KWARGS = "kwargs"

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@attrs.define
class _Call:
    """A signature, taken apart.

    ``written`` and ``read`` map a number of positional arguments to the classes that they must have
    to be their own wire form, if there are such.
    """

    handler: Handler[..., Any]
    signature: inspect.Signature
    names: list[str]
    positional: list[Form]
    required: int
    rest: Form | None
    keywords: dict[str, Form]
    needed: set[str]
    others: Form | None
    written: dict[int, tuple[type, ...]]
    read: dict[int, tuple[type, ...]]


class Calls:
    """Writes and reads the arguments of handlers."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._max_bytes = codec.max_bytes
        self._calls: dict[Handler[..., Any], _Call] = {}

    def encode(
        self,
        handler: Handler[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None = None,
    ) -> str:
        """The wire form of a call.

        Raises:
            ArgumentError: the arguments do not fit the signature, or one of them cannot be stored.
        """
        call = self._calls.get(handler) or self._compile(handler)
        if not kwargs and call.written.get(len(args)) == tuple(map(type, args)):
            if not args:
                return "[]"
            try:
                data = orjson.dumps(args)
            except TypeError:
                pass  # the long way knows why
            else:
                if len(data) <= self._max_bytes:
                    return data.decode()
        return self._encode(call, args, kwargs or {})

    def decode(self, handler: Handler[..., Any], text: str) -> Arguments:
        """The arguments of a call that was written by `encode`.

        Raises:
            DecodeError: the text is no JSON, or no call that fits the signature.
        """
        call = self._calls.get(handler) or self._compile(handler)
        if text == "[]" and call.read.get(0) is not None:
            return (), {}
        try:
            wire = orjson.loads(text)
        except ValueError as error:
            raise _unreadable(handler, [f"$: it is no JSON ({error})"]) from error
        if is_array(wire) and call.read.get(len(wire)) == tuple(map(type, wire)):
            return tuple(wire), {}
        return _decode(call, wire)

    # --- writing ----------------------------------------------------------------------------------

    def _encode(self, call: _Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        handler = call.handler
        if kwargs or call.needed or not call.required <= len(args) <= len(call.names):
            try:
                bound = call.signature.bind(*args, **kwargs)
            except TypeError as error:
                raise ArgumentError(
                    f"{handler.name}{call.signature} cannot be called like this: {error}; "
                    "give the arguments of its signature",
                    handler=handler.name,
                    path="$",
                ) from error
            args, kwargs = bound.args, bound.kwargs
        trees: list[tuple[str, object]] = []
        for index, value in enumerate(args):
            path, form = _positional(call, index)
            trees.append((path, _tree(handler, path, form, value)))
        for name, value in kwargs.items():
            named_form = call.keywords.get(name) or call.others
            assert named_form is not None  # the signature has bound it
            trees.append((step(name), _tree(handler, step(name), named_form, value)))
        wire: object = [tree for _, tree in trees[: len(args)]]
        if kwargs:
            named = dict(zip(kwargs, (tree for _, tree in trees[len(args) :]), strict=True))
            wire = {ARGS: wire, KWARGS: named}
        return self._text(handler, wire, trees)

    def _text(
        self, handler: Handler[..., Any], wire: object, trees: Sequence[tuple[str, object]]
    ) -> str:
        try:
            data = orjson.dumps(wire)
        except TypeError as error:
            for path, tree in trees:
                unfit = first_fault(tree, path)
                if unfit is not None:
                    raise _unstorable(handler, unfit) from error
            raise _unstorable(handler, Unfit(str(error))) from error
        fault = self._codec.size_fault(len(data))
        if fault is not None:
            raise _unstorable(handler, Unfit(fault))
        return data.decode()

    # --- taking signatures apart ------------------------------------------------------------------

    def _compile(self, handler: Handler[..., Any]) -> _Call:
        call = _Call(handler, handler.signature, [], [], 0, None, {}, set(), None, {}, {})
        for name, parameter in handler.signature.parameters.items():
            known = name in handler.hints
            form = self._codec.form(handler.hints[name]) if known else json_form(UNANNOTATED)
            _add(call, name, parameter, form)
        if not call.needed:
            for count in range(call.required, len(call.names) + 1):
                exact = [form.exact for form in call.positional[:count]]
                classes = tuple(kind for kind in exact if kind is not None)
                if len(classes) == count:
                    call.read[count] = classes
                    # orjson writes null for a float that is not finite; the long way refuses it.
                    if float not in classes:
                        call.written[count] = classes
        self._calls[handler] = call
        return call


def _add(call: _Call, name: str, parameter: inspect.Parameter, form: Form) -> None:
    match parameter.kind:
        case inspect.Parameter.VAR_POSITIONAL:
            call.rest = form
        case inspect.Parameter.VAR_KEYWORD:
            call.others = form
        case inspect.Parameter.KEYWORD_ONLY:
            call.keywords[name] = form
            if parameter.default is parameter.empty:
                call.needed.add(name)
        case kind:
            call.names.append(name)
            call.positional.append(form)
            if kind is not inspect.Parameter.POSITIONAL_ONLY:
                call.keywords[name] = form
            if parameter.default is parameter.empty:
                call.required = len(call.names)


def _positional(call: _Call, index: int) -> tuple[str, Form]:
    if index < len(call.names):
        return step(call.names[index]), call.positional[index]
    assert call.rest is not None  # the signature has bound it
    return f"[{index}]", call.rest


def _tree(handler: Handler[..., Any], path: str, form: Form, value: object) -> object:
    try:
        return form.dump(value)
    except RecursionError as error:
        raise _unstorable(handler, Unfit(TOO_DEEP, path)) from error
    except FAULTS as error:
        raise _unstorable(handler, Unfit(str(error), path)) from error


def _unstorable(handler: Handler[..., Any], unfit: Unfit) -> ArgumentError:
    path = f"${unfit.path}"
    return ArgumentError(
        f"{path} cannot be stored for {handler.name}: {unfit.message}; "
        "a job's arguments are written down by the handler's annotations, so give what they say",
        handler=handler.name,
        path=path,
    )


# --- reading --------------------------------------------------------------------------------------


def _decode(call: _Call, wire: object) -> Arguments:
    values, named = _shape(call.handler, wire)
    problems: list[str] = []
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for index, value in enumerate(values):
        if index >= len(call.names) and call.rest is None:
            problems.append(f"$[{index}]: the handler takes {len(call.names)} of these")
        else:
            path, form = _positional(call, index)
            args.append(_load(form, value, path, problems))
    given = set(call.names[: len(values)])
    for name, value in named.items():
        named_form = call.keywords.get(name) or call.others
        if named_form is None:
            problems.append(f"${step(name)}: the handler has no such parameter")
        elif name in given:
            problems.append(f"${step(name)}: it is given twice")
        else:
            kwargs[name] = _load(named_form, value, step(name), problems)
    missing = [*call.names[len(values) : call.required], *sorted(call.needed)]
    problems += [f"${step(name)}: is missing" for name in missing if name not in named]
    if problems:
        raise _unreadable(call.handler, problems)
    return tuple(args), kwargs


def _shape(handler: Handler[..., Any], wire: object) -> tuple[list[Any], dict[str, Any]]:
    if is_array(wire):
        return wire, {}
    if is_object(wire) and wire.keys() == {ARGS, KWARGS}:
        values, named = wire[ARGS], wire[KWARGS]
        if is_array(values) and is_object(named):
            return values, named
    problem = expected(f'an array or {{"{ARGS}": [], "{KWARGS}": {{}}}}', wire)
    raise _unreadable(handler, [f"$: {problem}"])


def _load(form: Form, wire: object, path: str, problems: list[str]) -> Any:
    try:
        return form.load(wire)
    except Unfit as unfit:
        problems.append(f"${path}{unfit.path}: {unfit.message}")
    except FAULTS as error:
        problems.append(f"${path}: {error}")
    return None


def _unreadable(handler: Handler[..., Any], problems: Sequence[str]) -> DecodeError:
    return DecodeError(
        f"the stored arguments of {handler.name}{handler.signature}",
        problems,
        "they were stored for another signature, or edited; give new parameters a default, and "
        "give a handler with another signature another name",
    )
