"""Rate limits: how many jobs may start in a span of time, counted in token buckets.

The rule is the generic cell rate algorithm, in its form of virtual scheduling (ITU-T Recommendation I.371,
annex A): of a bucket nothing is kept but when it will be full again, and it fills by itself. A start is
allowed when, by the steady rate, it comes no more than ``burst - 1`` tokens too early.

A token takes ``per / count`` to grow, which need not be a whole number of microseconds. So that nothing is
ever rounded, the instant at which a bucket is full again is kept as two integers: it was full at ``since``,
and has given ``starts`` tokens since then. Two laws follow: in any span of length ``w`` there are
``burst + w * count / per`` starts at most; and who is refused could not have started any earlier than told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

import attrs

from .errors import OptionsError
from .instants import MICROSECONDS, to_duration

SKEW = MICROSECONDS
"""Microseconds by which clocks of several machines may differ."""

MOST_STARTS = 1_000_000_000
"""Of ``count`` and ``burst``."""

_LONGEST = timedelta(days=36_600)


def _whole(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_STARTS:
        raise OptionsError(key, value, f"give a whole number from 1 to {MOST_STARTS:_}")
    return int(value)


def _period(value: float | timedelta) -> timedelta:
    try:
        period = timedelta(microseconds=to_duration(value))
    except (ValueError, OverflowError):
        period = timedelta()
    if not timedelta() < period <= _LONGEST:
        raise OptionsError(
            "per", value, "give seconds or a timedelta, from a microsecond to a hundred years"
        )
    return period


@attrs.frozen(init=False)
class RateLimit:
    """At most so many starts in so much time: of the jobs of a queue, or of those with a ``rate_key``.

    ``count`` jobs may start ``per`` span of time (seconds or a ``timedelta``, kept as a ``timedelta``). After
    a quiet while ``burst`` of them may start at once; default: ``count``. In any span of length ``w`` no more
    than ``burst + w * count / per`` jobs start. ``burst=1`` spaces them out evenly.

    Raises:
        OptionsError: ``count`` or ``burst`` is not a whole number from 1 to 1_000_000_000, or ``per`` is not
            between a microsecond and a hundred years.

    >>> RateLimit(100, per=60)
    RateLimit(count=100, per=datetime.timedelta(seconds=60), burst=100)
    """

    count: int
    per: timedelta
    burst: int
    period: int = attrs.field(repr=False, eq=False)
    """``per`` in microseconds."""

    def __init__(self, count: int, per: float | timedelta, burst: int | None = None) -> None:
        object.__setattr__(self, "count", _whole("count", count))
        object.__setattr__(self, "per", _period(per))
        object.__setattr__(self, "period", to_duration(self.per))
        object.__setattr__(self, "burst", _whole("burst", count if burst is None else burst))

    def __str__(self) -> str:
        told = f"{self.count} in {self.per.total_seconds():g} s"
        return told if self.burst == self.count else f"{told}, {self.burst} at once"


KeyLimit = tuple[str, RateLimit]
"""A rate key, and the limit by which a job goes."""

Demand = tuple[str, RateLimit]
"""The bucket that a job takes a token of, and the limit by which the job does so."""

QueueRates = Mapping[str, RateLimit]
"""The limits of whole queues."""


def demands(queue: str, limit: KeyLimit | None, queues: QueueRates) -> Sequence[Demand]:
    """What a job takes a token of, that of its queue first; most take none."""
    of_its_queue = queues.get(queue)
    if of_its_queue is None:
        return () if limit is None else ((of_key(limit[0]), limit[1]),)
    first = of_queue(queue), of_its_queue
    return (first,) if limit is None else (first, (of_key(limit[0]), limit[1]))


@attrs.frozen
class Bucket:
    """A bucket that is not full: what storages keep of it.

    It was full at ``since``, and has given ``starts`` tokens since then, the ``last`` of them by ``limit``.
    """

    since: int
    starts: int
    last: int
    limit: RateLimit

    @property
    def full_at(self) -> int:
        """The instant from which it is full, by its last limit, so that it need not be kept."""
        return _grown(self.since, self.starts, self.limit)

    def start(self, now: int, limit: RateLimit) -> Bucket:
        """The bucket after a start, which it need not allow."""
        since, starts = _balance(self, now, limit)
        return Bucket(since, starts + 1, now, limit)


def _grown(since: int, tokens: int, limit: RateLimit) -> int:
    """When so many tokens have grown."""
    return since - -tokens * limit.period // limit.count


def _balance(bucket: Bucket | None, now: int, limit: RateLimit) -> tuple[int, int]:
    """When the bucket was full, and what it has given since, by this limit."""
    if bucket is None or bucket.full_at <= now:  # so that it makes no difference whether it is kept
        return now, 0
    if was_set_back(bucket, now, limit):
        return now, limit.burst
    if bucket.starts * limit.period <= (now - bucket.since) * limit.count:
        return now, 0
    return bucket.since, bucket.starts


def was_set_back(bucket: Bucket, now: int, limit: RateLimit) -> bool:
    """Whether the clock was set back, so far that the bucket would be without tokens for too long.

    It is then taken to be empty. Clocks of several machines differ a little, and that is no reason: the
    limit holds by the one that is ahead.
    """
    filling = _grown(0, limit.burst, limit)
    return now + max(filling, SKEW) < bucket.last


def first_start(bucket: Bucket | None, now: int, limit: RateLimit) -> int:
    """The first instant, ``now`` or later, at which a job may start by this limit."""
    since, starts = _balance(bucket, now, limit)
    return max(now, _grown(since, starts - limit.burst + 1, limit))


def of_queue(queue: str) -> str:
    """The name of a queue's bucket."""
    return f"queue {queue}"


