"""What there may be only one of: an id, a ``ref_id``, a live job with a unique key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...model.errors import DuplicateJob
from ...model.ids import JobId, to_uuid
from ...model.job import JobRequest, StoredJob
from ...model.states import State
from ...model.uniqueness import Admission, admission, has_keys, key_of, keys_of, taken
from ..messages import Insert

UNCONTESTED = Admission()
"""What is said of jobs without keys, which are most. Never changed."""


class Keys:
    """The live jobs of one storage that have a unique key."""

    def __init__(self) -> None:
        self._held: dict[str, StoredJob] = {}

    def admission(self, insert: Insert) -> Admission | DuplicateJob:
        """What becomes of new jobs."""
        if not has_keys(insert.requests):
            return UNCONTESTED
        return admission(insert.requests, insert.states, self._held.get)

    def taken(self, insert: Insert) -> DuplicateJob | None:
        """The refusal of new jobs that give way to nobody."""
        return taken(keys_of(insert.requests, insert.states), self._holder)

    def _holder(self, key: str) -> JobId | None:
        job = self._held.get(key)
        return None if job is None else job.request.id

    def refusal(self, job: StoredJob, state: State) -> DuplicateJob | None:
        """Why ``job`` cannot be in this ``state``: another one has its key."""
        key = key_of(job.request)
        holder = None if key is None or state.word.is_ended else self._held.get(key)
        if holder is None or holder is job:
            return None
        return DuplicateJob("unique_key", key, to_uuid(holder.request.id))

    def set_aside(self, job: StoredJob) -> None:
        """``job`` is about to end, and lets go of its key; `follow` gives it back."""
        key = key_of(job.request)
        if key is not None and self._held.get(key) is job:
            del self._held[key]

    def follow(self, job: StoredJob) -> None:
        """``job`` is new, or has another state."""
        key = key_of(job.request)
        if key is None:
            return
        if not job.state.word.is_ended:
            self._held[key] = job
        elif self._held.get(key) is job:
            del self._held[key]


def duplicate(
    requests: Sequence[JobRequest],
    jobs: Mapping[JobId, StoredJob],
    by_ref: Mapping[str, StoredJob],
) -> DuplicateJob | None:
    """The refusal of new jobs one of which has an id or a ``ref_id`` that there is already."""
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
