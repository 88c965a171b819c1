"""Which row each job claimed through this object is in, so that its end needs no search."""

from __future__ import annotations

from collections.abc import Iterable

from ...model.ids import JobId
from ...model.job import ClaimedJob

Lease = tuple[int, ClaimedJob]
"""The row's ``seq``, and the claim."""


class Leases:
    """Changes count only once their transaction is committed (`keep`); `undo` forgets them.

    What is remembered is a short cut, never the truth: every statement that uses it compares the
    version in the row.
    """

    def __init__(self) -> None:
        self._leases: dict[JobId, Lease] = {}
        self._changes: list[tuple[JobId, Lease | None]] = []

    def __len__(self) -> int:
        return len(self._leases)

    def find(self, job_id: JobId) -> Lease | None:
        """The lease of a job, if it was claimed through this object and has not ended."""
        return self._leases.get(job_id)

    def take_all(self, claimed: Iterable[Lease]) -> None:
        """These jobs were claimed."""
        self._changes += [(lease[1].request.id, lease) for lease in claimed]

    def drop(self, job_id: JobId) -> None:
        """A job was settled, or its lease was lost."""
        self._changes.append((job_id, None))

    def drop_all(self, job_ids: Iterable[JobId]) -> None:
        """These jobs were settled."""
        self._changes += [(job_id, None) for job_id in job_ids]

    def keep(self) -> None:
        """The transaction is committed."""
        leases = self._leases
        for job_id, lease in self._changes:
            if lease is None:
                leases.pop(job_id, None)
            else:
                leases[job_id] = lease
        self._changes.clear()

    def undo(self) -> None:
        """The transaction was rolled back."""
        self._changes.clear()
