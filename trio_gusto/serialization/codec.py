"""`Codec`: values and results as JSON text, by their types.

What is written reads back equal, or it is refused where it is given; nothing is coerced. What a
handler returns is different: nobody is there to take it back, so it is written by its annotation if
it fits, and by what it is if it does not.

The rules are documented for users in ``docs/reference/wire-format.md``. `catalogue` knows the forms
of types, `calls` the signatures of handlers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, cast

import cattrs
import orjson

from ..model.errors import ArgumentError, GustoError
from .catalogue import Catalogue
from .forms import Form, Unfit, first_fault, is_object
from .handler import Handler

MAX_BYTES = 1024 * 1024
"""The default size limit of the arguments of one call, and of one result, in bytes of UTF-8."""

FAULTS = (TypeError, ValueError, RecursionError)
"""What writing or reading a tree raises; orjson's errors are among the first two."""


class DecodeError(GustoError, ValueError):
    """Stored text cannot be read as what it should be; ``problems`` are lines ``path: message``."""

    def __init__(self, what: str, problems: Sequence[str], instead: str) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{what} cannot be read: {'; '.join(self.problems)}; {instead}")


class UnstorableResult(GustoError, ValueError):
    """What a handler returned cannot be stored."""


class Codec:
    """Writes and reads values by their types.

    ``max_bytes`` limits what may be written, ``max_result_bytes`` what a handler may return.
    ``converter`` is asked for the types that have no wire
    form of their own; what it makes of them must be JSON values.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        max_result_bytes: int = MAX_BYTES,
        converter: cattrs.Converter | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self.max_result_bytes = max_result_bytes
        self.form = Catalogue(converter).form
        self._results: dict[Handler[..., Any], Form] = {}

    # --- values -----------------------------------------------------------------------------------

    def dumps(self, value: object, kind: Any = Any) -> str:
        """The JSON text of a value of the type ``kind``.

        Raises:
            ArgumentError: it is of another type, has no wire form, or is too big.
        """
        try:
            return self._text(write(self.form(kind), value), self.max_bytes)
        except Unfit as unfit:
            path = f"${unfit.path}"
            raise ArgumentError(
                f"{path} cannot be stored: {unfit.message}; give a value that its type allows",
                path=path,
            ) from unfit

    def loads(self, text: str, kind: Any = Any) -> Any:
        """The value of the type ``kind`` that was written as ``text``.

        Raises:
            DecodeError: the text is no JSON, or no such value.
        """
        try:
            return self.form(kind).load(orjson.loads(text))
        except Unfit as unfit:
            problem = f"${unfit.path}: {unfit.message}"
        except FAULTS as error:
            problem = f"$: {error}"
        raise DecodeError("the text", [problem], "it was written as another type")

    def size_fault(self, size: int, limit: int) -> str | None:
        """Why ``size`` bytes are too many, if they are."""
        if size <= limit:
            return None
        return (
            f"it takes {size} bytes, and the limit is {limit}; "
            "store the data elsewhere and pass its key or path"
        )

    def _text(self, data: bytes, limit: int) -> str:
        fault = self.size_fault(len(data), limit)
        if fault is not None:
            raise Unfit(fault)
        return data.decode()

    # --- results ----------------------------------------------------------------------------------

    def dump_result(self, value: object, handler: Handler[..., Any]) -> str | None:
        """The JSON text of what a handler returned; ``None`` for ``None``.

        Raises:
            UnstorableResult: it has no wire form, or is too big.
        """
        if value is None:
            return None
        try:
            try:
                data = write(self._result_form(handler), value)
            except Unfit:
                data = write_tree(self._tree_of(value))
            return self._text(data, self.max_result_bytes)
        except Unfit as unfit:
            raise UnstorableResult(
                f"${unfit.path} cannot be stored: {unfit.message}; "
                "return JSON values, or classes with annotated fields"
            ) from unfit
        except RecursionError as error:
            raise UnstorableResult(f"$ cannot be stored: {TOO_DEEP}") from error

    def load_result(self, text: str | None, handler: Handler[..., Any] | None = None) -> Any:
        """What a handler returned, typed by its annotation.

        Plain JSON values when the handler is unknown, or returned something else than it says.

        Raises:
            DecodeError: the text is no JSON.
        """
        if text is None:
            return None
        wire = self.loads(text)
        if handler is None:
            return wire
        try:
            return self._result_form(handler).load(wire)
        except (Unfit, *FAULTS):
            return wire

    def _result_form(self, handler: Handler[..., Any]) -> Form:
        form = self._results.get(handler)
        if form is None:
            form = self._results[handler] = self.form(handler.hints.get("return", Any))
        return form

    def _tree_of(self, value: object) -> object:
        """The tree of a value by what it is, for results without an annotation that fits."""
        if is_object(value):
            return {key: self._tree_of(item) for key, item in value.items()}
        if type(value) in _ARRAYS:
            return [self._tree_of(item) for item in cast(Iterable[object], value)]
        return self.form(type(value)).dump(value)


_ARRAYS = (list, tuple, set, frozenset, deque)

TOO_DEEP = "it is nested too deeply, or contains itself"


def write(form: Form, value: object) -> bytes:
    """The JSON of a value; raises `Unfit`."""
    try:
        tree = form.dump(value)
    except RecursionError as error:
        raise Unfit(TOO_DEEP) from error
    except FAULTS as error:
        raise Unfit(str(error)) from error
    return write_tree(tree)


def write_tree(tree: object) -> bytes:
    """The JSON of a tree; raises `Unfit`."""
    try:
        return orjson.dumps(tree)
    except TypeError as error:
        raise first_fault(tree) or Unfit(str(error)) from error
