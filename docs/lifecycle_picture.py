"""Draws a job's life as SVG: boxes that stand where `PLACES` says, arrows from the table.

What happens to all states of a group alike is drawn as one arrow from the group's frame.
"""

from collections.abc import Iterable, Mapping
from math import hypot
from textwrap import wrap

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Middle and size."""

VIEW = (-50, 0, 930, 600)
PLACES: Mapping[str, Point] = {
    "waiting": (110, 70),
    "scheduled": (110, 180),
    "ready": (110, 380),
    "processing": (420, 240),
    "completed": (780, 50),
    "cancelled": (780, 160),
    "failed": (780, 290),
    "expired": (780, 400),
    "skipped": (780, 510),
}
PENDING = "not running"
RETRYABLE = "may be retried by hand"
GROUPS: Mapping[str, tuple[str, ...]] = {
    PENDING: ("waiting", "scheduled", "ready"),
    RETRYABLE: ("cancelled", "failed", "expired"),
}
BENDS: Mapping[tuple[str, str], float] = {
    ("waiting", "ready"): 160,
    ("ready", "processing"): 60,
    ("processing", "ready"): 60,
    ("processing", "scheduled"): 40,
    (PENDING, RETRYABLE): 340,
    (RETRYABLE, "ready"): -440,
}
"""How far an arrow's control point lies to its right; the others are straight."""


def box_of(name: str) -> Box:
    if name in PLACES:
        return (*PLACES[name], 110, 34)
    (xs, ys) = zip(*(PLACES[state] for state in GROUPS[name]), strict=True)
    low, high = min(ys) - 40, max(ys) + 32
    return (xs[0], (low + high) / 2, 160, high - low)


def arrows(moves: Iterable[tuple[str, str, list[str]]]) -> dict[tuple[str, str], list[str]]:
    """What is written at the arrow from one place to another."""
    by_happening: dict[str, list[tuple[str, list[str]]]] = {}
    for state, happening, targets in moves:
        by_happening.setdefault(happening, []).append((state, targets))
    found: dict[tuple[str, str], list[str]] = {}
    for happening, entries in by_happening.items():
        group = _group_of({state for state, _ in entries})
        for state, targets in [(group, entries[0][1])] if group else entries:
            if group and {*targets} <= {*GROUPS[RETRYABLE]}:
                words = f"{happening}: {', '.join(targets)}"
                found.setdefault((state, RETRYABLE), []).append(words)
                continue
            for target in targets:
                found.setdefault((state, target), []).append(happening)
    return found


def _group_of(names: set[str]) -> str | None:
    return next((group for group, members in GROUPS.items() if names == set(members)), None)


def _edge(box: Box, toward: Point) -> Point:
    """Where a line from the middle of a box leaves it."""
    x, y, width, height = box
    dx, dy = toward[0] - x, toward[1] - y
    scale = 1 / max(abs(dx) / (width / 2), abs(dy) / (height / 2))
    return x + dx * scale, y + dy * scale


def _arrow(source: str, target: str, labels: list[str]) -> str:
    begin, end = box_of(source), box_of(target)
    dx, dy = end[0] - begin[0], end[1] - begin[1]
    bend = BENDS.get((source, target), 0) / hypot(dx, dy)
    control = ((begin[0] + end[0]) / 2 - dy * bend, (begin[1] + end[1]) / 2 + dx * bend)
    (x1, y1), (x2, y2) = _edge(begin, control), _edge(end, control)
    middle = ((x1 + 2 * control[0] + x2) / 4, (y1 + 2 * control[1] + y2) / 4)
    path = f"M{x1:.0f},{y1:.0f} Q{control[0]:.0f},{control[1]:.0f} {x2:.0f},{y2:.0f}"
    rows = wrap("; ".join(labels), 26) if source in GROUPS else wrap(", ".join(labels), 26)
    top = middle[1] - 6 * (len(rows) - 1)
    lines = [
        f'<text x="{middle[0]:.0f}" y="{top + 12 * row:.0f}" class="label">{text}</text>'
        for row, text in enumerate(rows)
    ]
    return "\n".join([f'<path d="{path}" marker-end="url(#head)"/>', *lines])


def _frame(name: str) -> str:
    x, y, width, height = box_of(name)
    corner = f'x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}"'
    if name in PLACES:
        return f'<rect {corner} rx="8"/>\n<text x="{x:g}" y="{y + 4:g}">{name}</text>'
    title = f'<text x="{x:g}" y="{y - height / 2 + 14:g}" class="label">{name}</text>'
    return f'<rect {corner} rx="8" class="group"/>\n{title}'


STYLE = """<style>
text { font: 13px sans-serif; text-anchor: middle; fill: #222; }
.label { font-size: 11px; paint-order: stroke; stroke: #fff; stroke-width: 4px; }
rect { fill: #eef3fb; stroke: #446; }
.group { fill: none; stroke: #999; stroke-dasharray: 4 3; }
path { fill: none; stroke: #446; }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"
 orient="auto"><path d="M0,0 L8,4 L0,8 z" style="fill: #446"/></marker></defs>"""


def draw(moves: Iterable[tuple[str, str, list[str]]]) -> str:
    """The picture of a table of transitions: (state, what happened, the states it may lead to)."""
    drawn = [_arrow(*ends, labels) for ends, labels in arrows(moves).items()]
    boxes = [_frame(name) for name in (*GROUPS, *PLACES)]
    view = " ".join(map(str, VIEW))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" style="background: #fff">'
    return "\n".join(
        [head, STYLE, *boxes[: len(GROUPS)], *drawn, *boxes[len(GROUPS) :], "</svg>\n"]
    )
