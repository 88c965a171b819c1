"""Whether a node is gone is told by the file that it has locked, and left open where it cannot be told."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from trio_gusto.storage.sqlite.presence import Presence


def lock_file(path: Path, node: str) -> Path:
    """What a node leaves that was killed."""
    folder = path / "jobs.db-nodes"
    folder.mkdir()
    (folder / f"{node}.lock").touch()
    return folder / f"{node}.lock"


def test_one_whose_file_nobody_locks_is_gone_and_so_is_its_file(tmp_path: Path) -> None:
    file = lock_file(tmp_path, "victim")
    heir = Presence(str(tmp_path / "jobs.db"))
    assert heir.is_gone("victim")
    assert not file.exists()
    assert heir.is_gone("victim")


def test_one_whose_file_cannot_be_opened_is_left_to_its_lease(tmp_path: Path) -> None:
    lock_file(tmp_path, "other").with_name("victim.lock").mkdir()
    assert not Presence(str(tmp_path / "jobs.db")).is_gone("victim")


def test_one_whose_file_another_heir_removes_at_the_same_time_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = lock_file(tmp_path, "victim")
    lock = fcntl.flock

    def remove_and_lock(descriptor: int, how: int) -> None:
        file.unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    assert Presence(str(tmp_path / "jobs.db")).is_gone("victim")


def test_a_file_system_that_locks_only_what_is_open_for_writing_tells_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NFS does."""
    lock_file(tmp_path, "victim")
    lock = fcntl.flock

    def lock_for_writing(descriptor: int, how: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "not open for writing")
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", lock_for_writing)
    assert Presence(str(tmp_path / "jobs.db")).is_gone("victim")
