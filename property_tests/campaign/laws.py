"""The laws that a campaign is held against, in the words of its failures."""

from __future__ import annotations

ENDS_ONCE = "a job ends once"
STARTS_NO_MORE = "what has ended starts no more"
NUMBERED = "attempts are numbered without gaps"
ATTEMPTS = "attempts are within max_attempts"
ONE_PLACE = "no job is at work at two places under valid leases"
NOT_ROBBED = "who is well loses no lease"
ALONE = "a named worker has one job at a time"
IN_ORDER = "a named worker begins its jobs in order"
LIMIT = "a concurrency key has no more jobs at work than its limit"
ROOM = "a node runs no more at once than it may"
PAUSED = "what is paused does not start"
NOT_EARLY = "nothing starts before execute_after"
NOT_LATE = "nothing starts at or after expire_on"
PRIORITY = "whoever is more urgent goes first"
TURNS = "tenants take turns, if they are to"
AFTER_PARENTS = "a continuation starts when all its parents have ended"
CONDITION = "a continuation starts only on its condition"
INSTANT_ONCE = "an instant of a schedule comes once"
ON_THE_GRID = "a schedule fires at its instants alone"
NO_INSTANT_LOST = "every instant of a schedule makes a job or a record"
NO_OVERLAP = "jobs of a schedule that skips do not meet"
EDGES = "a job goes only where it may"
STAYS_ENDED = "what has ended stays ended"
UNIQUE = "a unique key has one live job"
BATCH_COUNTS = "counts of a batch are a recount"
STATS = "stats are a recount"
AS_ASKED = "a job is what was asked for"
NOT_LOST = "no job is lost"
ALL_END = "every job ends, or its explanation says why not"
EXPLAINED = "an explanation is true"
EARNED = "a job ends as its handler and its callers would have it"
LEASED = "who processes has a node and a lease, and nobody else"
LEASE_GROWS = "a lease of an attempt is not cut short"
DELAYED = "a failed attempt is followed by the next after its delay"
TOKENS = "a bucket gives no more tokens than grow in it"
CHILDREN = "children exist exactly when the attempt that enqueued them succeeded"
CALLED_BACK = "a job with a callback ends as its callback does"
ANSWERED = "who asks is answered, and is refused only for what is so"
RECORDS = "every claim has one record, in order"


class LawBroken(AssertionError):
    """A law is broken, by a fact or by what is seen of a job."""

    def __init__(self, law: str, by: object) -> None:
        self.law = law
        self.fact = by
        self.job_id = getattr(by, "job_id", None)
        super().__init__(f"{law}: {by}")
