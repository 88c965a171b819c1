"""The watchdog: a thread that notices when the event loop stands still.

While jobs run it sends the loop a ping every half threshold. One that is not answered in time means
that a handler holds the loop: the thread logs which one and where, and keeps this node's leases
alive in its place, if the storage can be spoken to from a thread (`Storage.renew_blocking`).

The rule: leases are kept for as long as the loop's blocker is within its own timeout, since a job
that runs is not lost, and running it a second time would be worse. Past that timeout they are given
up: they run out, and other nodes may take over. A blocker without a timeout is kept.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

import trio

from ..model.facts import LoopBlocked
from ..model.ids import to_uuid
from ..model.instants import MICROSECONDS, to_datetime
from ..options import Options
from ..storage.lease_messages import Renew
from .desk import StorageDesk
from .lease import Lease
from .probe import Probe
from .roster import Roster

logger = logging.getLogger("trio_gusto")

JOIN_PATIENCE = 1.0
"""Seconds that a stopping heart waits for its thread, which never blocks longer than a renewal."""


class Watchdog:
    """Pings the loop from outside."""

    def __init__(
        self,
        node: str,
        desk: StorageDesk,
        roster: Roster,
        probe: Probe,
        options: Options,
        fence_after: float,
    ) -> None:
        self._node = node
        self._desk = desk
        self._roster = roster
        self._probe = probe
        self._options = options
        self._fence_after = fence_after
        self._threshold = options.loop_block_threshold or 1.0
        self._stop = threading.Event()
        self._answered = threading.Event()
        self._loop_thread = 0
        self._loop_time: Callable[[], float] = time.perf_counter

    async def run(self) -> None:
        """Watch until cancelled."""
        self._stop.clear()
        self._loop_thread = threading.get_ident()
        self._loop_time = trio.lowlevel.current_clock().current_time
        token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(
            target=self._watch, args=(token,), name="trio-gusto-watchdog", daemon=True
        )
        thread.start()
        try:
            await trio.sleep_forever()
        finally:
            self._stop.set()
            thread.join(JOIN_PATIENCE)

    # --- in the thread ---

    def _watch(self, token: trio.lowlevel.TrioToken) -> None:
        try:
            self._ping(token)
        except trio.RunFinishedError:
            pass  # the loop has ended, and nobody holds a lease any more

    def _ping(self, token: trio.lowlevel.TrioToken) -> None:
        while not self._stop.wait(self._threshold / 2):
            if not self._roster.leases:
                continue  # an idle loop is let sleep
            self._answered.clear()
            sent_at = time.perf_counter()
            token.run_sync_soon(self._answered.set, idempotent=True)
            if self._answered.wait(self._threshold) or self._stop.is_set():
                continue
            blocker = self._roster.active
            self._report(blocker, time.perf_counter() - sent_at)
            self._hold_leases(blocker, sent_at)
            token.run_sync_soon(self._back, blocker, time.perf_counter() - sent_at)

    def _hold_leases(self, blocker: Lease | None, since: float) -> None:
        """Until the loop is back, renew every third of the lease."""
        renew_every = self._options.lease / 3
        next_renewal = since  # nobody knows how old the last one is
        patience = min(self._threshold, renew_every)
        while not (self._answered.wait(patience) or self._stop.is_set()):
            now = time.perf_counter()
            if now < next_renewal or not self._within_timeout(blocker):
                continue
            next_renewal = now + renew_every
            self._renew()

    def _within_timeout(self, blocker: Lease | None) -> bool:
        if blocker is None or blocker.started_at is None:
            return True
        timeout = blocker.claimed.request.timeout
        return timeout is None or time.time_ns() // 1000 < blocker.started_at + timeout

    def _renew(self) -> None:
        """Renew what is held, and move the fences here: the loop looks at them when it is back."""
        leases = list(self._roster.leases.values())
        fence = self._loop_time() + self._fence_after
        now = time.time_ns() // 1000
        until = now + round(self._options.lease * MICROSECONDS)
        held = [(lease.claimed.request.id, lease.claimed.token) for lease in leases]
        renewed = self._desk.storage.renew_blocking(Renew(self._node, now, until, held))
        if renewed is not None:
            for lease in leases:
                if lease.claimed.request.id not in renewed.lost:
                    lease.fence = max(lease.fence, fence)

    def _report(self, blocker: Lease | None, seconds: float) -> None:
        logger.warning(
            "the event loop has stood still for %.1f s, held by %s:\n%s"
            "Move blocking work into a plain `def` handler, which runs in a thread.",
            seconds,
            "code outside of jobs" if blocker is None else _describe(blocker),
            self._stack(),
        )

    def _stack(self) -> str:
        frame = sys._current_frames().get(  # pyright: ignore[reportPrivateUsage]  # the only way
            self._loop_thread
        )
        return "" if frame is None else "".join(traceback.format_stack(frame, limit=12))

    # --- in the loop again ---

    def _back(self, blocker: Lease | None, seconds: float) -> None:
        if self._probe.observer is not None:
            self._probe.observer.loop_blocked(seconds)
        if self._probe.listening:
            self._probe.announce(
                LoopBlocked(
                    at=to_datetime(time.time_ns() // 1000),
                    seconds=seconds,
                    job_id=None if blocker is None else to_uuid(blocker.claimed.request.id),
                    name=None if blocker is None else blocker.claimed.request.name,
                    stack="",
                )
            )


def _describe(lease: Lease) -> str:
    request = lease.claimed.request
    return f"job {to_uuid(request.id)} ({request.name}, attempt {lease.claimed.attempt})"
