"""Storages on a file that break what only such a storage can: what outlives them, and what is cut off."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio

from property_tests.broken.groups import Replies, lone
from trio_gusto.model.errors import GustoError
from trio_gusto.storage.messages import Commit, Insert, Write, WriteReply
from trio_gusto.storage.sqlite import SqliteStorage


class OnFile(SqliteStorage):
    """A storage on a file, as fast as can be."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, inline=True, synchronous="NORMAL")
        self.path = path

    def again(self) -> OnFile:
        """Another one on the same file."""
        return type(self)(self.path)


class ForgetsEverything(OnFile):
    """It keeps its jobs in a file of its own, each time another."""

    def again(self) -> OnFile:
        return type(self)(self.path.with_name(f"{self.path.name}~"))


class Edited(OnFile):
    """Its file is changed when it is closed."""

    edit: str

    async def detach(self, node: str) -> None:
        await super().detach(node)
        if self._session is None:
            connection = sqlite3.connect(self.path)
            with connection:
                connection.executescript(self.edit)
            connection.close()


class BeginsVersionsAgain(Edited):
    edit = "UPDATE job SET version = 0 WHERE state <> 3"


class CountsAttemptsInMemory(Edited):
    edit = "UPDATE job SET attempt = 0"


class KeepsPausesInMemory(Edited):
    edit = "DELETE FROM pause"


class KeepsLogsInMemory(Edited):
    edit = "DELETE FROM job_log"


class KeepsResultsInMemory(Edited):
    edit = "UPDATE job SET result = NULL"


class KeepsWaitsInMemory(Edited):
    edit = "DELETE FROM dependency"


class ReleasesAllWhenItIsClosed(Edited):
    """Leases end with it."""

    edit = "UPDATE job SET state = 2, node = NULL, lease_until = NULL WHERE state = 3"


class AcknowledgesBeforeItCommits(OnFile):
    """The last group is not in the file yet when it is closed."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        before = self.path.with_name(f"{self.path.name}.before")
        before.unlink(missing_ok=True)
        connection = sqlite3.connect(self.path)
        connection.execute("VACUUM INTO ?", (str(before),))
        connection.close()
        return await super().apply(writes)

    async def detach(self, node: str) -> None:
        await super().detach(node)
        before = self.path.with_name(f"{self.path.name}.before")
        if self._session is None and before.exists():
            for rest in ("-wal", "-shm"):
                self.path.with_name(f"{self.path.name}{rest}").unlink(missing_ok=True)
            before.replace(self.path)


class CommitsEachWriteOfAGroup(OnFile):
    """A group that is cut off has been performed up to there."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        replies: list[WriteReply | GustoError] = []
        for write in writes:
            replies += await super().apply([write])
            await trio.lowlevel.checkpoint()
        return replies


class CommitsEachJobOfAnInsert(OnFile):
    """One that is refused has stored those before."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        insert = lone(Insert, writes)
        if insert is None:
            return await super().apply(writes)
        reply: WriteReply | GustoError | None = None
        for request, state in zip(insert.requests, insert.states, strict=True):
            (reply,) = await super().apply([Insert([request], [state])])
            if isinstance(reply, GustoError):
                return [reply]
        return await super().apply([insert]) if reply is None else [reply]


class CommitsTheStateBeforeTheChildren(OnFile):
    """A job whose children are refused has ended."""

    async def apply(self, writes: Sequence[Write]) -> Replies:
        commit = lone(Commit, writes)
        if commit is None or commit.children is None:
            return await super().apply(writes)
        alone = attrs.evolve(commit, children=None)
        committed, inserted = await super().apply([alone, commit.children])
        return [inserted if isinstance(inserted, GustoError) else committed]


REOPENED = "all that was told is there when it is opened again in a play of everything"

PROMISES: list[tuple[type[OnFile], str]] = [
    (ForgetsEverything, "jobs and schedules are there when it is opened again"),
    (BeginsVersionsAgain, "jobs and schedules are there when it is opened again"),
    (CountsAttemptsInMemory, "jobs and schedules are there when it is opened again"),
    (KeepsPausesInMemory, REOPENED),
    (KeepsLogsInMemory, REOPENED),
    (KeepsResultsInMemory, REOPENED),
    (KeepsWaitsInMemory, "jobs and schedules are there when it is opened again"),
    (ReleasesAllWhenItIsClosed, "jobs and schedules are there when it is opened again"),
    (AcknowledgesBeforeItCommits, REOPENED),
    (
        CommitsEachWriteOfAGroup,
        "a group that was cut off is there as a whole or not at all in a play of everything",
    ),
    (CommitsEachJobOfAnInsert, "an insert stores all of its jobs or none"),
    (CommitsTheStateBeforeTheChildren, "a refused child leaves everything as it was"),
]
