"""How much is measured, and on which disk."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs


@attrs.frozen
class Scale:
    """The sizes of one run.

    ``jobs``: no-op jobs of a throughput figure; ``lone``: calls of one single caller, each awaited;
    ``sparse``: pairs of a lone enqueue and a raw commit; ``backlog``: pending jobs behind an
    informational figure; ``big``: rows of a big table; ``window``: jobs drained from it;
    ``schedules``: those of one instant; ``crowd``: members or continuations of one batch; ``old``: ended jobs past their
    retention.
    """

    directory: Path
    jobs: int = 20_000
    lone: int = 1_000
    sparse: int = 300
    backlog: int = 100_000
    big: int = 1_000_000
    window: int = 40_000
    schedules: int = 1_000
    crowd: int = 10_000
    old: int = 100_000

    @classmethod
    def quick(cls, directory: Path) -> Scale:
        """About a tenth: to see that everything works, not to quote."""
        return cls(directory, 4_000, 200, 50, 20_000, 50_000, 8_000, 100, 1_000, 10_000)

    def words(self) -> str:
        """The sizes, to be read beside the table."""
        return (
            f"{self.jobs:,} jobs ({self.lone:,} of a lone caller, {self.sparse:,} sparse), "
            f"backlog {self.backlog:,}, big table {self.big:,} rows, {self.window:,} drained from it, "
            f"{self.schedules:,} schedules, {self.crowd:,} jobs of a batch, "
            f"{self.old:,} old jobs"
        )

    @contextmanager
    def fresh_database(self) -> Generator[Path]:
        """The path of a database that does not exist yet; removed afterwards."""
        with tempfile.TemporaryDirectory(dir=self.directory) as folder:
            yield Path(folder) / "jobs.db"

    def kept_database(self, name: str) -> Path:
        """The path of a database that lives as long as the run."""
        return self.directory / f"{name}.db"
