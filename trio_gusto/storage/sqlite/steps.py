"""The steps of a group, inside its transaction: neighbours of one kind together.

There are two ways. The quick one trusts that SQLite refuses nothing; when it does, the whole group
is undone and goes the careful way, where each step is protected by a savepoint, and a step that is
refused is done again, one message at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import TypeVar, cast

from ...model.errors import ArgumentError, BatchError, DuplicateJob, GustoError, StorageError
from ...model.ids import JobId
from ...model.states import AwaitingCallback
from ...model.uniqueness import Admission, has_keys, stored_requests
from ..batch_messages import Discard, InsertBatch, Stage
from ..lease_messages import Renew, RequestCancel
from ..messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
    Write,
    WriteReply,
)
from ..pause_messages import HeardPauses, LiftPauses, PutPause
from ..report_messages import Report
from ..retention_messages import Prune, Pruned
from ..schedule_messages import Fire, PutSchedule
from .archive import Archive, Copied
from .batches import refusal_of
from .claiming import claim_due
from .dependencies import Dependencies
from .errors import MessageErrors, Refused, RefusedInsert, UnreadableRow
from .fusing import insert_claimed, nothing_else, plan
from .inserting import insert_jobs, new_jobs, refusal
from .leases import Leases
from .names import Names
from .pauses import hear_pauses, lift_pauses, put_pause
from .reports import put_report
from .retention import delete_copied, prune
from .schedules import fire_schedule, put_schedule
from .settling import CONFLICT, complete_all, is_kept, renew, request_cancel, settle
from .staging import discard, keys_of, missing_from, publish, put_by
from .uniqueness import admission_of, another_holder, insert_unique, taken_key
from .unreadable import lease_unreadable

A = TypeVar("A")
R = TypeVar("R")

Reply = WriteReply | GustoError
CommitReply = Committed | Conflict | GustoError

_INSERTED = Inserted()
_COMPLETED = Completions()


class Steps:
    """Performs the writes of a group on a connection that is in a transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        names: Names,
        leases: Leases,
        archive: Archive | None = None,
    ) -> None:
        self._connection = connection
        self._names = names
        self._leases = leases
        self._archive = archive
        self._dependencies = Dependencies(connection, self._bring_back)

    # --- the quick way ---

    def quickly(self, writes: Sequence[Write]) -> Sequence[Reply]:
        """Perform a group.

        Raises:
            MessageErrors: something was refused; some of the group may be done.
        """
        self._dependencies.begin()
        replies: list[Reply] = []
        begin = 0
        for index, write in enumerate(writes):
            if type(write) is Insert or type(write) is Complete:
                continue
            replies += self._up_to(write, writes[begin:index])
            begin = index + 1
        replies += self._in_order(writes[begin:])
        return replies

    def _up_to(self, write: Write, before: Sequence[Write]) -> Sequence[Reply]:
        """What comes ``before`` is nothing but inserts and successes."""
        if type(write) is ClaimDue:
            replies = self._fuse(write, before)
            if replies is not None:
                return replies
        return [*self._in_order(before), self._perform(write)]

    def _fuse(self, claim: ClaimDue, before: Sequence[Write]) -> Sequence[Reply] | None:
        """``None`` when it cannot be done, and nothing is.

        Successes touch only jobs that were claimed by an earlier group, so it does not matter when
        among the inserts they are performed.
        """
        if claim.tenant_weights is not None:
            return None  # they have to take turns
        inserts = [write for write in before if type(write) is Insert]
        planned = plan(inserts, claim) if inserts else None
        if planned is None or not nothing_else(self._connection, planned):
            return None
        replies = [_INSERTED if type(write) is Insert else self._perform(write) for write in before]
        claimed = insert_claimed(self._connection, self._names, self._leases, planned)
        return [*replies, claimed]

    def _in_order(self, writes: Sequence[Write]) -> Sequence[Reply]:
        """Nothing but inserts and successes."""
        replies: list[Reply] = []
        for kind, run in _runs(writes):
            if kind is Insert:
                self._insert(run)
                replies += [_INSERTED] * len(run)
            else:
                replies += map(self._perform, run)
        return replies

    # --- the careful way ---

    def carefully(self, writes: Sequence[Write]) -> Sequence[Reply]:
        """Perform a group; what is refused is answered with its own error."""
        self._dependencies.begin()
        replies: list[Reply] = []
        for kind, run in _runs(writes):
            if kind is Insert and self._protected(self._insert, run) is None:
                replies += [_INSERTED] * len(run)
            else:
                replies += map(self._alone, run)
        return replies

    def _alone(self, write: Write) -> Reply:
        if type(write) is Complete:
            together = self._protected(self._complete, write)
            if isinstance(together, Completions):
                return together
            replies = map(self._alone, write.commits())
            return Completions.of(cast("list[CommitReply]", list(replies)))
        reply = self._protected(self._perform, write)
        if isinstance(reply, UnreadableRow):
            assert type(write) is ClaimDue
            return self._claim_the_rest(write, reply)
        if not isinstance(reply, Exception) or isinstance(reply, GustoError):
            return reply
        if isinstance(reply, Refused):
            return reply.error
        if isinstance(reply, RefusedInsert):
            return refusal(self._connection, reply.insert, reply.error)
        if type(write) is Insert:
            return self._insert_or_meet(write, reply)
        if type(write) is InsertBatch:
            staged = () if write.stage is None else keys_of(self._connection, write.stage)
            refused = taken_key(self._connection, write)
            return refused or refusal(self._connection, write.jobs, reply, staged)
        if type(write) is Commit:
            return another_holder(self._connection, write) or _unstorable(write, reply)
        return _unstorable(write, reply)

    def _claim_the_rest(self, claim: ClaimDue, error: UnreadableRow) -> Reply:
        """Claim around the rows that cannot be read, the first of which led to ``error``."""
        unreadable = lease_unreadable(self._connection, self._names, claim)
        for commit in unreadable:
            self._settle(commit)
        if unreadable:
            reply = self._protected(self._perform, claim)
            # If there are more, they are for the next claim: others want to write, too.
            return (
                ClaimReply([], more=True, next_due=None) if isinstance(reply, Exception) else reply
            )
        if isinstance(error.__cause__, UnicodeError | OverflowError):
            return _unstorable(claim, error.__cause__)
        return StorageError(
            f"something that a claim asks for cannot be read ({error}), and it is no job that is due, so "
            "nothing was claimed; `trio-gusto audit` names it"
        )

    def _insert_or_meet(self, insert: Insert, error: Exception) -> Reply:
        """What was refused with ``error``, when it has unique keys: perhaps it can be done so."""
        if not has_keys(insert.requests):
            return refusal(self._connection, insert, error)
        try:
            answer = admission_of(self._connection, insert)
        except Refused as refused:
            return refused.error
        if isinstance(answer, DuplicateJob):
            return answer
        reply = self._protected(partial(self._insert_unique, answer), insert)
        if isinstance(reply, Inserted):
            return reply
        stored = Insert(*stored_requests(insert.requests, insert.states, answer))
        return refusal(self._connection, stored, reply)

    def _protected(self, step: Callable[[A], R], argument: A) -> R | Exception:
        """What the step returned, or the error with which it was refused, and then undone."""
        self._connection.execute("SAVEPOINT step")
        try:
            return step(argument)
        except MessageErrors as error:
            self._names.forget()
            self._connection.execute("ROLLBACK TO step")
            return error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("RELEASE step")

    # --- both ways ---

    def _insert(self, run: Sequence[Write]) -> None:
        insert_jobs(
            self._connection,
            self._names,
            new_jobs(cast(Sequence[Insert], run)),
            dependencies=self._dependencies,
        )

    def _insert_unique(self, answer: Admission, insert: Insert) -> Inserted:
        return insert_unique(self._connection, answer, insert, self._insert_one, self._settle)

    def _insert_one(self, insert: Insert) -> None:
        self._insert([insert])

    def _insert_batch(self, write: InsertBatch) -> Inserted | BatchError:
        refused = missing_from(self._connection, write) or refusal_of(self._connection, write)
        if refused is None:
            publish(self._connection, self._names, write)
            self._insert([write.jobs])
        return refused or _INSERTED

    def _complete(self, complete: Complete) -> Completions | None:
        """All together; ``None`` when they have to be told one by one, and nothing is done."""
        rows = complete_all(self._connection, self._leases, complete)
        if rows is None:
            return None
        awaited = self._dependencies.awaited(rows)
        return Completions(awaited=awaited) if awaited else _COMPLETED

    def _bring_back(self, job_id: JobId) -> bool:
        """Whether a job was in the archive; by now it is in the main file."""
        return self._archive is not None and self._archive.bring_back(
            self._connection, self._names, job_id
        )

    def _settle(self, commit: Commit) -> CommitReply:
        settled = settle(self._connection, self._names, self._leases, self._dependencies, commit)
        if (
            settled is CONFLICT
            and not commit.state.word.is_ended
            and self._archive is not None
            and not is_kept(self._connection, commit.job_id)
            and self._bring_back(commit.job_id)
        ):
            return another_holder(self._connection, commit) or self._settle(commit)
        if commit.children is not None and isinstance(settled, Committed):
            return self._add_children(commit, commit.children, settled)
        return settled

    def _add_children(self, commit: Commit, children: Insert, settled: Committed) -> Committed:
        """They are judged by what holds after the new state: it may have freed a key, or taken one."""
        answer = admission_of(self._connection, children) if has_keys(children.requests) else None
        if isinstance(answer, DuplicateJob):
            raise Refused(answer)
        inserted = _INSERTED
        try:
            if answer is None:
                self._insert_one(children)
            else:
                inserted = self._insert_unique(answer, children)
        except MessageErrors as error:
            if answer is not None:
                children = Insert(*stored_requests(children.requests, children.states, answer))
            raise RefusedInsert(children, error) from error
        if isinstance(commit.state, AwaitingCallback):
            self._dependencies.await_callback(commit.job_id, commit.state.callback)
        return Committed((*settled.awaited, *inserted.awaited), inserted)

    def delete_copied(self, ask: Prune, found: tuple[Copied, Pruned]) -> Pruned:
        """The second half of a move to the archive, of which the first is done."""
        assert self._archive is not None
        return delete_copied(self._connection, self._archive, ask, found)

    def _perform(self, write: Write) -> Reply:
        match write:
            case ClaimDue():
                return claim_due(self._connection, self._names, self._leases, write)
            case Commit():
                return self._settle(write)
            case Complete():
                replies = self._complete(write)
                return replies or Completions.of([*map(self._settle, write.commits())])
            case Renew():
                return renew(self._connection, self._leases, write)
            case RequestCancel():
                return request_cancel(self._connection, write)
            case Prune():
                return prune(self._connection, self._archive, write)
            case PutSchedule():
                return put_schedule(self._connection, write)
            case Fire():
                return fire_schedule(self._connection, self._names, write)
            case PutPause():
                return put_pause(self._connection, write)
            case LiftPauses():
                return lift_pauses(self._connection, write)
            case HeardPauses():
                return hear_pauses(self._connection, self._names, write)
            case InsertBatch():
                return self._insert_batch(write)
            case Report():
                return put_report(self._connection, write)
            case Stage():
                return put_by(self._connection, self._names, write)
            case Discard():
                return discard(self._connection, write)
            case Insert():
                self._insert([write])
                return _INSERTED


def _runs(writes: Sequence[Write]) -> Iterator[tuple[type, Sequence[Write]]]:
    """Neighbours of one kind."""
    for kind, run in groupby(writes, type):
        yield kind, list(run)


def _unstorable(write: Write, error: Exception) -> GustoError:
    return ArgumentError(
        f"SQLite cannot keep this {type(write).__name__} ({error}), and nothing of it was stored; "
        "use text that UTF-8 can encode, and integers of 64 bits"
    )
