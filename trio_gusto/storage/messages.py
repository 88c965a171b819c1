"""The whole language spoken to storages: sixteen writes and thirteen queries, each with its reply.

A storage stores, selects and compares; it decides nothing. What becomes of a job is decided by
`trio_gusto.model.lifecycle` and arrives here as a finished state.

Writes come in groups (`Storage.apply`): one group is one transaction, performed in order, a later
message seeing what an earlier one did. A message that cannot be performed is answered with its own
error and has no effect; its neighbours are not harmed. Queries (`Storage.read`) see committed data
only and never wait behind writes.

Instants and durations are integers, microseconds. Here is how jobs come, are claimed and change their
state. What is said about leases is in `lease_messages`, how jobs are found in `finding_messages`, what is
said about schedules in `schedule_messages`, about batches in `batch_messages`, about pauses in
`pause_messages`, what running jobs say in `report_messages`, what is asked about earlier runs in
`run_messages`, and about buckets in `rate_messages`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ..model.errors import GustoError
from ..model.ids import JobId
from ..model.job import AttemptRecord, ClaimedJob, JobRequest
from ..model.rates import RateLimit
from ..model.states import Completed, State
from .batch_messages import (
    Batches,
    BatchesFound,
    Discard,
    Discarded,
    InsertBatch,
    Stage,
    Staged,
)
from .dependency_messages import DependentJobs, Dependents
from .finding_messages import Find, Found, Get, Tallied, Tally
from .lease_messages import (
    CancelRequests,
    CancelsAsked,
    Renew,
    Renewed,
    RequestCancel,
    Stranded,
    StrandedJobs,
)
from .pause_messages import HeardPauses, LiftPauses, Pauses, PausesFound, PutPause
from .rate_messages import Buckets, BucketsFound
from .report_messages import (
    DossiersFound,
    LogFound,
    ReadDossiers,
    ReadLog,
    Report,
    Reported,
)
from .retention_messages import Prune, Pruned
from .run_messages import PastRuns, RunsFound
from .schedule_messages import FindSchedules, Fire, PutSchedule, Schedules

# --- writes ---------------------------------------------------------------------------------------


@attrs.define
class Insert:
    """Store new jobs, all or none, in the order given.

    ``states`` are their first states (`lifecycle.admit`), one for each request.
    A job whose ``unique_key`` a live one holds is dealt with as `uniqueness.admission` says, in the
    same transaction; what it replaces is called off before it is stored. (Those of a batch give
    way to nobody, whatever they say.)
    Reply: `Inserted`. A tracking id or ``ref_id`` that exists is answered with `DuplicateJob`, and
    then none of this message's jobs is stored. So is, with `UnknownJob`, a waiting job one of whose
    parents, jobs or batches, is not stored, or not before it. While a job waits, its parents are remembered as
    awaited.
    """

    requests: Sequence[JobRequest]
    states: Sequence[State]


@attrs.define
class Inserted:
    """The jobs are stored, but for those with an ``existing`` one: by position, the id of the job
    that has their unique key. ``replaced`` were called off for others, ``awaited`` are those of
    them, and of their batches, that others wait for."""

    existing: Mapping[int, JobId] = attrs.field(factory=dict[int, JobId])
    replaced: tuple[JobId, ...] = ()
    awaited: tuple[JobId, ...] = ()


@attrs.define
class ClaimDue:
    """Lease up to ``limit`` jobs that are due at ``now`` to ``node``, until ``lease_until``.

    First every scheduled job due by ``now`` becomes ready. Then ready jobs are taken that are not
    past their ``expire_on``, in the order priority (high first), due instant, sequence; in the
    order of ``queues`` if given (name, share): up to each share first, then what is left of
    ``limit`` from the same queues in the same order; from all queues in one order if ``None``.
    Jobs whose handler's name is in ``skip_names`` (nearly always empty) are passed over.
    What a pause covers is passed over (`pauses.covered`). Of the jobs in one lane as many are taken as
    `lanes.Lanes` admits; of those that run alone ``node`` may hold ``depth`` per lane. None is
    taken in ``closed_lanes``, which are at work elsewhere.
    With ``tenant_weights`` (those not named have 1) tenants take turns within a queue, or within all if
    ``queues`` is ``None``, at each priority (`fairness.Turns`), and what that takes is remembered with
    the claim; jobs in lanes stand in one line for all tenants.
    A job whose queue is in ``queue_rates``, or that has a rate key, is taken while its buckets have tokens
    (`admission.Admission`); what is claimed then is taken off them.
    With ``ageing`` (microseconds; not with ``tenant_weights``) the order is that of `order.place`.
    If any of them takes a token, the jobs found are cut with `rates.startable(…, free)`.
    The jobs found are cut with `lifecycle.within_reach(…, free)`. Each one taken becomes
    ``Processing``, spends an attempt and gets its version raised by one: the token of its lease.
    Reply: `ClaimReply`.
    """

    node: str
    now: int
    lease_until: int
    limit: int
    free: int
    queues: Sequence[tuple[str, int]] | None = None
    skip_names: Sequence[str] = ()
    depth: int = 1
    closed_lanes: Sequence[str] = ()
    tenant_weights: Mapping[str, int] | None = None
    queue_rates: Mapping[str, RateLimit] | None = None
    ageing: int | None = None


@attrs.define
class ClaimReply:
    """The jobs claimed, in claim order.

    ``more``: the limit (or ``within_reach``) was hit, so there may be more ready jobs.
    ``next_due``: the earliest instant at which a job that is scheduled now falls due, or ``None``; or,
    unless there may be ``more``, that from which a job may start that was met and refused for want of a
    token, if it is earlier.
    ``held``: a job in a lane that leases occupy could have been claimed by its due instant and
    ``expire_on``, but was not, so that it is worth while to claim again when a lease was let go of.
    ``in_lanes``: some of the jobs are in lanes.
    """

    jobs: Sequence[ClaimedJob]
    more: bool
    next_due: int | None
    held: bool = False
    in_lanes: bool = False


@attrs.define
class Commit:
    """Give a job a new state, if its version is still ``version``.

    Settles an attempt (``version`` is then the lease's token), cancels, expires and retries by
    hand. On success the version goes up by one, ``attempt`` becomes the number of attempts spent,
    and ``record`` (if any) is added to the job's attempts, all at once. An ended job that is to be
    live again is answered with `DuplicateJob` if a live one holds its ``unique_key``. ``forget_expiry`` removes
    the job's ``expire_on``. ``exception`` is the handler's own, for storages that hand it on; it
    is not stored. ``children`` are stored with it, after it, as an `Insert` would: refused, they leave
    everything as it was, and the answer is that refusal. The callback of a job that is to wait for
    it is among them.

    A job that is processing and has a cancellation request takes only an ended state.

    Reply: `Committed`, or `Conflict` and nothing is changed.
    """

    job_id: JobId
    version: int
    state: State
    attempt: int
    record: AttemptRecord | None = None
    forget_expiry: bool = False
    exception: BaseException | None = None
    children: Insert | None = None


@attrs.define
class Committed:
    """The state is recorded. ``awaited``: the job, and its batch, if it has ended and others wait
    for them, its own children not counted. ``inserted`` is what became of its ``children``, if it had any."""

    awaited: tuple[JobId, ...] = ()
    inserted: Inserted | None = None


@attrs.define
class Conflict:
    """The version was another, or the job is gone; for ``cancel_reason`` not ``None``: the lease is
    valid, but the job's cancellation has been asked for, so it takes only an ended state."""

    cancel_reason: str | None = None


@attrs.define
class Complete:
    """Settle attempts whose handlers returned: the end of most jobs, so many go in one message.

    ``claims``, as they were given, and ``states`` go together. Each pair has the effect of its
    `Commit` (`commits`), and is refused for itself alone. Reply: `Completions`.
    """

    claims: Sequence[ClaimedJob]
    states: Sequence[Completed]

    def commits(self) -> Sequence[Commit]:
        """The same, one by one."""
        return [
            Commit(claimed.request.id, claimed.token, state, claimed.attempt)
            for claimed, state in zip(self.claims, self.states, strict=True)
        ]


@attrs.define
class Completions:
    """The states are recorded, except of those ``refused``: by position, a `Conflict` or error.

    ``awaited`` are those of the jobs and their batches that others wait for, in any order.
    """

    refused: Mapping[int, Conflict | GustoError] = attrs.field(
        factory=dict[int, "Conflict | GustoError"]
    )
    awaited: tuple[JobId, ...] = ()

    @classmethod
    def of(cls, replies: Sequence[Committed | Conflict | GustoError]) -> Completions:
        """What the replies to `Complete.commits` come to."""
        return cls(
            {
                position: reply
                for position, reply in enumerate(replies)
                if not isinstance(reply, Committed)
            },
            tuple(
                dict.fromkeys(
                    job
                    for reply in replies
                    if isinstance(reply, Committed)
                    for job in reply.awaited
                )
            ),
        )


Write = (
    Insert
    | InsertBatch
    | Stage
    | Discard
    | ClaimDue
    | Commit
    | Complete
    | Renew
    | RequestCancel
    | Prune
    | PutSchedule
    | Fire
    | Report
    | PutPause
    | LiftPauses
    | HeardPauses
)
WriteReply = (
    Inserted
    | ClaimReply
    | Committed
    | Conflict
    | Completions
    | Renewed
    | Pruned
    | Staged
    | Discarded
    | Reported
)

# --- queries --------------------------------------------------------------------------------------

Query = (
    Get
    | Find
    | Tally
    | Stranded
    | CancelRequests
    | FindSchedules
    | Dependents
    | Batches
    | Pauses
    | ReadLog
    | ReadDossiers
    | PastRuns
    | Buckets
)
QueryReply = (
    Found
    | Tallied
    | StrandedJobs
    | CancelsAsked
    | Schedules
    | DependentJobs
    | BatchesFound
    | LogFound
    | DossiersFound
    | RunsFound
    | PausesFound
    | BucketsFound
)
