"""Stored JSON, tried: by the decoders that read it, and whether they made something fit of it.

Each function gives what is wrong in words, or ``None``.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from ...model.audit import arguments_fault, details_fault, error_fault
from ...model.errors import GustoError
from ...model.job import Details, JobRequest
from ..rows import error_from_json, rate_from_json
from . import rows
from .pieces import group_of
from .rows import WORDS, Row, details_of, request_of

UNREADABLE = (*rows.UNREADABLE, RecursionError, GustoError)
"""What JSON that is none of ours leads to."""


def tried(what: str, decode: Callable[[], str | None]) -> str | None:
    """What is wrong with ``what``, by a function that decodes it and judges what it has got."""
    try:
        fault = decode()
    except UNREADABLE as error:
        return f"its {what} cannot be read ({error!r})"
    return None if fault is None else f"its {what} cannot be read ({fault})"


def read_request(row: Row) -> tuple[JobRequest, str | None]:
    """The request in a row of `request_of`, without its details if these cannot be read."""
    fault = details_text_fault(row[-1])
    return request_of(row if fault is None else (*row[:-2], None, None)), fault


def details_text_fault(text: str | None) -> str | None:
    """Of a column ``details``."""
    return tried("details", lambda: _fault_of(details_of(text, None)))


def arguments_text_fault(text: str) -> str | None:
    """Of a column ``args``."""
    return tried("args", lambda: arguments_fault(orjson.loads(text)))


def result_fault(text: str | None) -> str | None:
    """Of what a handler returned: any JSON."""
    return None if text is None else tried("result", lambda: _nothing(orjson.loads(text)))


def error_text_fault(text: str | None, what: str) -> str | None:
    """Of the error of an attempt, which is named by ``what``."""

    def judge() -> str | None:
        error = error_from_json(text)
        return None if error is None else error_fault(error)

    return tried(what, judge)


def tags_fault(text: str) -> str | None:
    """Of the tags of a batch."""

    def judge() -> str | None:
        tags: list[object] = orjson.loads(text)
        is_fit = isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
        return None if is_fit else "it is no array of texts"

    return tried("tags", judge)


def rate_limit_fault(text: str) -> str | None:
    """Of the limit of a bucket."""
    return tried("rate_limit", lambda: _nothing(rate_from_json(orjson.loads(text))))


def counts_fault(text: str) -> str | None:
    """Of the counts of a piece."""

    def judge() -> str | None:
        for *group, count in orjson.loads(text):
            state, queue, tenant = group_of(group)
            is_group = state in {-1, *WORDS} and isinstance(queue, str) and isinstance(tenant, str)
            if not is_group or not isinstance(count, int):
                return "it is no array of states, queues, tenants and counts"
        return None

    return tried("counts", judge)


def _fault_of(details: Details | None) -> str | None:
    return None if details is None else details_fault(details)


def _nothing(_: object) -> None:
    """It was read, and may be anything."""
