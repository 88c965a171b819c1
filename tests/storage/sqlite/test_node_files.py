"""The file that each node locks: it tells others whether the node is gone, where that can be told."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from trio_gusto.model.errors import StorageError, StorageFull, StorageReadOnly
from trio_gusto.storage.sqlite.errors import no_space
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


def refusal(path: Path, kind: type[StorageError]) -> tuple[str, str]:
    """What is said when a node cannot be announced, and what the system has said."""
    with pytest.raises(kind) as caught:
        Presence(str(path / "jobs.db")).announce("one")
    assert type(caught.value) is kind
    return str(caught.value), str(caught.value.__cause__)


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "jobs.db-nodes").touch()
    said, why = refusal(tmp_path, StorageReadOnly)
    assert said == (
        f"{tmp_path / 'jobs.db-nodes' / 'one.lock'} cannot be made ({why}), so nobody could tell "
        "whether this node is there; allow this user to write beside the database"
    )


def test_a_file_for_which_there_is_no_space_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "open", full)
    said, _ = refusal(tmp_path, StorageFull)
    assert said == str(no_space(str(tmp_path / "jobs.db-nodes" / "one.lock")))


def test_a_name_that_is_taken_is_told_by_its_file(tmp_path: Path) -> None:
    first = Presence(str(tmp_path / "jobs.db"))
    first.announce("one")
    said, why = refusal(tmp_path, StorageError)
    assert said == (
        f"{tmp_path / 'jobs.db-nodes' / 'one.lock'} cannot be locked ({why}), because a node of "
        "this name is attached or because the file system has no locks; use a name never used "
        "before, and a local disk"
    )
    first.withdraw("one")


def test_a_node_may_leave_whose_file_somebody_has_removed_or_that_never_came(
    tmp_path: Path,
) -> None:
    presence = Presence(str(tmp_path / "jobs.db"))
    presence.announce("one")
    (tmp_path / "jobs.db-nodes" / "one.lock").unlink()
    presence.withdraw("one")
    presence.withdraw("one")
    presence.withdraw("nobody")


def test_nobody_may_run_the_file(tmp_path: Path) -> None:
    presence = Presence(str(tmp_path / "jobs.db"))
    presence.announce("one")
    assert not (tmp_path / "jobs.db-nodes" / "one.lock").stat().st_mode & 0o111
    presence.withdraw("one")
