"""What storages are told and asked about batches.

It is part of the language of `messages`. A batch becomes visible with all of its jobs at once. One that
is too large to travel in one message is *staged* before: slice by slice, where no query and no claim
sees it, until `InsertBatch` makes jobs of all that was staged.
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

    ``stage`` names jobs of the batch that were staged: they come first, in the order in which they
    were staged, and are staged no more. There must be ``staged`` of them: otherwise the reply is
    `BatchError`.
    """

    batch: BatchRequest
    jobs: Insert
    is_new: bool = True
    reopen: bool = False
    stage: JobId | None = None
    staged: int = 0


@attrs.define
class Stage:
    """Put jobs of a batch by under ``stage``, all or none, behind those that are there already.

    No query finds them and no claim takes them, and nothing is said about their ids, until an
    `InsertBatch` names the stage. None of them may be waiting. ``position`` is how many are staged
    before them: if there are not as many, the reply is `BatchError`, for something was lost.
    ``node`` is where they come from, and ``now`` the instant. Reply: `Staged`.
    """

    stage: JobId
    batch: JobId
    node: str
    now: int
    position: int
    jobs: Insert


@attrs.define
class Staged:
    """The jobs are put by."""


@attrs.define
class Discard:
    """Throw away up to ``limit`` of the jobs that are staged under ``stage``.

    From the first of them on, nothing else may become of the stage. Reply: `Discarded`.
    """

    stage: JobId
    limit: int


@attrs.define
class Discarded:
    """``count`` staged jobs are gone; when it is the limit, there may be more."""

    count: int


@attrs.define
class Batches:
    """Batches, newest first (by sequence, descending). Reply: `BatchesFound`.

    ``before`` is a sequence: only batches with a lower one. A batch has the sequence after the highest
    that is kept, the first has 1; one that was refused has none.
    """

    limit: int
    before: int | None = None
    tenant: str | None = None
    batch_id: JobId | None = None


@attrs.define
class BatchesFound:
    """At most ``limit`` batches."""

    batches: Sequence[StoredBatch]
