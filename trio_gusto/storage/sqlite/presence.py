"""Who is there: a node holds a lock on a file of its own, and the system lets go of it when the
process dies, however it dies.

The files lie beside the database, in ``<database>-nodes/``. Locks of this kind belong to an open
file, not to a process, so nodes of one process see each other like those of many.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from ...model.errors import StorageError, StorageReadOnly
from .errors import no_space

if sys.platform == "win32":  # which has no such locks; there leases must do
    IS_SUPPORTED = False
else:
    import fcntl

    IS_SUPPORTED = True


_NO_SPACE = (errno.ENOSPC, errno.EDQUOT) if IS_SUPPORTED else ()

IsGone = Callable[[str], bool | None]
"""Whether a node is gone; ``None`` where that cannot be known."""


class Presence:
    """Announces nodes, and tells which others are gone."""

    def __init__(self, database: str) -> None:
        self._directory = Path(f"{database}-nodes")
        self._files: dict[str, int] = {}

    def announce(self, node: str) -> None:
        """From now on others see that ``node`` is there.

        Raises:
            StorageError: the name is taken, or its file cannot be made or locked; `StorageFull` where there is no
                space for it.
        """
        path = self._path(node)
        try:
            self._directory.mkdir(exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise no_space(str(path)) from error
            raise StorageReadOnly(
                f"{path} cannot be made ({error}), so nobody could tell whether this node is "
                "there; allow this user to write beside the database"
            ) from error
        try:
            _lock(file)
        except OSError as error:
            os.close(file)
            raise StorageError(
                f"{path} cannot be locked ({error}), because a node of this name is attached or "
                "because the file system has no locks; use a name never used before, and a local "
                "disk"
            ) from error
        self._files[node] = file

    def withdraw(self, node: str) -> None:
        """``node`` leaves. One that never came may leave too."""
        file = self._files.pop(node, None)
        if file is None:
            return
        # First the file, then the lock: nobody ever sees it without either.
        self._path(node).unlink(missing_ok=True)
        os.close(file)

    def is_gone(self, node: str) -> bool:
        """Whether ``node`` has no file, or one that nobody locks; that is removed then."""
        if node in self._files:
            return False
        path = self._path(node)
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError:
            return False  # what cannot be told is left to the lease
        try:
            _lock(file)
            path.unlink(missing_ok=True)  # names are never used again, so nobody else's
        except OSError:
            return False
        finally:
            os.close(file)
        return True

    def _path(self, node: str) -> Path:
        return self._directory / f"{quote(node, safe='')}.lock"


def _lock(file: int) -> None:
    """Take the lock, or raise ``OSError`` when somebody else has it."""
    assert sys.platform != "win32"
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
