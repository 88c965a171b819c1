"""`Player`: plays the acts of a plan in a world, and leads it to its end."""

from __future__ import annotations

from .answers import Tally
from .asking import Asking
from .befalling import Befalling
from .errands import errand_of
from .looking import ENDED
from .plans import CLIENT, Act

SLOW_LANES = 18
"""Hours that a line of jobs may take that all time out, again and again."""


class Player(Asking, Befalling):
    """All that can be done with a world."""

    async def lead(self, point: str) -> None:
        """Have the first node crash at a kill point, with nobody else about who would come first."""
        first, *others = range(len(self.world.nodes))
        before, errand = errand_of(point)
        acts: list[Act] = [("clear",)]
        if self.node(first) not in self.world.running:
            acts.append(("restart", first))
        acts.append(("crash", first, point, False))
        if before:
            acts += [("stop", first, None), *before, ("go_on", first)]
        acts += [("stop", other, None) for other in others]
        acts += errand
        acts += [("go_on", other) for other in others]
        for act in acts:
            await self.act(act)

    async def calm_down(self, *, keeps_pauses: bool) -> None:
        """Everything is well again, and everything that is due has its time.

        What it takes for that is no part of the plan, and is not counted.
        """
        self.tally = Tally()
        await self.act(("clear",))
        for number, node in enumerate(self.world.nodes):
            await self.act(("drift", number, 0.0))
            await self.act(("clock", number, 0.0))
            if node not in self.world.running or self.armed[node]:
                await self.act(("restart", number))
        self.calm_since = self.book.time()
        for name in sorted(self.book.touched):  # a pause may be stored of which nobody has heard
            if not keeps_pauses or name not in self.book.paused:
                await self.act(("resume_queue", CLIENT, name))
        await self.act(("advance", 600))
        for number in range(len(self.schedules)):
            await self.act(("unschedule", number))
        for _ in range(SLOW_LANES):
            await self.act(("advance", 3600))
            live = [job for job in self.looker.present.values() if job.state not in ENDED]
            if {job.queue for job in live} <= self.book.paused.keys():
                break
