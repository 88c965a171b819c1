"""What was asked for of a schedule, as the JSON text that storages keep.

What is stored must be readable by every later version: a key may be added here, and none may ever
change its meaning.
"""

from __future__ import annotations

from typing import Any

import orjson

from ..model.audit import schedule_fault
from ..model.ids import JobId
from ..model.job import JobRequest
from ..model.schedule import Coalesce, Overlap, ScheduleRequest
from ..model.triggers import from_wire, to_wire
from .rows import details_from_json, details_to_json

_PLAIN = ("timezone", "misfire_grace_time", "max_catchup", "jitter", "start", "end")
_OF_JOB = (
    "name",
    "args",
    "created_at",
    "max_attempts",
    "timeout",
    "execute_after",
    "expire_on",
    "queue",
    "priority",
    "tenant",
    "job_type",
    "method_name",
)


def schedule_to_json(request: ScheduleRequest) -> str:
    """Everything but the name, which storages keep apart because it is unique.

    Raises:
        TypeError: a value is no JSON, or an integer of more than 64 bits.
    """
    kept: dict[str, object] = {key: getattr(request, key) for key in _PLAIN}
    kept["trigger"] = to_wire(request.trigger)
    kept["overlap"] = request.overlap.value
    kept["coalesce"] = request.coalesce.value
    kept["job"] = _job_to_wire(request.template)
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode()


def schedule_from_json(name: str, text: str) -> ScheduleRequest:
    """The inverse of `schedule_to_json`.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, OverflowError: it is none.
    """
    kept: dict[str, Any] = orjson.loads(text)
    request = ScheduleRequest(
        name=name,
        trigger=from_wire(kept["trigger"]),
        template=_job_from_wire(kept["job"]),
        overlap=Overlap(kept["overlap"]),
        coalesce=Coalesce(kept["coalesce"]),
        **{key: kept[key] for key in _PLAIN},
    )
    fault = schedule_fault(request)
    if fault is not None:
        raise ValueError(fault)
    return request


def _job_to_wire(template: JobRequest) -> dict[str, object]:
    wire: dict[str, object] = {key: getattr(template, key) for key in _OF_JOB}
    wire["id"] = template.id.hex()
    if template.details is not None:
        wire["details"] = details_to_json(template.details)
        wire["ref_id"] = template.details.ref_id
    return wire


def _job_from_wire(wire: dict[str, Any]) -> JobRequest:
    details = wire.get("details")
    return JobRequest(
        id=JobId(bytes.fromhex(wire["id"])),
        details=None if details is None else details_from_json(details, wire["ref_id"]),
        **{key: wire[key] for key in _OF_JOB},
    )
