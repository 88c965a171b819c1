"""A machine that drives two storages side by side, with jobs that say something of themselves.

It has few verbs besides, so that reports meet ends of attempts, and each other, often.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.recount import ALL
from property_tests.side_by_side import SideBySide
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import AttemptRecord, ClaimedJob, JobRequest, Progress
from trio_gusto.model.joblog import LogLine
from trio_gusto.model.lifecycle import admit
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Completed, Processing, Ready
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Commit, Committed, Insert
from trio_gusto.storage.report_messages import LogFound, ReadLog, Report, Reported, Saying
from trio_gusto.storage.retention_messages import Prune

MOST_LINES, MOST_BYTES = 4, 12

picks = st.integers(0, 3)
percents = st.none() | st.sampled_from([0.0, 12.5, 100.0])
messages = st.lists(st.sampled_from(["", "a", "ü", "\0", "longer", "x" * 20]), max_size=6)
sayings = st.tuples(picks, percents, messages, st.integers(0, 2))


class ReportAgreement(SideBySide):
    """What was logged is recounted: all of it, kept or not."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[JobId, list[str | None]] = defaultdict(list)
        self.told: dict[tuple[JobId, int], int] = defaultdict(int)

    @rule()
    def enqueue(self) -> None:
        self.made += 1
        job_id = uuid7(self.now * 1000, self.made)
        request = JobRequest(job_id, "f", "[[],{}]", self.now, 1_000_000)
        self.tell(Insert([request], [admit(request)]))

    @rule()
    def claim(self) -> None:
        before = self.jobs
        due = [job_id for job_id, job in before.items() if isinstance(job.state, Ready)]
        self.claims.update(due)
        self.ever_claimed.update(due)
        (reply,) = self.tell(ClaimDue(self.nodes[0], self.now, self.now + 8, ALL, ALL))
        assert isinstance(reply, ClaimReply)
        self.leases += reply.jobs

    def recent(self, pick: int) -> ClaimedJob:
        """A lease, the most recent one for zero; it may be over."""
        return self.leases[-1 - pick % len(self.leases)]

    def is_held(self, lease: ClaimedJob) -> bool:
        job = self.jobs.get(lease.request.id)
        return job is not None and job.version == lease.token and isinstance(job.state, Processing)

    @precondition(lambda self: self.leases)
    @rule(said=st.lists(sayings, min_size=1, max_size=3), times=st.sampled_from([1, 1, 2]))
    def report(self, said: list[tuple[int, float | None, list[str], int]], times: int) -> None:
        """Also under leases that are over; perhaps once more, as if the reply had been lost."""
        told: list[Saying] = []
        refused: list[JobId] = []
        last = {job_id: job.progress for job_id, job in self.jobs.items()}
        for pick, percent, texts, dropped in said:
            lease = self.recent(pick)
            job_id, attempt = lease.request.id, (lease.request.id, lease.token)
            progress = None if percent is None else Progress(percent, f"at {self.now}")
            lines = [LogLine(self.now, "info", text) for text in texts]
            missing = dropped if lines else 0
            saying = Saying(job_id, lease.token, progress, lines, missing, self.told[attempt])
            told.append(saying)
            if not self.is_held(lease):
                refused.append(job_id)
                continue
            last[job_id] = progress or last[job_id]
            self.told[attempt] += missing + len(lines)
            self.logged[job_id] += [*[None] * missing, *texts]
        for _ in range(times):
            (reply,) = self.tell(Report(told, MOST_LINES, MOST_BYTES))
            assert isinstance(reply, Reported)
            assert list(reply.refused) == refused
        assert {job_id: job.progress for job_id, job in self.jobs.items()} == last
        self.look_at_logs()

    @precondition(lambda self: self.leases)
    @rule(pick=picks, runs_again=st.booleans())
    def report_and_end_in_one_group(self, pick: int, runs_again: bool) -> None:
        lease = self.recent(pick)
        was_held = self.is_held(lease)
        job = self.jobs.get(lease.request.id)
        progress = Progress(100.0, f"ended at {self.now}")
        saying = Saying(lease.request.id, lease.token, progress)
        _, reply = self.tell(Report([saying], MOST_LINES, MOST_BYTES), self.end(lease, runs_again))
        assert isinstance(reply, Committed) is was_held
        if was_held:
            assert self.jobs[lease.request.id].progress == progress
        elif job is not None:
            assert self.jobs[lease.request.id].progress == job.progress

    def end(self, lease: ClaimedJob, runs_again: bool) -> Commit:
        at = lease.claimed_at
        if not runs_again:
            state = Completed(self.now, at, at, lease.node)
            return Commit(lease.request.id, lease.token, state, lease.attempt)
        record = AttemptRecord(
            lease.attempt, lease.token, lease.node, at, at, self.now, AttemptOutcome.FAILED
        )
        ready = Ready(self.now)
        return Commit(lease.request.id, lease.token, ready, lease.attempt, record)

    @rule()
    def delete_what_has_ended(self) -> None:
        """Below a job that stays: a storage may give the highest sequences of all once more."""
        self.enqueue()
        self.now += 1
        self.tell(Prune(self.now, ALL))
        self.look_at_logs()

    def look_at_logs(self) -> None:
        for job_id in self.logged.keys() - self.jobs.keys():
            assert self.ask(ReadLog(job_id)) == LogFound((), 0)
        for job_id in [*self.jobs, uuid7(0, 7)]:
            found = self.ask(ReadLog(job_id))
            assert isinstance(found, LogFound)
            ever = self.logged.get(job_id, [])
            kept = [line.message for line in found.lines]
            assert found.dropped + len(kept) == len(ever)
            assert kept == ever[found.dropped :]
            assert kept or not ever
            assert len(kept) <= 1 or (len(kept) <= MOST_LINES and _size(kept) <= MOST_BYTES)


def _size(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)
