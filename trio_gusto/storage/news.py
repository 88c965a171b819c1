"""What a write is to those who did not make it: kinds of news.

A storage that can tell says with `Storage.wait_changed` not only that others have changed something, but
what. It may say more than has happened, never less: each kind wakes those who look at such things,
and they look for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Flag, auto

from ..model.errors import GustoError
from ..model.job import JobRequest
from ..model.lanes import makes_others_wait
from ..model.states import Ready, Scheduled, State, Waiting
from .batch_messages import Discard, Stage
from .lease_messages import Renew
from .messages import (
    ClaimDue,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
    Write,
    WriteReply,
)
from .report_messages import Report
from .retention_messages import Prune
from .schedule_messages import Fire


class News(Flag):
    """Kinds of news, to be joined with ``|``."""

    CLAIMABLE = auto()
    """There may be more to claim: now, or at an instant that was not known."""
    ENDED = auto()
    """A job has ended."""
    AWAITED = auto()
    """A job that others wait for may have ended."""
    SCHEDULES = auto()
    """A schedule may be due sooner than was known, or a job waits for another of its schedule."""
    DEADLINES = auto()
    """There is a new ``expire_on``, or a node has left, which may have held leases."""
    WISHES = auto()
    """Running jobs were called off, or something was paused."""


NOTHING = News(0)
EVERYTHING = ~NOTHING

_QUIET = (ClaimDue, Renew, Report, Stage, Discard, Prune)
"""What nobody else wants to hear of. If claims and renewals were news, nodes would wake each other."""

_REFUSALS = (Conflict, GustoError)


def news_of(writes: Iterable[Write], replies: Iterable[WriteReply | GustoError]) -> News:
    """What a group of writes is to others, after it was performed. Refused writes are nothing."""
    news = NOTHING
    for write, reply in zip(writes, replies, strict=True):
        if not isinstance(write, _QUIET) and not isinstance(reply, _REFUSALS):
            news |= _news_of(write, reply)
    return news


def _news_of(write: Write, reply: WriteReply) -> News:
    """What is told of most by far is looked at closely."""
    match write, reply:
        case Complete(), Completions():
            return _of_successes(write, reply)
        case Insert(), Inserted():
            return _of_new_jobs(write, reply)
        case Fire(), _:
            return _of_firing(write)
        case _:
            return EVERYTHING


def _of_successes(complete: Complete, reply: Completions) -> News:
    if len(reply.refused) == len(complete.claims):
        return NOTHING
    news = News.ENDED
    if reply.awaited:
        news |= News.AWAITED
    if any(makes_others_wait(claimed.request) for claimed in complete.claims):
        news |= News.CLAIMABLE
    return news


def _of_new_jobs(insert: Insert, reply: Inserted) -> News:
    jobs = enumerate(zip(insert.requests, insert.states, strict=True))
    news = _of_jobs([job for position, job in jobs if position not in reply.existing])
    if reply.replaced:
        news |= News.ENDED | News.CLAIMABLE  # it may have stood before others in its lane
    if reply.awaited:
        news |= News.AWAITED
    return news


def _of_firing(fire: Fire) -> News:
    """Its next instant is later now, and whoever still looks at the former one sees that then."""
    news = _of_jobs(list(zip(fire.requests, fire.states, strict=True)))
    return news | News.SCHEDULES if News.AWAITED in news else news


def _of_jobs(jobs: Sequence[tuple[JobRequest, State]]) -> News:
    is_claimable = any(isinstance(state, Ready | Scheduled) for _, state in jobs)
    news = News.CLAIMABLE if is_claimable else NOTHING
    if any(isinstance(state, Waiting) for _, state in jobs):
        news |= News.AWAITED  # what they wait for may have ended before
    if any(state.word.is_ended for _, state in jobs):
        news |= News.ENDED
    if any(request.expire_on is not None for request, _ in jobs):
        news |= News.DEADLINES
    return news
