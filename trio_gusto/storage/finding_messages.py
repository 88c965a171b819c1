"""How storages are asked for jobs and for their number: three queries.

They are part of the language of `messages`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ..model.ids import JobId
from ..model.job import StoredJob
from ..model.states import JobState


@attrs.define
class Get:
    """Jobs by id or by ``ref_id``, each with its whole history. Reply: `Found`.

    Unknown ones are left out.
    """

    job_ids: Sequence[JobId] = ()
    ref_id: str | None = None


@attrs.define
class Find:
    """Jobs that satisfy every criterion given, newest first (by sequence, descending).

    An empty criterion accepts every job. ``before`` is a sequence: only jobs with a lower one.
    ``tags_any`` wants one of the tags at least, ``tags_all`` all of them; ``metadata`` wants each
    key to have that (JSON) value; ``created_after`` is inclusive, ``created_before`` exclusive.
    ``parent`` is a job or batch that a job waited for, or still waits for, ``batch`` the one that
    it belongs to. ``workers``, ``concurrency_keys`` and ``rate_keys`` are those that jobs were enqueued
    with.
    Reply: `Found`, at most ``limit`` jobs, each with the last record of its history at most.
    """

    limit: int
    before: int | None = None
    states: frozenset[JobState] = frozenset()
    names: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    workers: frozenset[str] = frozenset()
    concurrency_keys: frozenset[str] = frozenset()
    rate_keys: frozenset[str] = frozenset()
    tags_any: frozenset[str] = frozenset()
    tags_all: frozenset[str] = frozenset()
    schedule_name: str | None = None
    created_by: str | None = None
    user_id: str | None = None
    metadata: Mapping[str, object] = attrs.field(factory=dict[str, object])
    created_after: int | None = None
    created_before: int | None = None
    parent: JobId | None = None
    batch: JobId | None = None


@attrs.define
class Found:
    """Jobs, copies that the storage will not change any more."""

    jobs: Sequence[StoredJob]


@attrs.define
class Tally:
    """Count all jobs, but for those in an archive. Reply: `Tallied`."""


@attrs.define
class Tallied:
    """``counts``: (state, queue, tenant) → jobs. ``oldest_ready``: the earliest due instant of a
    ready job, or ``None``."""

    counts: Mapping[tuple[JobState, str, str], int]
    oldest_ready: int | None
