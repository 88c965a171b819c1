"""The example keeps its promises: two processes, one file, an orderly end."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import trio

from docs.examples.shop.jobs import Shop

WORKER = [sys.executable, "-m", "docs.examples.shop.worker"]


async def test_one_process_enqueues_and_another_runs_the_job(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, shop.app.connected() as queue:
            ref = await queue.enqueue(shop.write_invoice, 7, 1250)
            worker: trio.Process = await nursery.start(trio.run_process, [*WORKER, str(tmp_path)])

            assert await ref.result() == "invoice-7.txt"

            worker.send_signal(signal.SIGTERM)
            assert await worker.wait() == 0
    assert (tmp_path / "invoice-7.txt").read_text() == "order 7: 12.50 EUR\n"
