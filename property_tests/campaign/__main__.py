"""A long campaign: worlds of a seed, one after the other, until the time is over or a law is broken.

``python -m property_tests.campaign --minutes 5 --seed 1``
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, seed, settings

from trio_gusto.testing import KILL_POINTS, SimulationFailed

from .plans import Plan, plans
from .scenes import Explored, play

ROUND = 50
"""Worlds that are drawn from one seed."""


def main(arguments: Sequence[str]) -> int:
    """Run a campaign, or play one plan again. Returns 1 if a law is broken."""
    parser = argparse.ArgumentParser(prog="python -m property_tests.campaign", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long; default 5")
    parser.add_argument("--seed", type=int, default=None, help="a number; default: drawn")
    parser.add_argument("--plan", help="play this plan alone, as a failure has printed it")
    asked = parser.parse_args(arguments)
    if asked.plan is not None:
        return _report(_failure_of(Plan.from_json(asked.plan)), "of the plan")
    first = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    explored, began = Explored(), time.monotonic()
    _tell(f"seed {first}")
    for point in KILL_POINTS:  # once in any case; the rest is drawn
        code = _report(_failure_of(Plan((), seed=first, focus=point), explored), f"{first}")
        if code:
            return code
    number = first
    while time.monotonic() - began < 60 * asked.minutes:
        code = _report(_round(number, explored, began + 60 * asked.minutes), f"{number}")
        if code:
            return code
        number += 1
    _count(explored, first, number, time.monotonic() - began)
    return 0


def _round(number: int, explored: Explored, until: float) -> tuple[Plan, SimulationFailed] | None:
    """Worlds of one seed; returns the shortest that fails, if any does."""
    failed: list[tuple[Plan, SimulationFailed]] = []

    @seed(number)
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(plans)
    def worlds(plan: Plan) -> None:
        if not failed and time.monotonic() >= until:
            return
        failure = _failure_of(plan, explored)
        if failure is not None:
            failed.append(failure)
            raise failure[1]

    try:
        worlds()
    except SimulationFailed:
        pass
    return failed[-1] if failed else None


def _failure_of(
    plan: Plan, explored: Explored | None = None
) -> tuple[Plan, SimulationFailed] | None:
    try:
        play(plan, explored)
    except SimulationFailed as failure:
        return plan, failure
    return None


def _report(failure: tuple[Plan, SimulationFailed] | None, whose: str) -> int:
    if failure is None:
        return 0
    plan, error = failure
    told = str(error).partition("Replay it with:")[0]
    _tell(
        f"A LAW IS BROKEN (seed {whose})",
        told,
        "The whole history:",
        error.history.excerpt(lines=200),
        "Play it again:",
        f"python -m property_tests.campaign --plan '{plan.to_json()}'",
    )
    return 1


def _count(explored: Explored, first: int, number: int, seconds: float) -> None:
    missing = [point for point in KILL_POINTS if not explored.points[point]]
    tally = explored.tally
    refused = [f"{error} {count:,}" for error, count in tally.refused.most_common()]
    names = sorted({*tally.done, *tally.idle})
    _tell(
        f"seeds {first} to {number - 1}: {explored.worlds:,} worlds, "
        f"{tally.done.total():,} acts that took effect, {explored.looks:,} looks, "
        f"{explored.jobs:,} jobs, {explored.facts:,} facts, "
        f"{explored.days:,.0f} virtual days in {seconds:.0f} seconds",
        f"beside them: {tally.refused.total():,} acts that were refused, {tally.unanswered.total():,} that "
        f"nobody answered in time, {tally.idle.total():,} that had nothing to change",
        f"refused: {', '.join(refused) or 'none'}",
        "took effect, and had nothing to change:",
        *(f"  {name:<28}{tally.done[name]:>7}{tally.idle[name]:>7}" for name in names),
        "crashed or stood still at:",
        *(f"  {point:<28}{explored.points[point]:>7}" for point in KILL_POINTS),
        f"never reached: {', '.join(missing)}" if missing else "every kill point was reached",
    )


def _tell(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    logging.getLogger("trio_gusto").setLevel(logging.CRITICAL)  # storages fail all the time
    sys.exit(main(sys.argv[1:]))
