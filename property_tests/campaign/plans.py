"""What a campaign plays: a world, and what happens in it; drawn by Hypothesis, written as JSON.

An act is a tuple, its name first, so that a failed plan can be written down and played again.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import attrs
from hypothesis import strategies as st

from trio_gusto.testing import KILL_POINTS
from trio_gusto.testing.simulation.points import STAGES

Act = tuple[Any, ...]

CLIENT = -1
"""Who asks: the client; or the node of that number, if it runs."""

CLOCK_ERROR = 7.5
"""Seconds by which a clock may be wrong: two of them by half a lease."""


@attrs.frozen
class Plan:
    """One world. ``focus`` is a kill point to which its first node is led in any case."""

    acts: tuple[Act, ...]
    seed: int = 0
    nodes: int = 1
    in_sqlite: bool = False
    focus: str | None = None
    fair: bool = False
    """Whether tenants take turns."""
    hasty: bool = False
    """Whether an act begins while what came of the one before still goes on at that instant."""
    keeps_pauses: bool = False
    """Whether paused queues stay so to the end."""

    def to_json(self) -> str:
        return json.dumps(attrs.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        fields = json.loads(text)
        acts = tuple(tuple(act) for act in fields.pop("acts"))
        return cls(acts, **fields)


def _act(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Act]:
    return st.tuples(st.just(name), *arguments)


_steps = st.sampled_from(
    [
        "ok",
        "ok",
        "fail",
        "fail",
        "final",
        "cancel",
        "sleep:1",
        "sleep:8",
        "sleep:50",
        "snooze:4",
        "retry:6",
        "hang",
        "report",
        "child",
        "follow",
        "orphan",
    ]
)
scripts = st.lists(_steps, min_size=1, max_size=3)
"""What a job does in its first attempt, its second, and so on; the last holds for all others."""

options = st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": st.integers(1, 4),
        "execute_after": st.sampled_from([3, 20, 90]),
        "expire_on": st.sampled_from([100, 200]),
        "queue": st.sampled_from(["left", "right"]),
        "priority": st.integers(-1, 1),
        "tenant": st.sampled_from(["ann", "bob"]),
        "unique_key": st.just("one"),
        "on_conflict": st.sampled_from(["raise", "return_existing", "replace"]),
        "timeout": st.sampled_from([5, 30]),
        "rate_key": st.just("slowly"),
        "callback": st.sampled_from([["ok"], ["fail", "ok"], ["sleep:8"], ["final"]]),
        "backoff": st.sampled_from([0, 0.5, 2]),
    },
)
_lanes = st.sampled_from(
    [
        {},
        {},
        {"worker": "solo"},
        {"concurrency_key": "pair", "concurrency_limit": 2},
        {"thread": True},
    ]
)
_tenants = st.sampled_from([{"tenant": "ann"}, {"tenant": "bob"}])
_options = st.builds(lambda one, two: {**one, **two}, options, _lanes)
_who = st.integers(CLIENT, 3)
_node = st.integers(0, 3)
_job = st.integers(0, 30)
_on = st.sampled_from(["success", "failure", "finish"])
_point = st.one_of(st.none(), st.sampled_from(KILL_POINTS))
_stage = st.sampled_from(["apply", "read", "read", "claim", "outcome", *STAGES])
_schedule = st.integers(0, 2)

work = st.one_of(
    _act("enqueue", _who, scripts, _options),
    _act("enqueue", _who, scripts, _options),
    _act("many", _who, st.integers(2, 5), scripts, st.one_of(_lanes, _tenants)),
    _act("after", _who, st.lists(_job, min_size=1, max_size=2), _on, scripts, options),
    _act("batch", _who, st.lists(scripts, max_size=3), st.one_of(st.none(), _on)),
    _act("append", _who, _schedule, scripts),
    _act("cancel", _who, _job),
    _act("retry", _who, _job),
)
_add = _act(
    "schedule",
    _who,
    st.sampled_from([20, 60, 300, "cron"]),
    st.sampled_from(["skip", "allow", "buffer_one", "cancel_other"]),
    st.sampled_from(["latest", "earliest", "all"]),
    scripts,
)
schedules = st.one_of(
    _add,
    _add,
    _add,
    _act("pause_schedule", _schedule),
    _act("resume_schedule", _schedule, st.booleans()),
    _act("trigger", _schedule),
    _act("unschedule", _schedule),
)
pauses = st.one_of(
    _act("pause_queue", _who, st.sampled_from(["left", "right"])),
    _act("resume_queue", _who, st.sampled_from(["left", "right"])),
)
time = _act("advance", st.sampled_from([0, 1, 5, 5, 31, 31, 70, 400, 7200, 200_000]))
fates = st.one_of(
    _act("crash", _node, _point, st.booleans()),
    _act("stop", _node, _point),
    _act("go_on", _node),
    _act("restart", _node),
    _act("drain", _node),
)
troubles = st.one_of(
    _act("fail", _stage, st.one_of(st.none(), _node), st.booleans(), st.integers(1, 3)),
    _act(
        "slow",
        st.one_of(st.none(), _node),
        st.sampled_from([0.5, 4, 12]),
        st.sampled_from(["apply", "read"]),
    ),
    _act("locked", st.one_of(st.none(), _node)),
    _act("full", _node),
    _act("clear"),
)
clocks = st.one_of(
    _act("clock", _node, st.floats(-CLOCK_ERROR, CLOCK_ERROR).map(lambda by: round(by, 3))),
    _act("drift", _node, st.sampled_from([-0.01, -0.001, 0.001, 0.01])),
)

acts = st.one_of(work, work, work, time, time, schedules, pauses, fates, fates, troubles, clocks)

# Of several lists, since a list is short as a rule, and it has to be that of a failure.
_scenes = st.tuples(*[st.lists(acts, max_size=12)] * 4).map(lambda some: tuple(chain(*some)))

plans = st.builds(
    Plan,
    acts=_scenes,
    seed=st.integers(0, 2**32),
    nodes=st.integers(1, 4),
    in_sqlite=st.booleans(),
    focus=st.one_of(st.none(), st.sampled_from(KILL_POINTS)),
    fair=st.booleans(),
    hasty=st.booleans(),
    keeps_pauses=st.booleans(),
)
