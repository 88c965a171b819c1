"""Jobs with a unique key, where no other job may take their part."""

from __future__ import annotations

from ..model.errors import OptionsError
from ..model.job import JobRequest
from ..model.uniqueness import OnConflict


def require_durable(request: JobRequest, where: str) -> None:
    """See that ``request`` may be kept with others in the storage.

    Raises:
        OptionsError: it is to be kept in memory only.
    """
    if request.details is not None and not request.details.durable:
        raise OptionsError(
            "durable",
            False,
            f"{where} is stored with others; leave durable out, or enqueue it alone",
        )


def require_own(request: JobRequest, where: str) -> None:
    """See that ``request`` is stored or refused, and no other job takes its part.

    Raises:
        OptionsError: it would give way to another.
    """
    details = request.details
    if details is None or details.unique_key is None:
        return
    if details.on_conflict != OnConflict.RAISE:
        raise OptionsError(
            "on_conflict",
            details.on_conflict,
            f'{where} is stored as it is described, or not at all; use "raise" there',
        )
