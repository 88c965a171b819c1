"""A worker process: runs jobs until SIGTERM or SIGINT, then lets running ones come to an end."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import trio

from docs.examples.shop.jobs import Shop


async def serve(folder: Path) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with Shop(folder).app.running():
            async for _ in signals:
                break  # leaving the block drains


if __name__ == "__main__":
    trio.run(serve, Path(sys.argv[1]))
