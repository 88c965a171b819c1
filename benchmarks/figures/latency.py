"""How long a lone job waits, and how long the event loop does."""

from __future__ import annotations

from collections.abc import Sequence

from .. import latency
from ..rows import Figure, Goal, Pair, Row, at_most, versus
from ..scale import Scale


def _sparse(name: str, rows: Sequence[Row], *, inline: bool) -> Figure:
    """A lone enqueue and a raw commit in turn, in one run."""

    def measure(scale: Scale) -> Sequence[Pair]:
        product, floor = latency.enqueue_to_start(scale, inline=inline)
        return [Pair(product.p50, floor.p50), Pair(product.p99, floor.p99)]

    return Figure(name, rows, measure, lambda scale: [pair.product for pair in measure(scale)])


FIGURES: Sequence[Figure] = (
    _sparse(
        "sparse",
        [
            Row("lone enqueue to handler start, p50", "ms", "raw commit", Goal("at most", 1.5)),
            Row("lone enqueue to handler start, p99", "ms", "raw commit", Goal("at most", 1.8)),
        ],
        inline=False,
    ),
    _sparse(
        "sparse-inline",
        [
            Row("the same with inline=True, p50", "ms", "raw commit"),
            Row("the same with inline=True, p99", "ms", "raw commit"),
        ],
        inline=True,
    ),
    versus(
        "loop-lag",
        Row("event-loop lag under full load, p99", "ms", "bare channel", at_most(1.5)),
        lambda scale: latency.lag_of_product(scale).p99,
        lambda scale: latency.lag_of_bare_trio(scale).p99,
    ),
)
