"""How a continuation says what it waits for."""

from __future__ import annotations

from typing import Literal

import attrs

from ..model.errors import OptionsError
from ..model.ids import JobId
from ..model.job import Details, JobRequest
from ..model.states import Condition

On = Condition | Literal["success", "failure", "finish"]


def condition_of(on: On) -> Condition:
    """The condition that ``on`` names.

    Raises:
        OptionsError: it names none.
    """
    try:
        return Condition(on)
    except ValueError:
        raise OptionsError("on", on, 'use "success", "failure" or "finish"') from None


def with_parents(request: JobRequest, parents: tuple[JobId, ...]) -> JobRequest:
    """The same request, which knows its parents."""
    details = attrs.evolve(request.details or Details(), parents=parents)
    return attrs.evolve(request, details=details)
