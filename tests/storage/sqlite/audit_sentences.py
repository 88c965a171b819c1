"""What is found in each corrupted file, word for word: jobs are `ID`, instants `THEN`, causes `(why)`."""

from __future__ import annotations

from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    "no such state": (
        "job ID breaks readable: its state is 9, which is no state; a job is a row that says what it is"
    ),
    "no handler": (
        "job ID breaks readable: its handler is 99, which is no handler in the table handler; "
        "a job is a row that says what it is"
    ),
    "broken details": (
        "job ID breaks readable: its details cannot be read (why); a job is a row that says "
        "what it is"
    ),
    "no such outcome": (
        "job ID breaks readable: its attempt 1 (token 2) has an outcome that nobody knows; "
        "an attempt ends as succeeded, failed, timed_out, snoozed, released, cancelled or "
        "lost"
    ),
    "a schedule that is no JSON": (
        "schedule 'nightly' breaks readable: its request cannot be read (why); what was "
        "asked for is kept as JSON"
    ),
    "a batch that is gone": (
        "job ID breaks readable: its batch has the number 999, which is not there; a job is "
        "a row that says what it is"
    ),
    "a lease on a ready job": (
        "job ID breaks state-data: it has a node; a job that is scheduled has none of these"
    ),
    "processing without a lease": (
        "job ID breaks state-data: it has no lease_until; a job that is processing has node, "
        "claimed_at, lease_until"
    ),
    "completed without an end": (
        "job ID breaks state-data: it has no ended_at; a job that is completed has node, "
        "claimed_at, started_at, ended_at"
    ),
    "failed without an attempt": (
        "job ID breaks transitions: it is failed at version 1, 1 changes after it was "
        "stored; by the table of transitions it is cancelled or expired then"
    ),
    "an end that its outcome does not lead to": (
        "job ID breaks transitions: it is failed at version 5, 0 changes after its attempt "
        "1; by the table of transitions it is cancelled then"
    ),
    "scheduled again after it completed": (
        "job ID breaks transitions: it is scheduled at version 2, 2 changes after it was "
        "stored; by the table of transitions it is ready then"
    ),
    "a version that went back": (
        "job ID breaks versions: its attempt 3 (token 0) follows when its version was 6; a "
        "claim raises the version by one, to 7 at least"
    ),
    "a token that was used before": (
        "job ID breaks versions: its attempt 2 (token 3) follows when its version was 3; a "
        "claim raises the version by one, to 4 at least"
    ),
    "an attempt too many": (
        "job ID breaks attempts: it has an attempt 3 (token 8); it may have 2 at most"
    ),
    "an attempt that was not counted": (
        "job ID breaks attempts: its attempt 3 (token 8) has the wrong number; by those "
        "before, it is number 1 or 2"
    ),
    "an attempt that is spent and was given back": (
        "job ID breaks attempts: its attempt 2 (token 4) has the wrong number; by those "
        "before, it is number 1"
    ),
    "spent without a claim": (
        "job ID breaks attempts: 1 of its attempts are spent; 0 are, by its attempts"
    ),
    "ended before it began": (
        "job ID breaks times: its attempt 1 (token 1) was claimed at THEN, started at THEN "
        "and ended at THEN; these come one after the other, unless the clock was set back "
        "meanwhile"
    ),
    "another end than its last attempt": (
        "job ID breaks times: it ended at THEN, and its last attempt at THEN; an attempt "
        "that ends its job ends when that does"
    ),
    "claimed while it was running": (
        "job ID breaks one-at-a-time: its attempt 2 (token 5) was claimed at THEN, and the "
        "one before it was not over; that one ended at THEN"
    ),
    "claimed too early": (
        "job ID breaks in-time: its attempt 1 (token 2) was claimed at THEN; its "
        "execute_after is THEN"
    ),
    "claimed too late": (
        "job ID breaks in-time: its attempt 1 (token 1) was claimed at THEN; its expire_on "
        "is THEN, and nothing starts then"
    ),
    "expired without a deadline": (
        "job ID breaks in-time: it has expired, and has no expire_on; without one a job "
        "waits for ever"
    ),
    "expired too early": ("job ID breaks in-time: it expired at THEN; it may start until THEN"),
    "waits without a link": (
        "job ID breaks waits: it is not linked to ID; it waits for these parents, and so is "
        "linked to them"
    ),
    "waits for what is gone": (
        "job ID breaks waits: it waits for ID, which is not there; what is waited for is kept"
    ),
    "a link of a job that waits for nobody": (
        "job ID breaks waits: it is linked to one that is not there; a job that waits for "
        "nobody has no links"
    ),
    "released too early": (
        "job ID breaks continuations: it was claimed at THEN, and its parent ID ended at "
        "THEN; a continuation is claimed when all its parents have ended"
    ),
    "given up for nothing": (
        "job ID breaks continuations: it was given up, and all its parents have completed; "
        "then it is released"
    ),
    "a key that nobody sees": (
        "job ID breaks copies: its unique_key is None in the column; it is 'one' by its details"
    ),
    "a lane that nobody sees": (
        "job ID breaks copies: its lane is None in the column; it is 'key press' by its details"
    ),
    "a batch without one of its jobs": (
        "job ID breaks copies: it is counted in no batch; it belongs to ID"
    ),
    "two with one key": (
        "unique key 'one' breaks unique-keys: ID, ID are live and have it; one job may"
    ),
    "two at once in a lane": (
        "lane 'key press' breaks lanes: 2 of its jobs are leased, to NODES; 2 of them run "
        "alone, so all are leased to one node and none beside them"
    ),
    "the job of another instant": (
        "job ID breaks fire-times: it has the instant THEN of the schedule 'tick'; that "
        "instant has the job ID"
    ),
    "an instant after the mark": (
        "job ID breaks fire-times: it has the instant THEN, and the mark of 'tick' is before "
        "it; the mark is THEN"
    ),
    "an instant that the trigger has not": (
        "job ID breaks fire-times: it has the instant THEN of the schedule 'tick'; its "
        "trigger (every 0:07:00) has none there"
    ),
    "a mark that was passed": (
        "schedule 'tick' breaks marks: its next instant after the mark THEN is THEN; the "
        "first is THEN"
    ),
    "paused, and fires": (
        "schedule 'tick' breaks marks: its next instant after the mark THEN is THEN; none "
        "while it is paused"
    ),
    "the last job of another instant": (
        "schedule 'tick' breaks marks: its last job is ID; the instant THEN has ID"
    ),
    "a stage that is not whole": (
        "stage 1 breaks stages: 0 jobs are put by; it counts 3, and its batch is refused "
        "with any other number"
    ),
    "a count that is kept and wrong": (
        "the count of completed jobs in queue 'default' breaks counts: stats tells 22; there are 17"
    ),
    "an attempt of no job": (
        "a row of attempt breaks strays: it belongs to the job with the sequence 99999, "
        "which is not there; it goes with its job"
    ),
    "a dossier of no job": (
        "a row of dossier breaks strays: it belongs to the job with the sequence 99999, "
        "which is not there; it goes with its job"
    ),
    "a live job": (
        "job ID breaks state-data: it has a node and a claimed_at and a started_at and a "
        "ended_at and a result; a job that is ready has none of these"
    ),
    "a job of another month": (
        "job ID breaks archive: it is in the archive of 2026-01; a job lies in the month in "
        "which it was made"
    ),
}
