"""Whether a job satisfies what `Find` asks for, for storages that look at jobs one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..model.job import Details, StoredJob
from .finding_messages import Find

_NO_DETAILS = Details()


def satisfies(job: StoredJob, find: Find) -> bool:
    """Whether ``job`` satisfies every criterion of ``find`` that is given, whatever its sequence."""
    request = job.request
    details = request.details or _NO_DETAILS
    return (
        (not find.states or job.state.word in find.states)
        and (not find.names or request.name in find.names)
        and (not find.queues or request.queue in find.queues)
        and (not find.tenants or request.tenant in find.tenants)
        and (not find.tags_any or not find.tags_any.isdisjoint(details.tags))
        and (not find.workers or details.worker in find.workers)
        and (not find.concurrency_keys or details.concurrency_key in find.concurrency_keys)
        and (not find.rate_keys or details.rate_key in find.rate_keys)
        and find.tags_all.issubset(details.tags)
        and (find.schedule_name is None or details.schedule_name == find.schedule_name)
        and (find.created_by is None or details.created_by == find.created_by)
        and (find.user_id is None or details.user_id == find.user_id)
        and (find.created_after is None or request.created_at >= find.created_after)
        and (find.created_before is None or request.created_at < find.created_before)
        and (find.batch is None or find.batch == details.batch)
        and (find.parent is None or find.parent in details.parents)
        and _has(details.metadata or {}, find.metadata)
    )


def _has(metadata: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    return all(
        key in metadata and _json(metadata[key]) == _json(value) for key, value in wanted.items()
    )


def _json(value: object) -> str:
    """Two JSON values are the same when their texts are; for Python, ``True`` would equal ``1``."""
    return json.dumps(value, sort_keys=True)
