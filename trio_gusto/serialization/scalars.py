"""The wire forms of single values: numbers, text, instants, paths and the like.

One entry of `SCALARS` for each type. Every form reads back exactly what it has written; what it
could not, it refuses to write.
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from .forms import Form, Misfit, Unfit, expected

STRING: frozenset[type] = frozenset({str})

# --- what JSON has itself -------------------------------------------------------------------------


def _dump_int(value: object) -> object:
    if type(value) is int:
        return value
    return int(value) if isinstance(value, int) else Misfit(expected("an int", value))


def _dump_str(value: object) -> object:
    if type(value) is str:
        return value
    # An enum of strings is a str too, and its own str() may be its name.
    return str.__str__(value) if isinstance(value, str) else Misfit(expected("a str", value))


def _dump_float(value: object) -> object:
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return Misfit(f"{value!r} is not a number that JSON knows")
    if not isinstance(value, int):
        return Misfit(expected("a float", value))
    try:
        number = float(value)
    except OverflowError:
        return Misfit("this int is too big for a float")
    return number if number == value else Misfit(f"{value} has more digits than a float keeps")


def _load_float(wire: object) -> float:
    if type(wire) is float:
        return wire
    if type(wire) is int:
        return float(wire)
    raise Unfit(expected("a float", wire))


def _exactly(kind: type, name: str) -> tuple[Callable[[Any], object], Callable[[Any], Any]]:
    def dump(value: object) -> object:
        return value if type(value) is kind else Misfit(expected(name, value))

    def load(wire: object) -> object:
        if type(wire) is kind:
            return wire
        raise Unfit(expected(name, wire))

    return dump, load


def _primitive(kind: type, name: str, dump: Callable[[Any], object] | None = None) -> Form:
    strict, load = _exactly(kind, name)
    return Form(name, dump or strict, load, (kind,), frozenset({kind}), exact=kind)


# --- what is written as a string ------------------------------------------------------------------


def _text_form(
    kind: type, write: Callable[[Any], str | None], read: Callable[[str], Any], name: str = ""
) -> Form:
    """A type with a text form; ``write`` answers ``None`` to what it has no text for."""
    name = name or f"a {kind.__name__}"

    def dump(value: object) -> object:
        text = write(value) if isinstance(value, kind) else None
        return Misfit(expected(name, value)) if text is None else text

    def load(wire: object) -> object:
        if type(wire) is not str:
            raise Unfit(expected(name, wire))
        try:
            return read(wire)
        except (ValueError, LookupError, ArithmeticError, OSError) as error:
            raise Unfit(expected(name, wire)) from error

    return Form(name, dump, load, (kind,), STRING)


def _write_date(value: date) -> str | None:
    # A datetime is a date too, but its time of day would be lost.
    return None if isinstance(value, datetime) else value.isoformat()


def _read_decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(text) from error


def _read_bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error


_DURATION = re.compile(
    r"(-)?P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?", re.ASCII
)


def write_duration(value: timedelta) -> str:
    """ISO 8601, exact to the microsecond: ``P1DT2H``, ``PT0.000001S``, ``-PT30S``."""
    sign = ""
    if value < timedelta(0):
        sign, value = "-", -value
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06}".rstrip("0") if value.microseconds else ""
    days = f"{value.days}D" if value.days else ""
    clock = f"{hours}H" if hours else ""
    clock += f"{minutes}M" if minutes else ""
    clock += f"{seconds}{fraction}S" if seconds or fraction else ""
    return f"{sign}P{days}T{clock}" if clock else f"{sign}P{days or '0D'}"


def read_duration(text: str) -> timedelta:
    """The inverse of `write_duration`; raises ``ValueError`` for other text."""
    found = _DURATION.fullmatch(text)
    if found is None or text in ("P", "-P"):
        raise ValueError(text)
    sign, days, hours, minutes, seconds, fraction = found.groups()
    length = timedelta(
        days=int(days or 0),
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=int(seconds or 0),
        microseconds=int((fraction or "").ljust(6, "0")),
    )
    return -length if sign else length


SCALARS: dict[object, Form] = {
    type(None): _primitive(type(None), "None"),
    None: _primitive(type(None), "None"),
    bool: _primitive(bool, "a bool"),
    int: _primitive(int, "an int", _dump_int),
    str: _primitive(str, "a str", _dump_str),
    float: Form("a float", _dump_float, _load_float, (float,), frozenset({float}), exact=float),
    bytes: _text_form(bytes, lambda value: b64encode(value).decode(), _read_bytes, "bytes"),
    UUID: _text_form(UUID, str, UUID),
    datetime: _text_form(datetime, datetime.isoformat, datetime.fromisoformat),
    date: _text_form(date, _write_date, date.fromisoformat),
    time: _text_form(time, time.isoformat, time.fromisoformat),
    timedelta: _text_form(timedelta, write_duration, read_duration),
    Decimal: _text_form(Decimal, str, _read_decimal),
    ZoneInfo: _text_form(ZoneInfo, lambda zone: zone.key, ZoneInfo),
    **{
        kind: _text_form(kind, str, kind)
        for kind in (Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath)
    },
}
"""The wire form of each scalar type."""


def enum_form(kind: type[Enum]) -> Form | None:
    """An enum is written as its value; ``None`` when some value is not a JSON scalar."""
    values: set[type] = {type(member.value) for member in kind}
    if not values <= {str, int, float, bool}:
        return None
    name = f"a {kind.__name__}"

    def dump(value: object) -> object:
        return value.value if isinstance(value, kind) else Misfit(expected(name, value))

    def load(wire: object) -> Enum:
        if type(wire) in values:
            try:
                return kind(wire)
            except Exception:  # noqa: BLE001, S110 - a `_missing_` may raise anything
                pass
        raise Unfit(expected(name, wire))

    return Form(name, dump, load, (kind,), frozenset(values))
