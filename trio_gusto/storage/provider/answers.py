"""What a provider answered, checked: providers are strangers' code, and make every mistake.

A record that may not be started is left alone, with a warning that names it. Nothing here asks the
provider anything.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from uuid import UUID

from ...model.ids import to_job_id
from ...model.job import JobRequest
from ...model.states import Cancelled, Completed
from .contract import JobSearchParams
from .ledger import Ledger
from .record import JobStorageRecord, R, request_of

logger = logging.getLogger("trio_gusto.storage.provider")


def startable(
    records: Sequence[R], params: JobSearchParams[R], ledger: Ledger[R]
) -> Iterator[tuple[R, JobRequest]]:
    """The records that may be started, in the provider's order, with the requests they stand for."""
    _warn_of_surplus(records, params.limit)
    seen: set[UUID] = set()
    for record in records[: params.limit]:
        if not isinstance(record, JobStorageRecord):
            _skip(record, "it is no JobStorageRecord")
        elif record.tracking_id in seen:
            _skip(record.tracking_id, "get_batch returned it twice")
        else:
            seen.add(record.tracking_id)
            try:
                request = _request(record, params, ledger)
            except (TypeError, ValueError, AttributeError) as error:
                _skip(record.tracking_id, f"it is malformed: {error}")
            else:
                if request is not None:
                    yield record, request


def _request(record: R, params: JobSearchParams[R], ledger: Ledger[R]) -> JobRequest | None:
    job_id = to_job_id(record.tracking_id)
    if job_id in ledger.in_flight or job_id in ledger.held:
        return None
    if not params.match(record):
        _skip(record.tracking_id, f"it does not satisfy {params.match}")
        return None
    known = ledger.find(job_id)
    if known is not None and isinstance(known.state, Completed | Cancelled):
        _skip(record.tracking_id, f"it was {known.state.word} here already")
        return None
    return request_of(record, None if known is None else known.request)


def _warn_of_surplus(records: Sequence[JobStorageRecord], limit: int) -> None:
    surplus = records[limit:]
    if surplus:
        logger.warning(
            "get_batch returned %d records for a limit of %d; left alone: %s",
            len(records),
            limit,
            ", ".join(str(getattr(record, "tracking_id", record)) for record in surplus[:10]),
        )


def _skip(record_id: object, why: str) -> None:
    logger.warning("record %s is left alone: %s", record_id, why)
