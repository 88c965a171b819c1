"""The machine that drives two storages side by side, with jobs that say something of themselves."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from property_tests.agreement import Agreement
from property_tests.batch_agreement import picks
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import Progress
from trio_gusto.model.joblog import LogLine
from trio_gusto.model.states import Completed, Processing
from trio_gusto.storage.messages import Commit, Committed
from trio_gusto.storage.report_messages import LogFound, ReadLog, Report, Reported, Saying

MOST_LINES, MOST_BYTES = 4, 12

percents = st.none() | st.sampled_from([0.0, 12.5, 100.0])
messages = st.lists(st.sampled_from(["", "a", "ü", "\0", "longer", "x" * 20]), max_size=6)


class ReportAgreement(Agreement):
    """What was logged is recounted: all of it, kept or not."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[JobId, list[str | None]] = defaultdict(list)

    @precondition(lambda self: self.leases)
    @rule(
        said=st.lists(
            st.tuples(picks, percents, messages, st.integers(0, 2)), min_size=1, max_size=3
        )
    )
    def report(self, said: list[tuple[int, float | None, list[str], int]]) -> None:
        """Also under leases that are settled, lost, or somebody else's by now."""
        sayings: list[Saying] = []
        refused: list[JobId] = []
        last = {job_id: job.progress for job_id, job in self.jobs.items()}
        for pick, percent, texts, dropped in said:
            lease = self.recent(pick)
            job_id = lease.request.id
            progress = None if percent is None else Progress(percent, f"at {self.now}")
            lines = [LogLine(self.now, "info", text) for text in texts]
            missing = dropped if lines else 0
            sayings.append(Saying(job_id, lease.token, progress, lines, missing))
            job = self.jobs.get(job_id)
            if job is None or job.version != lease.token or not isinstance(job.state, Processing):
                refused.append(job_id)
                continue
            last[job_id] = progress or last[job_id]
            self.logged[job_id] += [*[None] * missing, *texts]
        (reply,) = self.tell(Report(sayings, MOST_LINES, MOST_BYTES))
        assert isinstance(reply, Reported)
        assert list(reply.refused) == refused
        assert {job_id: job.progress for job_id, job in self.jobs.items()} == last
        self.look_at_logs()

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def report_and_end_in_one_group(self, pick: int) -> None:
        lease = self.recent(pick)
        job = self.jobs.get(lease.request.id)
        state = Completed(self.now, lease.claimed_at, lease.claimed_at, lease.node)
        ended = Commit(lease.request.id, lease.token, state, lease.attempt)
        progress = Progress(100.0, f"ended at {self.now}")
        _, reply = self.tell(
            Report(
                [Saying(lease.request.id, lease.token, progress)],
                MOST_LINES,
                MOST_BYTES,
            ),
            ended,
        )
        if isinstance(reply, Committed):
            assert self.jobs[lease.request.id].progress == progress
        elif job is not None:
            assert self.jobs[lease.request.id].progress == job.progress

    @invariant()
    def logs_of_deleted_jobs_are_gone(self) -> None:
        for job_id in self.logged.keys() - self.jobs.keys():
            assert self.ask(ReadLog(job_id)) == LogFound((), 0)
            del self.logged[job_id]

    def look_at_logs(self) -> None:
        for job_id in [*self.jobs, uuid7(0, 7)]:
            found = self.ask(ReadLog(job_id))
            assert isinstance(found, LogFound)
            ever = self.logged.get(job_id, [])
            kept = [line.message for line in found.lines]
            assert found.dropped + len(kept) == len(ever)
            assert kept == ever[found.dropped :]
            size = sum(len(text.encode()) for text in kept)
            assert len(kept) <= 1 or (len(kept) <= MOST_LINES and size <= MOST_BYTES)
            assert kept or not ever