def of_key(key: str) -> str:
    """The name of the bucket of a rate key."""
    return f"key {key}"


class Rates:
    """The buckets, while a claim is filled at ``now``.

    ``find`` gives the buckets that are not full, by name; ``queues`` are the limits of whole queues.
    """

    def __init__(
        self, find: Callable[[str], Bucket | None], now: int, queues: QueueRates | None
    ) -> None:
        self._find = find
        self._now = now
        self._queues = queues or {}
        self._found: dict[str, Bucket | None] = {}
        """As they are stored."""
        self._met: dict[str, Bucket | None] = {}
        """As they are after the jobs taken so far."""
        self._mended: dict[str, Bucket] = {}
        """Those that were written down by a clock that was set back since."""
        self.next_start: int | None = None
        """The first instant at which somebody who was refused may start."""

    @property
    def limits_queues(self) -> bool:
        """Whether there are queues all of whose jobs take a token."""
        return bool(self._queues)

    @property
    def any_met(self) -> bool:
        """Whether anything that the claim has met takes a token."""
        return bool(self._met)

    def demands(self, queue: str, limit: KeyLimit | None) -> Sequence[Demand]:
        """What a job takes a token of."""
        return demands(queue, limit, self._queues)

    def refusal(self, demands: Iterable[Demand]) -> str | None:
        """The bucket that has no token for a job."""
        for name, limit in demands:
            bucket = self._bucket(name)
            if bucket is not None and was_set_back(bucket, self._now, limit):
                bucket = Bucket(self._now, limit.burst, self._now, limit)
                self._met[name] = self._found[name] = self._mended[name] = bucket
            first = first_start(bucket, self._now, limit)
            if first > self._now:
                self.next_start = first if self.next_start is None else min(first, self.next_start)
                return name
        return None

    def take(self, demands: Iterable[Demand]) -> None:
        """A job starts."""
        for name, limit in demands:
            self._met[name] = _start(self._bucket(name), self._now, limit)

    def closed_queues(self, shares: Sequence[tuple[str, int]] | None) -> set[str]:
        """The queues of which no job may start now: of those that have a share of the claim, if not of all."""
        served = self._queues if shares is None else [name for name, _ in shares]
        return {name for name in served if self.refusal(self.demands(name, None)) is not None}

    def next_due(self, scheduled: int | None) -> int | None:
        """The instant at which the next job is scheduled, or may start, if that is earlier."""
        instants = [instant for instant in (scheduled, self.next_start) if instant is not None]
        return min(instants, default=None)

    def spent(self, started: Iterable[Iterable[Demand]]) -> Mapping[str, Bucket]:
        """The buckets after what is claimed in the end: perhaps less than was taken."""
        spent = dict(self._mended)
        for demands in started:
            for name, limit in demands:
                spent[name] = _start(spent.get(name, self._found.get(name)), self._now, limit)
        return spent

    def _bucket(self, name: str) -> Bucket | None:
        if name not in self._met:
            self._met[name] = self._found[name] = self._find(name)
        return self._met[name]


def _start(bucket: Bucket | None, now: int, limit: RateLimit) -> Bucket:
    return (bucket or Bucket(now, 0, now, limit)).start(now, limit)


def startable(are_limited: Sequence[bool], free: int) -> int:
    """How many of the jobs found, in claim order, may be claimed at once.

    A claim is a start only for a free executor. So one that takes a limited job takes none ahead of a free
    executor, whatever turns jobs take on their way there; a limited one beyond those waits.
    """
    for position, is_limited in enumerate(are_limited):
        if is_limited:
            return position if position >= free else min(free, len(are_limited))
    return len(are_limited)
