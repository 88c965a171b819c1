"""Promises about what running jobs say of themselves: fenced, and the newest is kept."""

from __future__ import annotations

from collections.abc import Sequence

from ...model.ids import JobId
from ...model.job import ClaimedJob, Progress
from ...model.joblog import LogLine
from ...model.outcomes import AttemptOutcome
from ...model.states import Ready
from ...storage.finding_messages import Get
from ...storage.lease_messages import RequestCancel
from ...storage.messages import Committed
from ...storage.report_messages import LogFound, ReadLog, Report, Reported, Saying
from ...storage.retention_messages import Prune, Pruned
from .subject import EVERYTHING, NOW, SECOND, Subject, ids, put_back, same, success, successes

MOST_LINES, MOST_BYTES = 5, 100

NO_LOG: tuple[list[LogLine], int] = ([], 0)


def line(number: int, message: str = "") -> LogLine:
    return LogLine(NOW + number, "info", message or f"line {number}")


def lines(first: int, last: int) -> list[LogLine]:
    return [line(number) for number in range(first, last + 1)]


def said(
    job: ClaimedJob,
    percent: float | None = None,
    entries: Sequence[LogLine] = (),
    dropped: int = 0,
    told: int = 0,
) -> Saying:
    progress = None if percent is None else Progress(percent, f"{percent} of it")
    return Saying(job.request.id, job.token, progress, entries, dropped, told)


def report(*sayings: Saying) -> Report:
    return Report(sayings, MOST_LINES, MOST_BYTES)


async def tell(subject: Subject, *sayings: Saying) -> None:
    reported = await subject.expect(Reported, report(*sayings))
    same(list(reported.refused), [], "what is refused of a report under valid leases")


async def log_of(subject: Subject, job_id: JobId) -> tuple[list[LogLine], int]:
    found = await subject.storage.read(ReadLog(job_id))
    if not isinstance(found, LogFound):
        raise AssertionError(f"ReadLog should be answered with LogFound, not {found!r}")
    return list(found.lines), found.dropped


async def the_last_progress_reported_is_kept(subject: Subject) -> None:
    silent, talking = await subject.enqueue(), await subject.enqueue()
    _, job = (await subject.claim()).jobs
    before = (await subject.get(talking.id)).version
    await tell(subject, said(job, 10.0))
    await tell(subject, said(job, 70.0), said(job, 50.5))
    await tell(subject, said(job, 12.0))
    stored = await subject.get(talking.id)
    same(stored.progress, Progress(12.0, "12.0 of it"), "the progress of the job")
    same(stored.version, before, "the version after a report")
    same((await subject.get(silent.id)).progress, None, "the progress of another job")
    (found,) = [one for one in await subject.everything() if one.request.id == talking.id]
    same(found.progress, Progress(12.0, "12.0 of it"), "the progress of a job found")


