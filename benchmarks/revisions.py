"""Another revision of this repository, checked out beside the working tree for a while."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


class UnknownRevision(Exception):
    """The repository has no such commit."""


def commit_of(repository: Path, revision: str) -> str:
    """The full name of a commit.

    Raises:
        UnknownRevision: there is no such commit, or no repository.
    """
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    answer = _git(repository, *asked)
    if answer.returncode:
        raise UnknownRevision(f"{revision!r} names no commit here: give a branch, a tag or a hash")
    return answer.stdout.strip()


@contextmanager
def checked_out(repository: Path, commit: str) -> Generator[Path]:
    """A work tree of ``commit``. It is removed however the block ends, and git forgets it."""
    with TemporaryDirectory(prefix="trio-gusto-compare-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder) / "tree"
        try:
            _git(repository, "worktree", "add", "--detach", str(tree), commit).check_returncode()
            yield tree
        finally:
            _git(repository, "worktree", "remove", "--force", str(tree))


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Neither git nor this process sees a Ctrl-C before git is done: half a work tree would stay."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        return subprocess.run(
            ["git", "-C", str(repository), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
