"""What a new job must not have in common with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...model.errors import DuplicateJob
from ...model.ids import JobId, to_uuid
from ...model.job import JobRequest, StoredJob


def duplicate_of(
    requests: Sequence[JobRequest],
    jobs: Mapping[JobId, StoredJob],
    by_ref: Mapping[str, StoredJob],
) -> DuplicateJob | None:
    """The first that is stored already, or comes twice."""
    ids: set[JobId] = set()
    refs: dict[str, JobId] = {}
    for request in requests:
        if request.id in jobs or request.id in ids:
            found = to_uuid(request.id)
            return DuplicateJob("id", found, found)
        ids.add(request.id)
        ref_id = None if request.details is None else request.details.ref_id
        if ref_id is None:
            continue
        if ref_id in by_ref:
            return DuplicateJob("ref_id", ref_id, to_uuid(by_ref[ref_id].request.id))
        if ref_id in refs:
            return DuplicateJob("ref_id", ref_id, to_uuid(refs[ref_id]))
        refs[ref_id] = request.id
    return None
