"""How a claim is shared among queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence


def shares(weights: Mapping[str, int], limit: int, before: int) -> Sequence[tuple[str, int]]:
    """How many of ``limit`` jobs to take from each queue at first, in the order to ask them.

    Imagine a wheel with as many notches for each queue as it has weight: the claim gets the next
    ``limit`` of them, ``before`` notches having been given out. So over time each queue has exactly
    its part, however small the claims are, and none starves. A queue that cannot fill its share
    leaves it to the others in the same order.
    """
    names = list(weights)
    wheel = [name for name in names for _ in range(weights[name])]
    rounds, rest = divmod(limit, len(wheel))
    quota = {name: rounds * weights[name] for name in names}
    for notch in range(before, before + rest):
        quota[wheel[notch % len(wheel)]] += 1
    first = names.index(wheel[before % len(wheel)])
    return [(name, quota[name]) for name in names[first:] + names[:first]]


def strict(names: Sequence[str], limit: int) -> Sequence[tuple[str, int]]:
    """All from the first queue that has jobs, then from the next."""
    return [(name, limit) for name in names]


def turns(names: Sequence[str], weights: Mapping[str, int], before: int) -> Sequence[int]:
    """The order in which to run jobs that were claimed together, given their queues' names.

    The answer holds positions in ``names``. The jobs take their turns along the same wheel, from the
    notch that the claim began at; a queue with no more jobs is passed over. Jobs of one queue keep
    their order.
    """
    waiting = {name: deque[int]() for name in weights}
    for position, name in enumerate(names):
        waiting[name].append(position)
    wheel = [name for name in weights for _ in range(weights[name])]
    order: list[int] = []
    notch = before
    while len(order) < len(names):
        queue = waiting[wheel[notch % len(wheel)]]
        if queue:
            order.append(queue.popleft())
        notch += 1
    return order
