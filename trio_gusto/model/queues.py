"""How a claim is shared among queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def shares(weights: Mapping[str, int], limit: int, turn: int) -> Sequence[tuple[str, int]]:
    """How many of ``limit`` jobs to take from each queue at first, in the order to ask them.

    Every queue gets its part of the weights, rounded down; what the rounding left over goes round
    with ``turn``, which the caller counts up, so that over the turns each queue has its part, and
    none starves. A queue that cannot fill its share leaves it to the others in the same order.
    """
    names = list(weights)
    total = sum(weights.values())
    quota = {name: limit * weights[name] // total for name in names}
    # Spread the rest along a wheel with one notch per unit of weight.
    wheel = [name for name in names for _ in range(weights[name])]
    rest = limit - sum(quota.values())
    first = turn * max(rest, 1) % total
    for step in range(rest):
        quota[wheel[(first + step) % total]] += 1
    start = names.index(wheel[first])
    order = names[start:] + names[:start]
    return [(name, quota[name]) for name in order]


def strict(names: Sequence[str], limit: int) -> Sequence[tuple[str, int]]:
    """All from the first queue that has jobs, then from the next."""
    return [(name, limit) for name in names]
