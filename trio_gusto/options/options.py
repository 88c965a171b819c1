"""`Options`: how one app runs its jobs. Frozen, validated, complete.

What a single job or handler may say for itself is in `trio_gusto.job_options`; the ``default_*``
fields here are what holds where they say nothing. Nothing here reads a file or the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal

import attrs

from ..model.errors import OptionsError
from ..model.fairness import MOST_WEIGHT
from ..model.rates import RateLimit
from ..model.retention import Retention
from ..model.retry import RetryPolicy, exponential
from . import settings, values

DAY = 86_400.0
MIB = 1_048_576
GIB = 1_073_741_824
MAX_WEIGHT = 1_000
MOST_AT_ONCE = 10_000
"""Jobs that one process may run at once, at most."""

TenantOrder = Literal["due", "fair"]
QueueOrder = Literal["weighted", "strict"]


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _optional_seconds(value: float | timedelta | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _period(value: float | timedelta | Retention | None) -> timedelta | Retention | None:
    if value is None or isinstance(value, timedelta | Retention):
        return value
    return timedelta(seconds=values.seconds("retention", value))


def _queues(
    value: Sequence[str] | Mapping[str, int] | None,
) -> tuple[str, ...] | Mapping[str, int] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        weights = {
            values.text("queues", name): values.integer("queues", weight, 1, MAX_WEIGHT)
            for name, weight in value.items()
        }
        kept: tuple[str, ...] | Mapping[str, int] = MappingProxyType(weights)
    else:
        kept = values.texts("queues", value, most=1_000)
        if isinstance(value, set | frozenset):
            raise OptionsError("queues", value, "give a list; the order of the names matters")
    if not kept:
        raise OptionsError("queues", value, "name a queue at least, or give None for every queue")
    return kept


def _queue_rates(value: Mapping[str, RateLimit]) -> Mapping[str, RateLimit]:
    given: object = value
    if not isinstance(given, Mapping):
        raise OptionsError(
            "queue_rates", given, "give a mapping from names of queues to RateLimits"
        )
    return MappingProxyType(
        {
            values.text("queue_rates", name): values.rate_limit("queue_rates", limit)
            for name, limit in value.items()
        }
    )


Check = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _integer(low: int, high: int, *, optional: bool = False) -> Check:
    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if value is not None or not optional:
            values.integer(field.name, value, low, high)

    return check


def _duration(low: float, high: float = values.LONGEST, *, optional: bool = False) -> Check:
    def check(options: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if value is not None or not optional:
            object.__setattr__(options, field.name, values.seconds(field.name, value, low, high))

    return check


def _retention(_: Any, field: attrs.Attribute[Any], value: timedelta | Retention | None) -> None:
    if isinstance(value, timedelta):
        values.seconds(field.name, value)


def _tenant_order(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if value not in ("due", "fair"):  # what cannot be hashed is compared, too
        raise OptionsError(field.name, value, "give 'due' or 'fair'")


def _tenant_weights(value: Mapping[str, int] | None) -> Mapping[str, int] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise OptionsError("tenant_weights", value, "give a table of tenants and their weights")
    return MappingProxyType(
        {
            values.text("tenant_weights", tenant, may_be_empty=True): values.integer(
                "tenant_weights", weight, 1, MOST_WEIGHT
            )
            for tenant, weight in value.items()
        }
    )


def _order(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if value not in ("weighted", "strict"):
        raise OptionsError(field.name, value, "give 'weighted' or 'strict'")


def _policy(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if not callable(value):
        raise OptionsError(
            field.name, value, "give exponential(), fixed(), no_retry(), retry_on() or a callable"
        )


def _name(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        values.text(field.name, value)


@attrs.frozen(kw_only=True)
class Options:
    """How an app runs its jobs. Durations are seconds or a ``timedelta``, and kept as seconds.

    Raises:
        OptionsError: a value is out of range; names the key, the value and the range.

    >>> Options(concurrency=8, lease=timedelta(minutes=2)).lease
    120.0
    """

    concurrency: int = attrs.field(
        factory=lambda: os.cpu_count() or 1, validator=_integer(1, MOST_AT_ONCE)
    )
    """Jobs that run at once in this process. Default: the number of processors.
    `JobQueue.set_concurrency` changes it while the app runs."""

    batch_size: int = attrs.field(default=10, validator=_integer(1, 10_000))
    """Jobs that one claim takes at most, unless more executors are free."""

    prefetch: int | None = attrs.field(default=None, validator=_integer(0, 100_000, optional=True))
    """Jobs claimed ahead of free executors. ``None``: chosen from how long jobs take."""

    poll_interval: float = attrs.field(
        default=10.0, converter=_seconds, validator=_duration(0.01, DAY)
    )
    """Seconds between two looks at the storage when nothing else is heard of. Only a safety net:
    an enqueue or a due time wakes the poller at once."""

    queues: Sequence[str] | Mapping[str, int] | None = attrs.field(
        default=None, converter=_queues, hash=False
    )
    """The queues to serve: names, or names with weights. ``None``: every queue there is."""

    tenant_order: TenantOrder = attrs.field(default="due", validator=_tenant_order)
    """``"due"``: whoever's job is due first; ``"fair"``: within a queue and a priority tenants take turns,
    so that many jobs of one do not keep those of another waiting. Of one tenant's jobs the order stays."""

    tenant_weights: Mapping[str, int] | None = attrs.field(
        default=None, converter=_tenant_weights, hash=False
    )
    """With ``tenant_order="fair"``: how many turns a tenant has to one of those not named here."""

    queue_order: QueueOrder = attrs.field(default="weighted", validator=_order)
    """``"weighted"``: each queue by its weight, so that none starves. ``"strict"``: the first
    queue in the given order that has jobs wins."""

    queue_rates: Mapping[str, RateLimit] = attrs.field(
        factory=dict[str, RateLimit], converter=_queue_rates, hash=False
    )
    """How many jobs of a queue may start in how much time, in all processes together; a queue that is not
    named here has no limit. Say the same in every process: each claims by what it was told."""

    priority_ageing: float | None = attrs.field(
        default=None,
        converter=_optional_seconds,
        validator=_duration(0.001, optional=True),
    )
    """Seconds that a job has to be due for to count as one step of priority higher, so that jobs of low
    priority do not starve. ``None``: the highest priority always goes first. Say the same in every
    process. Not together with ``tenant_order="fair"``."""

    lease: float = attrs.field(default=60.0, converter=_seconds, validator=_duration(1, DAY))
    """Seconds that a claimed job is this process's without renewal; renewed every third of it.
    Longer: jobs of a process that died wait longer. Shorter: more writes, less patience."""

    drain_timeout: float = attrs.field(
        default=30.0, converter=_seconds, validator=_duration(0, DAY)
    )
    """Seconds that running jobs have to end when the app stops, before they are cancelled."""

    default_max_attempts: int = attrs.field(default=10, validator=_integer(1, 1_000_000))
    """Attempts a job has where its handler and its call say nothing."""

    default_timeout: float | None = attrs.field(
        default=600.0, converter=_optional_seconds, validator=_duration(0.001, optional=True)
    )
    """Seconds an attempt may take where handler and call say nothing. ``None``: as long as it
    likes."""

    default_retry: RetryPolicy = attrs.field(
        default=exponential(base=5.0, factor=2.0, cap=3600.0, jitter=0.25), validator=_policy
    )
    """When a failed attempt is followed by another, where handler and call say nothing. Any
    callable from `RetryState` to a ``timedelta`` or ``None``."""

    retention: timedelta | Retention | None = attrs.field(
        default=timedelta(days=7), converter=_period, validator=_retention
    )
    """How long ended jobs are kept. ``None``: for ever. `Retention` has rules by state, tenant and
    tag."""

    max_argument_bytes: int = attrs.field(default=MIB, validator=_integer(1_024, GIB))
    """Bytes of a job's stored arguments; a call with more is refused at ``enqueue``."""

    max_result_bytes: int = attrs.field(default=MIB, validator=_integer(1_024, GIB))
    """Bytes of a job's stored result; ``result()`` of a job with more raises `ResultError`."""

    quarantine_after: int | None = attrs.field(
        default=3, validator=_integer(1, 1_000_000, optional=True)
    )
    """Attempts of a job that were lost in a row, because the processes that ran it died, after which it is not
    run again: it is failed, and somebody should look at it before he retries it by hand. ``None``: it is run
    until its attempts are spent."""

    node_name: str | None = attrs.field(default=None, validator=_name)
    """What this process is called in attempts and logs. Default: host name and process id. It is
    descriptive; two processes may share one."""

    loop_block_threshold: float | None = attrs.field(
        default=1.0, converter=_optional_seconds, validator=_duration(0.01, DAY, optional=True)
    )
    """Seconds the event loop may stand still before the watchdog names the job that blocks it.
    ``None``: no watchdog."""

    restart_limit: int = attrs.field(default=3, validator=_integer(0, 1_000))
    """Restarts of actors that died within `restart_period`; one more, and the app ends with the
    error."""

    restart_period: float = attrs.field(
        default=30.0, converter=_seconds, validator=_duration(0.01, DAY)
    )
    """Seconds after which a restart is forgotten."""

    progress_flush_interval: float = attrs.field(
        default=2.0, converter=_seconds, validator=_duration(0.01, DAY)
    )
    """Seconds between two writes of progress and log entries of running jobs."""

    progress_flush_batch_size: int = attrs.field(default=50, validator=_integer(1, 10_000))
    """Progress and log entries that are written before that interval has passed."""

    max_log_entries: int = attrs.field(default=1_000, validator=_integer(0, 1_000_000))
    """Log entries kept of a job; the newest. 0: none are."""

    max_log_bytes: int = attrs.field(default=MIB, validator=_integer(1_024, GIB))
    """Bytes of the messages of those log entries; a longer message is cut, and of more messages the
    newest are kept."""

    def __attrs_post_init__(self) -> None:
        if self.tenant_weights is not None and self.tenant_order != "fair":
            raise OptionsError(
                "tenant_weights",
                dict(self.tenant_weights),
                "tenants have turns only with tenant_order='fair'; give that, too, or leave this out",
            )
        if self.priority_ageing is not None and self.tenant_order == "fair":
            raise OptionsError(
                "priority_ageing",
                self.priority_ageing,
                "with tenant_order='fair' tenants take turns at each priority, and ageing makes one line of "
                "all priorities; leave one of them out",
            )

    @property
    def turns_of_tenants(self) -> Mapping[str, int] | None:
        """The weights of tenants that take turns; ``None`` where they do not."""
        return (self.tenant_weights or {}) if self.tenant_order == "fair" else None

    @property
    def queue_weights(self) -> Mapping[str, int] | None:
        """The queues to serve with their weights (1 where none was given), or ``None`` for all."""
        if self.queues is None or isinstance(self.queues, Mapping):
            return self.queues
        return dict.fromkeys(self.queues, 1)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Options:
        """Options from TOML, JSON or the environment: names and values as they are written there.

        Names may have dashes and upper case. Numbers may be text (``"8"``), durations also
        ``"HH:MM:SS"``, and ``"none"`` stands for ``None``. ``queues`` may be ``"mail, reports"`` or
        ``"mail=3, reports=1"``; ``queue_rates`` may be ``"mail=100/minute, reports=5/10s"``, or a table
        whose values are such texts or tables of ``count``, ``per`` and ``burst``; ``default_retry`` is a
        table like ``{"fixed": {"delay": 5}}``, and ``retention`` may be one like
        ``{"default": 86400, "rules": [{"keep-for": 60, "tags": ["x"]}]}``.

        Raises:
            OptionsError: a key is unknown or comes twice, or a value is out of range.

        >>> Options.from_mapping({"LEASE": "00:02:00", "batch-size": "20"}).lease
        120.0
        """
        kinds = {field.name: str(field.type) for field in attrs.fields(cls)}
        return cls(**settings.read(mapping, kinds))
