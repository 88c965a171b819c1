"""What storages are told and asked about batches.

It is part of the language of `messages`. A batch becomes visible with all of its jobs at once: what has
been stored of it before that is nobody's but its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from ..model.batch import BatchRequest, StoredBatch
from ..model.ids import JobId

if TYPE_CHECKING:
    from .messages import Insert


@attrs.define
class InsertBatch:
    """Store a batch and its jobs, or more jobs of a batch, all or none.

    Jobs of the batch have its id in their details; others may wait for it. Reply: `Inserted`, or
    what `Insert` is refused with. A batch ``is_new``, or it must be stored already, and have a job
    that has not ended unless it is to ``reopen``: otherwise the reply is `BatchError`.
    """

    batch: BatchRequest
    jobs: Insert
    is_new: bool = True
    reopen: bool = False


@attrs.define
class Batches:
    """Batches, newest first (by sequence, descending). Reply: `BatchesFound`.

    ``before`` is a sequence: only batches with a lower one.
    """

    limit: int
    before: int | None = None
    tenant: str | None = None
    batch_id: JobId | None = None


@attrs.define
class BatchesFound:
    """At most ``limit`` batches."""

    batches: Sequence[StoredBatch]
