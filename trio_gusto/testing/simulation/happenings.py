"""What happens to nodes and to their storage in a simulation: facts beside those of the app."""

from __future__ import annotations

from datetime import timedelta

import attrs

from ...model.facts import Fact


@attrs.frozen(kw_only=True)
class NodeFact(Fact):
    """Something that happened to a node."""

    node: str


@attrs.frozen(kw_only=True)
class NodeStarted(NodeFact):
    """A node begins to run; ``life`` counts how often it has."""

    life: int


@attrs.frozen(kw_only=True)
class NodeCrashed(NodeFact):
    """A node is gone, between two instants; ``point`` is the kill point, if it was one."""

    point: str | None


@attrs.frozen(kw_only=True)
class NodePaused(NodeFact):
    """A node stands still, like a process that is not given the processor."""

    point: str | None


@attrs.frozen(kw_only=True)
class NodeResumed(NodeFact):
    """A node goes on, and does not know for how long it stood."""


@attrs.frozen(kw_only=True)
class NodeDrained(NodeFact):
    """A node has stopped in an orderly way."""


@attrs.frozen(kw_only=True)
class ClockChanged(NodeFact):
    """A node's wall clock was set ``by`` so much, and gains ``rate`` seconds in a second from now on."""

    by: timedelta
    rate: float


@attrs.frozen(kw_only=True)
class StorageFailed(NodeFact):
    """A call of a node failed: before anything was done, or ``after_commit``, so that only its reply
    was lost."""

    stages: tuple[str, ...]
    error: str
    after_commit: bool
