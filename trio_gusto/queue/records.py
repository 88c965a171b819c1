"""What queries take and give: filters, pages, figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

import attrs

from ..model.errors import ArgumentError
from ..model.ids import to_job_id
from ..model.instants import to_instant
from ..model.states import JobState
from ..storage.finding_messages import Find

T = TypeVar("T")

LARGEST_PAGE = 1000
"""Jobs on one page, at most."""


@attrs.frozen(kw_only=True)
class JobFilter:
    """Which jobs `JobQueue.find` gives: those that satisfy every criterion; none given means all.

    The first six, and ``tags_any``, take any iterable and want one of its members; ``tags_all``
    wants all of them. ``workers``, ``concurrency_keys`` and ``rate_keys`` are those that jobs were
    enqueued with. ``batch_id`` wants the jobs of a batch, ``parent_id`` those that waited for this job
    or batch. ``metadata`` wants each of its keys to have that value. ``created_after`` is inclusive,
    ``created_before`` exclusive; both are aware datetimes.
    """

    states: Iterable[JobState | str] = ()
    names: Iterable[str] = ()
    queues: Iterable[str] = ()
    tenants: Iterable[str] = ()
    workers: Iterable[str] = ()
    concurrency_keys: Iterable[str] = ()
    rate_keys: Iterable[str] = ()
    tags_any: Iterable[str] = ()
    tags_all: Iterable[str] = ()
    schedule_name: str | None = None
    batch_id: UUID | None = None
    parent_id: UUID | None = None
    created_by: str | None = None
    user_id: str | None = None
    metadata: Mapping[str, object] = attrs.field(factory=dict[str, object])
    created_after: datetime | None = None
    created_before: datetime | None = None

    def to_query(self, limit: int, before: int | None) -> Find:
        """The message that asks a storage for one page.

        Raises:
            ArgumentError: a criterion is not of its kind, or the limit out of range.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
            raise ArgumentError(
                f"a page cannot have {limit!r} jobs; give a limit between 1 and {LARGEST_PAGE}"
            )
        try:
            states = frozenset(JobState(state) for state in self.states)
        except ValueError as error:
            words = ", ".join(state.value for state in JobState)
            raise ArgumentError(f"{error}; jobs are one of {words}", path="$.states") from error
        return Find(
            limit,
            before,
            states=states,
            names=_names("names", self.names),
            queues=_names("queues", self.queues),
            tenants=_names("tenants", self.tenants),
            workers=_names("workers", self.workers),
            concurrency_keys=_names("concurrency_keys", self.concurrency_keys),
            rate_keys=_names("rate_keys", self.rate_keys),
            tags_any=_names("tags_any", self.tags_any),
            tags_all=_names("tags_all", self.tags_all),
            schedule_name=self.schedule_name,
            created_by=self.created_by,
            user_id=self.user_id,
            metadata=dict(self.metadata),
            batch=None if self.batch_id is None else to_job_id(self.batch_id),
            parent=None if self.parent_id is None else to_job_id(self.parent_id),
            created_after=_moment("created_after", self.created_after),
            created_before=_moment("created_before", self.created_before),
        )


def _names(key: str, names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str):
        raise ArgumentError(
            f"{key} is one string, {names!r}, and would be taken letter by letter; give [{names!r}]",
            path=f"$.{key}",
        )
    return frozenset(names)


def _moment(key: str, moment: datetime | None) -> int | None:
    try:
        return None if moment is None else to_instant(moment)
    except ValueError as error:
        raise ArgumentError(f"{key}: {error}", path=f"$.{key}") from error


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """Some of the answers. Give ``next`` back as ``after=`` for more; ``None`` at the end."""

    items: tuple[T, ...]
    next: str | None


@attrs.frozen(kw_only=True)
class QueueStats:
    """How many jobs there are, by state, and by queue and tenant and state.

    ``oldest_ready_at`` is the instant since which the longest-waiting ready job is due.
    """

    by_state: Mapping[JobState, int]
    by_queue: Mapping[str, Mapping[JobState, int]]
    by_tenant: Mapping[str, Mapping[JobState, int]]
    oldest_ready_at: datetime | None
