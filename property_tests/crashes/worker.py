"""A worker's process: ``python -m property_tests.crashes.worker HOME OPTIONS``, until SIGTERM."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import trio

from trio_gusto import StorageError

from .errands import UNUSABLE, Program

PULSE = 0.05
"""Seconds between two lines by which the judge sees that the event loop was alive."""


async def work(program: Program) -> None:
    """Run jobs until told to stop."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pulse, program)
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with program.app.running():
                program.ledger.note("ready")
                await anext(signals)
                program.ledger.note("draining")
        program.ledger.note("stopped")
        nursery.cancel_scope.cancel()


async def _pulse(program: Program) -> None:
    while True:
        program.ledger.note("pulse")
        await trio.sleep(PULSE)


if __name__ == "__main__":
    try:
        trio.run(work, Program(Path(sys.argv[1]), json.loads(sys.argv[2])))
    except* StorageError:
        sys.exit(UNUSABLE)