async def progress_outlives_the_attempt(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    await tell(subject, said(job, 30.0))
    again = put_back(job, Ready(NOW), AttemptOutcome.FAILED)
    await subject.expect(Committed, again)
    same((await subject.get(request.id)).progress, Progress(30.0, "30.0 of it"), "the progress")
    job = await subject.claim_one()
    await tell(subject, said(job, 100.0))
    await subject.complete(job)
    same((await subject.get(request.id)).progress, Progress(100.0, "100.0 of it"), "the last one")


async def a_report_is_refused_without_a_valid_lease(subject: Subject) -> None:
    await subject.enqueue()
    first = await subject.claim_one()
    await tell(subject, said(first, 1.0, lines(1, 1)))
    await subject.expect(Committed, put_back(first, Ready(NOW), AttemptOutcome.LOST))
    await _refused(subject, said(first, 2.0, lines(2, 2)))
    second = await subject.claim_one()
    await _refused(subject, said(first, 3.0, lines(3, 3)))
    await subject.complete(second)
    await _refused(subject, said(second, 4.0, lines(4, 4)))
    unknown = Saying(subject.request().id, 1, Progress(5.0, ""), lines(5, 5))
    await _refused(subject, unknown)


async def _refused(subject: Subject, saying: Saying) -> None:
    before = (await subject.everything(), await log_of(subject, saying.job_id))
    reply = await subject.expect(Reported, report(saying))
    same(list(reply.refused), [saying.job_id], "what is refused of a report without a lease")
    after = (await subject.everything(), await log_of(subject, saying.job_id))
    same(after, before, "the storage after a refused report")


async def one_refused_saying_does_not_harm_the_others(subject: Subject) -> None:
    await subject.enqueue()
    await subject.enqueue()
    stale, good = (await subject.claim()).jobs
    await subject.complete(stale)
    reply = await subject.expect(Reported, report(said(stale, 1.0), said(good, 2.0, lines(1, 1))))
    same(list(reply.refused), [stale.request.id], "what is refused of the report")
    same((await subject.get(good.request.id)).progress, Progress(2.0, "2.0 of it"), "the progress")
    same(await log_of(subject, good.request.id), (lines(1, 1), 0), "the log of the other job")


async def a_report_goes_before_the_outcome_in_its_group(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    replies = await subject.apply([report(said(job, 100.0, lines(1, 2))), success(job)])
    same([type(reply) for reply in replies], [Reported, Committed], "the kinds of replies")
    same((await subject.get(request.id)).progress, Progress(100.0, "100.0 of it"), "the progress")
    same(await log_of(subject, request.id), (lines(1, 2), 0), "the log")


async def a_job_whose_cancellation_was_asked_for_may_still_report(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    await subject.expect(Committed, RequestCancel(request.id, job.token, "enough"))
    await tell(subject, said(job, 7.0))
    same((await subject.get(request.id)).progress, Progress(7.0, "7.0 of it"), "the progress")


async def a_log_keeps_its_newest_lines(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    await tell(subject, said(job, None, lines(1, 3)))
    same(await log_of(subject, request.id), (lines(1, 3), 0), "the log")
    same((await subject.get(request.id)).progress, None, "the progress of a job that only logs")
    await tell(subject, said(job, None, lines(4, 7), told=3))
    same(await log_of(subject, request.id), (lines(3, 7), 2), "the log that was too long")
    await tell(subject, said(job, None, lines(10, 11), dropped=2, told=7))
    same(await log_of(subject, request.id), (lines(10, 11), 9), "the log with a gap before it")


async def a_log_keeps_no_more_bytes_than_it_may(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    long = [line(number, "ü" * 20) for number in range(1, 4)]  # 40 bytes each
    await tell(subject, said(job, None, long[:2]))
    same(await log_of(subject, request.id), (long[:2], 0), "the log")
    await tell(subject, said(job, None, long[2:], told=2))
    same(await log_of(subject, request.id), (long[1:], 1), "the log that was too large")
    huge = line(9, "x" * 500)
    await tell(subject, said(job, None, [huge], told=3))
    same(await log_of(subject, request.id), ([huge], 3), "the newest line, however long")


async def what_is_told_again_is_kept_once(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    for _ in range(2):
        await tell(subject, said(job, 1.0, lines(1, 2)))
    for _ in range(2):
        await tell(subject, said(job, 2.0, lines(5, 6), dropped=2, told=2))
    same(await log_of(subject, request.id), (lines(5, 6), 4), "the log that was told twice")
    await subject.expect(Committed, put_back(job, Ready(NOW), AttemptOutcome.FAILED))
    job = await subject.claim_one()
    await tell(subject, said(job, 3.0, lines(7, 7)))
    same(await log_of(subject, request.id), (lines(5, 7), 4), "the log of the next attempt")


async def a_log_goes_on_in_the_next_attempt(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    await tell(subject, said(job, None, lines(1, 2)))
    await subject.expect(Committed, put_back(job, Ready(NOW), AttemptOutcome.FAILED))
    job = await subject.claim_one()
    await tell(subject, said(job, None, lines(3, 4)))
    same(await log_of(subject, request.id), (lines(1, 4), 0), "the log of two attempts")


async def reports_are_deleted_with_their_job(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    await tell(subject, said(job, 1.0, lines(1, 2)))
    await subject.complete(job)
    await subject.expect(Pruned, Prune(NOW + SECOND, EVERYTHING))
    same(await log_of(subject, request.id), NO_LOG, "the log of a deleted job")
    await subject.insert(request)
    same(await log_of(subject, request.id), NO_LOG, "the log of a job with the same id")
    same((await subject.get(request.id)).progress, None, "the progress of a job with the same id")


async def a_report_of_nothing_changes_nothing(subject: Subject) -> None:
    await subject.enqueue()
    await subject.claim_one()
    before = await subject.everything()
    await tell(subject)
    same(await subject.everything(), before, "the storage after an empty report")


async def thousands_of_jobs_report_in_one_message(subject: Subject) -> None:
    await subject.insert(*(subject.request() for _ in range(2_000)))
    jobs = (await subject.claim()).jobs
    ended = [jobs[position] for position in (7, 998, 1_999)]
    await subject.complete_all(successes(*ended))
    reply = await subject.expect(Reported, report(*(said(job, 50.0) for job in jobs)))
    same(sorted(reply.refused), sorted(ids(ended)), "what is refused of the report")
    found = await subject.storage.read(Get(ids(jobs)))
    heard = [job for job in found.jobs if job.progress == Progress(50.0, "50.0 of it")]
    same(len(heard), 1_997, "the number of jobs whose progress is kept")


async def thousands_of_lines_go_in_one_report(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    many = lines(1, 2_000)
    await subject.expect(Reported, Report([said(job, None, many)], len(many), 1_000_000))
    same(await log_of(subject, request.id), (many, 0), "the log")


REPORTING_CHECKS = (
    the_last_progress_reported_is_kept,
    progress_outlives_the_attempt,
    a_report_is_refused_without_a_valid_lease,
    one_refused_saying_does_not_harm_the_others,
    a_report_goes_before_the_outcome_in_its_group,
    a_job_whose_cancellation_was_asked_for_may_still_report,
    a_log_keeps_its_newest_lines,
    a_log_keeps_no_more_bytes_than_it_may,
    what_is_told_again_is_kept_once,
    a_log_goes_on_in_the_next_attempt,
    reports_are_deleted_with_their_job,
    a_report_of_nothing_changes_nothing,
    thousands_of_jobs_report_in_one_message,
    thousands_of_lines_go_in_one_report,
)
