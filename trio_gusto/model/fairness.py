"""Fair shares: tenants take turns, so that many jobs of one do not keep another waiting.

Stride scheduling (C. A. Waldspurger and W. E. Weihl, "Stride Scheduling: Deterministic Proportional-Share
Resource Management", 1995). Each tenant has a pass. Of those that have something ready the one with
the lowest is served, and its pass goes up by a stride, the smaller the more weight it has. Who comes back
after a while begins at the pass that is served now: being idle earns nothing, and costs nothing.

Turns are taken within a queue and a priority. What is remembered of them are the passes ahead of the one
that is served now; all others are as good as forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

STRIDE = 720_720
"""What a job costs a tenant of weight 1. A multiple of all weights up to 16, so that those are exact."""

MOST_WEIGHT = 10_000


class Turns:
    """The turns of the tenants of one queue at one priority, while a claim is filled.

    ``now`` is the pass that was served last, ``passes`` are those ahead of it.
    """

    def __init__(
        self, weights: Mapping[str, int], now: int = 0, passes: Iterable[tuple[str, int]] = ()
    ) -> None:
        self.now = now
        self._weights = weights
        self._passes = dict(passes)

    def place(self, tenant: str) -> int:
        """The pass of a tenant: whose is lowest is served next."""
        return max(self._passes.get(tenant, 0), self.now)

    def serve(self, tenant: str) -> None:
        """A job of this tenant was taken."""
        self.now = self.place(tenant)
        stride = max(1, STRIDE // self._weights.get(tenant, 1))
        self._passes[tenant] = self.now + stride

    def replay(self, tenants: Iterable[str]) -> Mapping[str, int]:
        """These have been served, in this order. Returns the passes of them that are ahead then."""
        served = set[str]()
        for tenant in tenants:
            self.serve(tenant)
            served.add(tenant)
        return {tenant: place for tenant in served if (place := self._passes[tenant]) > self.now}

    def ahead(self) -> Mapping[str, int]:
        """The passes that are to be remembered."""
        return {tenant: place for tenant, place in self._passes.items() if place > self.now}
