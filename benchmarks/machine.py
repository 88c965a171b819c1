"""The facts without which no figure means anything."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from pathlib import Path
from time import perf_counter

import psutil
import trio


def facts(directory: Path) -> dict[str, str]:
    """What the figures were measured on, as words. ``directory`` is where the databases are."""
    return {
        "python": platform.python_version(),
        "trio": trio.__version__,
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "synchronous": "FULL, journal_mode WAL",
        "file system": _file_system(directory),
        "fsync p50": f"{_fsync_seconds(directory) * 1e6:.0f} µs after a write of 4 KiB",
    }


def _file_system(directory: Path) -> str:
    """The type of the mount that holds ``directory``; a RAM disk makes every commit free."""
    place = directory.resolve()
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    kind = next((mounts[parent] for parent in (place, *place.parents) if parent in mounts), "?")
    return f"{kind} (no disk: durable figures mean nothing)" if kind in {"tmpfs", "ramfs"} else kind


def _fsync_seconds(directory: Path) -> float:
    """The median of 200 waits for the disk."""
    path = directory / "fsync"
    waits: list[float] = []
    with path.open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            began = perf_counter()
            os.fsync(file.fileno())
            waits.append(perf_counter() - began)
    path.unlink()
    return statistics.median(waits)
