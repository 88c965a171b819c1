"""A call ↔ its wire form, by the signature of the handler.

The wire form is a JSON array of the positional arguments; arguments that can only be given by
keyword make it an object, ``{"args": […], "kwargs": {…}}``. Defaults are not stored.

Most calls are one comparison of types and one call of orjson. What does not work out that way goes
the long way, which also finds the words for what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from ..model.errors import ArgumentError
from .codec import FAULTS, TOO_DEEP, Codec, DecodeError
from .forms import Form, Unfit, expected, first_fault, is_array, is_object, step
from .handler import Handler
from .signatures import Parameters

__all__ = ["ARGS", "KWARGS", "Calls", "Decode", "DecodeError", "Encode"]

ARGS = "args"
KWARGS = "kwargs"

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Encode = Callable[[tuple[Any, ...], Mapping[str, Any]], str]
Decode = Callable[[str], Arguments]


class Calls:
    """Writes and reads the arguments of handlers."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._max_bytes = codec.max_bytes
        self._taken_apart: dict[Handler[..., Any], Parameters] = {}

    def encoder(self, handler: Handler[..., Any]) -> Encode:
        """`encode` for one handler: what is the same for all its calls is looked up once."""
        parameters = self._take_apart(handler)
        written, simple, forms = parameters.written, parameters.simple, parameters.dumps
        max_bytes, dumps = self._max_bytes, orjson.dumps

        def encode(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
            if not kwargs:
                try:
                    data = None
                    if tuple(map(type, args)) in written:
                        data = dumps(args)
                    elif len(args) in simple:
                        pairs = zip(forms, args, strict=False)
                        data = dumps([dump(value) for dump, value in pairs])
                except FAULTS:
                    pass  # the long way knows why
                else:
                    if data is not None and len(data) <= max_bytes:
                        return data.decode()
            return self._encode(parameters, args, kwargs)

        return encode

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
        return self.encoder(handler)(args, kwargs or {})

    def decoder(self, handler: Handler[..., Any]) -> Decode:
        """`decode` for one handler: what is the same for all its calls is looked up once."""
        parameters = self._take_apart(handler)
        read, simple, forms = parameters.read, parameters.simple, parameters.loads

        def decode(text: str) -> Arguments:
            try:
                wire = orjson.loads(text)
            except ValueError as error:
                raise _unreadable(handler, [f"$: it is no JSON ({error})"]) from error
            if is_array(wire):
                if tuple(map(type, wire)) in read:
                    return tuple(wire), {}
                if len(wire) in simple:
                    try:
                        pairs = zip(forms, wire, strict=False)
                        return tuple([load(value) for load, value in pairs]), {}
                    except (Unfit, *FAULTS):
                        pass  # the long way finds all that is wrong
            return _decode(parameters, wire)

        return decode

    def decode(self, handler: Handler[..., Any], text: str) -> Arguments:
        """The arguments of a call that was written by `encode`.

        Raises:
            DecodeError: the text is no JSON, or no call that fits the signature.
        """
        return self.decoder(handler)(text)

    def _take_apart(self, handler: Handler[..., Any]) -> Parameters:
        parameters = self._taken_apart.get(handler)
        if parameters is None:
            parameters = self._taken_apart[handler] = Parameters(handler, self._codec.form)
        return parameters

    # --- writing, the long way --------------------------------------------------------------------

    def _encode(
        self, parameters: Parameters, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> str:
        handler = parameters.handler
        args, kwargs = _bind(handler, args, kwargs)
        trees: dict[str, object] = {}
        for index, value in enumerate(args):
            path, form = parameters.at(index) or _unbound()
            trees[path] = _tree(handler, path, form, value)
        for name, value in kwargs.items():
            path, form = parameters.called(name) or _unbound()
            trees[path] = _tree(handler, path, form, value)
        wire: object = list(trees.values())[: len(args)]
        if kwargs:
            wire = {ARGS: wire, KWARGS: {name: trees[step(name)] for name in kwargs}}
        return self._text(handler, wire, trees)

    def _text(self, handler: Handler[..., Any], wire: object, trees: Mapping[str, object]) -> str:
        try:
            data = orjson.dumps(wire)
        except TypeError as error:
            for path, tree in trees.items():
                unfit = first_fault(tree, path)
                if unfit is not None:
                    raise _unstorable(handler, unfit) from error
            raise _unstorable(handler, Unfit(str(error))) from error
        fault = self._codec.size_fault(len(data), self._max_bytes)
        if fault is not None:
            raise _unstorable(handler, Unfit(fault))
        return data.decode()


def _bind(
    handler: Handler[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    try:
        bound = handler.signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentError(
            f"{handler.name}{handler.signature} cannot be called like this: {error}; "
            "give the arguments of its signature",
            handler=handler.name,
            path="$",
        ) from error
    return bound.args, bound.kwargs


def _unbound() -> tuple[str, Form]:
    raise AssertionError("a signature has bound what it has no parameter for")


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


# --- reading, the long way ------------------------------------------------------------------------


def _decode(parameters: Parameters, wire: object) -> Arguments:
    values, named = _shape(parameters.handler, wire)
    problems: list[str] = []
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    names = parameters.names
    for index, value in enumerate(values):
        place = parameters.at(index)
        if place is None:
            problems.append(f"$[{index}]: the handler takes {len(names)} of these")
        else:
            args.append(_load(*place, value, problems))
    for name, value in named.items():
        place = parameters.called(name)
        if place is None:
            problems.append(f"${step(name)}: the handler has no such parameter")
        elif name in names[: len(values)] and name in parameters.keywords:
            problems.append(f"${step(name)}: it is given twice")
        else:
            kwargs[name] = _load(*place, value, problems)
    missing = [*names[len(values) : parameters.required], *parameters.needed]
    problems += [f"${step(name)}: is missing" for name in missing if name not in named]
    if problems:
        raise _unreadable(parameters.handler, problems)
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


def _load(path: str, form: Form, wire: object, problems: list[str]) -> Any:
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
