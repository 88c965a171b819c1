"""Promises about dossiers: what was found where an attempt did not end in time."""

from __future__ import annotations

from ...model.ids import JobId
from ...model.job import ClaimedJob
from ...model.outcomes import AttemptOutcome
from ...model.states import Ready
from ...storage.messages import Committed
from ...storage.report_messages import DossiersFound, ReadDossiers, Report, Reported, Saying
from ...storage.retention_messages import Prune, Pruned
from .subject import EVERYTHING, NOW, SECOND, Subject, put_back, same, success

MOST = 3


def filed(job: ClaimedJob, text: str) -> Report:
    return Report([Saying(job.request.id, job.token, None, dossier=text)], 5, 100, MOST)


async def file(subject: Subject, job: ClaimedJob, text: str) -> None:
    reported = await subject.expect(Reported, filed(job, text))
    same(list(reported.refused), [], "what is refused of a dossier under a valid lease")


async def dossiers_of(subject: Subject, job_id: JobId) -> dict[int, str]:
    found = await subject.storage.read(ReadDossiers(job_id))
    if not isinstance(found, DossiersFound):
        raise AssertionError(f"ReadDossiers should be answered with DossiersFound, not {found!r}")
    same(list(found.dossiers), sorted(found.dossiers), "the order of dossiers")
    return dict(found.dossiers)


async def run_again(subject: Subject, job: ClaimedJob) -> ClaimedJob:
    await subject.expect(Committed, put_back(job, Ready(NOW), AttemptOutcome.TIMED_OUT))
    return await subject.claim_one()


async def the_last_dossier_of_each_attempt_is_kept(subject: Subject) -> None:
    request = await subject.enqueue()
    first = await subject.claim_one()
    await file(subject, first, "timed out")
    await file(subject, first, "still runs\n  ü\0")
    same(await dossiers_of(subject, request.id), {first.token: "still runs\n  ü\0"}, "the dossiers")
    second = await run_again(subject, first)
    await file(subject, second, "again")
    kept = {first.token: "still runs\n  ü\0", second.token: "again"}
    same(await dossiers_of(subject, request.id), kept, "the dossiers of two attempts")
    await subject.complete(second)
    same(await dossiers_of(subject, request.id), kept, "the dossiers of a job that has ended")


async def a_dossier_is_of_one_job(subject: Subject) -> None:
    await subject.enqueue()
    await subject.enqueue()
    one, other = (await subject.claim()).jobs
    await file(subject, one, "one")
    same(await dossiers_of(subject, one.request.id), {one.token: "one"}, "the dossiers")
    same(await dossiers_of(subject, other.request.id), {}, "the dossiers of another job")
    same(await dossiers_of(subject, subject.request().id), {}, "the dossiers of no job")
    version = (await subject.get(one.request.id)).version
    same(version, one.token, "the version after a dossier")


async def dossiers_are_kept_of_the_newest_attempts(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    tokens: list[int] = []
    for number in range(MOST + 2):
        await file(subject, job, f"attempt {number}")
        tokens.append(job.token)
        job = await run_again(subject, job)
    kept = {token: f"attempt {number}" for number, token in enumerate(tokens)}
    newest = {token: kept[token] for token in tokens[-MOST:]}
    same(await dossiers_of(subject, request.id), newest, "the dossiers of many attempts")


async def a_dossier_is_refused_without_a_valid_lease(subject: Subject) -> None:
    request = await subject.enqueue()
    first = await subject.claim_one()
    second = await run_again(subject, first)
    await subject.complete(second)
    for stale in (first, second):
        reply = await subject.expect(Reported, filed(stale, "too late"))
        same(list(reply.refused), [request.id], "what is refused of a dossier without a lease")
    same(await dossiers_of(subject, request.id), {}, "the dossiers after refused ones")


async def a_dossier_goes_before_the_outcome_in_its_group(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    replies = await subject.apply([filed(job, "late, but whole"), success(job)])
    same([type(reply) for reply in replies], [Reported, Committed], "the kinds of replies")
    same(await dossiers_of(subject, request.id), {job.token: "late, but whole"}, "the dossiers")


async def dossiers_are_deleted_with_their_job(subject: Subject) -> None:
    request = await subject.enqueue()
    job = await subject.claim_one()
    await file(subject, job, "where it hangs")
    await subject.complete(job)
    await subject.expect(Pruned, Prune(NOW + SECOND, EVERYTHING))
    same(await dossiers_of(subject, request.id), {}, "the dossiers of a deleted job")
    await subject.insert(request)
    same(await dossiers_of(subject, request.id), {}, "the dossiers of a job with the same id")


DOSSIER_CHECKS = (
    the_last_dossier_of_each_attempt_is_kept,
    a_dossier_is_of_one_job,
    dossiers_are_kept_of_the_newest_attempts,
    a_dossier_is_refused_without_a_valid_lease,
    a_dossier_goes_before_the_outcome_in_its_group,
    dossiers_are_deleted_with_their_job,
)
