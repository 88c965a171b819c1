"""What leads a node to each kill point, so that a campaign comes to all of them."""

from __future__ import annotations

from collections.abc import Sequence

from .plans import Act

_PLAIN: tuple[Act, ...] = (("enqueue", 0, ["ok"], {}), ("advance", 1))

_ERRANDS: dict[str, tuple[Act, ...]] = {
    "batch": (("batch", 0, [["ok"]], None),),
    "retry": (("enqueue", -1, ["fail", "ok"], {}), ("advance", 1)),
    "release": (("enqueue", -1, ["snooze:4"], {}), ("advance", 1)),
    "resolution": (
        ("enqueue", -1, ["sleep:1"], {}),
        ("after", -1, [-1], "success", ["ok"], {}),
        ("advance", 5),
    ),
    "cancel": (("enqueue", -1, ["ok"], {"execute_after": 90}), ("cancel", 0, -1)),
    "renewal": (("enqueue", -1, ["sleep:50"], {}), ("advance", 31)),
    "registration": (("schedule", 0, 60, "allow", "all", ["ok"]),),
    "schedule": (("schedule", -1, 20, "allow", "all", ["ok"]), ("advance", 31)),
    "pause": (("pause_queue", 0, "left"), ("resume_queue", 0, "left")),
    "retention": (("enqueue", -1, ["ok"], {}), ("advance", 100_000)),
    "report": (("enqueue", -1, ["report"], {}), ("advance", 31)),
    "recovery": (("advance", 70),),
    "handler": (("enqueue", -1, ["sleep:8"], {}), ("advance", 1)),
}

_BEFORE: dict[str, tuple[Act, ...]] = {
    "recovery": (("enqueue", -1, ["sleep:50"], {}), ("advance", 1)),
}


def errand_of(point: str) -> tuple[Sequence[Act], Sequence[Act]]:
    """What the others do first while the first node stands still, and what it does then, alone."""
    stage = point.partition(".")[0]
    return _BEFORE.get(stage, ()), _ERRANDS.get(stage, _PLAIN)
