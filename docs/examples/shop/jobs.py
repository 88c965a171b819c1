"""What producers and workers share: the app and its handlers."""

from __future__ import annotations

from pathlib import Path

import trio

from trio_gusto import Gusto, Options, current_job, exponential
from trio_gusto.storage.sqlite import SqliteStorage


class Shop:
    """One app per process, on a file that all of them share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = Gusto(
            SqliteStorage(folder / "jobs.db"), options=Options(concurrency=4, drain_timeout=10)
        )
        self.app.job(name="shop.write_invoice", max_attempts=5, retry=exponential(base=1))(
            self.write_invoice
        )

    async def write_invoice(self, order: int, cents: int) -> str:
        """Idempotent: whichever attempt comes last, there is one invoice, with one content."""
        path = trio.Path(self.folder / f"invoice-{order}.txt")
        draft = path.with_suffix(f".{current_job().attempt}.draft")
        await draft.write_text(f"order {order}: {cents / 100:.2f} EUR\n")
        await draft.rename(path)
        return path.name
