"""Everything that the queries of a storage show, so that two moments can be compared.

Rule 1: what a storage may choose for itself is left out: of sequences and of the numbers of pauses
        only the order is seen.
Rule 2: what depends on who is there at the moment is left out, too: leases are looked at when all of
        them have passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

import attrs

from ....model.ids import JobId
from ....model.job import StoredJob
from ....model.rates import of_key, of_queue
from ....model.triggers import LAST_INSTANT
from ....storage.batch_messages import Batches
from ....storage.dependency_messages import Dependents
from ....storage.finding_messages import Find, Get, Tally
from ....storage.lease_messages import CancelRequests, Stranded
from ....storage.pause_messages import Pauses
from ....storage.rate_messages import Buckets
from ....storage.report_messages import ReadDossiers, ReadLog
from ....storage.run_messages import PastRuns
from ....storage.schedule_messages import FindSchedules
from ....storage.storage import Storage
from ..subject import EVERYTHING

NODES = ("left", "right")
"""The nodes that claim in a play; they are never attached."""

NAMES = ("say_hello", "close_day", "bill")
"""The handlers of jobs in a play."""

BUCKETS = (of_key("api"), of_queue("slow"))
"""The buckets of rate limits in a play."""

FAR = LAST_INSTANT
"""An instant at which all leases and deadlines have passed."""

LONG = 200
"""Characters of a text that is told as a whole where it differs."""

View = Sequence[Any] | Mapping[Any, Any]
"""What one query shows."""

Seen = dict[str, View]
"""What all of them show, by what it is."""


async def seen(storage: Storage, now: int, told: Iterable[JobId] = ()) -> Seen:
    """Everything that can be seen; ``told`` are jobs of which something was reported."""
    listed = (await storage.read(Find(EVERYTHING))).jobs
    order = [job.request.id for job in listed]
    place = {job_id: len(order) - number for number, job_id in enumerate(order)}

    def placed(jobs: Iterable[StoredJob]) -> list[StoredJob]:
        return [
            attrs.evolve(job, sequence=place.get(job.request.id, 0), history=tuple(job.history))
            for job in jobs
        ]

    whole = {job.request.id: job for job in placed((await storage.read(Get(order))).jobs)}
    stranded = await storage.read(Stranded(NODES[0], FAR, EVERYTHING))
    schedules = await storage.read(FindSchedules(EVERYTHING))
    due = await storage.read(FindSchedules(EVERYTHING, due_by=now))
    waiting = await storage.read(Dependents(EVERYTHING))
    pauses = await storage.read(Pauses(now))
    found: Seen = {
        "the jobs": [whole.get(job_id) for job_id in order],
        "the jobs in a list": placed(listed),
        "the jobs by state, queue and tenant": dict((await storage.read(Tally())).counts),
        "the jobs whose leases have passed": placed(sorted(stranded.lost, key=id_of)),
        "the jobs whose deadlines have passed": placed(sorted(stranded.overdue, key=id_of)),
        "the stages left behind": sorted(stranded.stages),
        "the jobs whose wait may be over": [
            attrs.evolve(each, job=placed([each.job])[0], parents=dict(each.parents))
            for each in waiting.jobs
        ],
        "the schedules": schedules.found,
        "the jobs held for their schedules": schedules.held,
        "the due schedules, and the next instant": [due.found, due.next_at],
        "the batches": [
            attrs.evolve(batch, counts=dict(batch.counts))
            for batch in (await storage.read(Batches(EVERYTHING))).batches
        ],
        "the pauses": [attrs.evolve(pause, number=0) for pause in pauses.pauses],
        "the nodes that have not heard of them": list(pauses.unheard),
    }
    for node in NODES:
        asked = (await storage.read(CancelRequests(node))).cancels
        found[f"what is asked of the node {node}"] = sorted(asked)
    for name in NAMES:
        runs = await storage.read(PastRuns(name, None, EVERYTHING, EVERYTHING))
        found[f"the earlier runs of {name}"] = list(runs.durations)
    if storage.keeps_reports:
        for job_id in told:
            log = await storage.read(ReadLog(job_id))
            found[f"the log of {job_id.hex()}"] = [list(log.lines), log.dropped]
            dossiers = await storage.read(ReadDossiers(job_id))
            found[f"the dossiers of {job_id.hex()}"] = dict(dossiers.dossiers)
    if storage.keeps_rates:
        found["the buckets"] = dict((await storage.read(Buckets(BUCKETS, now))).buckets)
    return found


def id_of(job: StoredJob) -> JobId:
    """What jobs are sorted by that come in any order."""
    return job.request.id


def same_seen(found: Seen, wanted: Seen, when: str) -> None:
    """Raise an AssertionError that tells the first difference, unless the two are equal."""
    for what, view in wanted.items():
        if found.get(what) != view:
            raise AssertionError(f"{what}, {when}: {difference(found.get(what), view)}")


def difference(found: Any, wanted: Any) -> str:
    """What the first difference of two values is, and where in them."""
    if both(Mapping, found, wanted):
        for key in (*wanted, *found):
            if found.get(key) != wanted.get(key):
                return f"for {key!r} {difference(found.get(key), wanted.get(key))}"
    elif both((list, tuple), found, wanted):
        for position, (one, other) in enumerate(zip(found, wanted, strict=False)):
            if one != other:
                return f"at position {position} {difference(one, other)}"
        return f"their number should be {len(wanted)}, but is {len(found)}"
    elif both(str, found, wanted) and max(len(found), len(wanted)) > LONG:
        pairs = zip(found, wanted, strict=False)
        at = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        rest, right = found[at : at + 20], wanted[at : at + 20]
        return f"at character {at} of {len(wanted)} should go on with {right!r}, but is {rest!r}"
    kind = wanted.__class__
    if attrs.has(kind) and both(kind, found, wanted) and name_of(found) == name_of(wanted):
        for field in attrs.fields_dict(kind):
            one, other = getattr(found, field), getattr(wanted, field)
            if one != other:
                return f"{field} {difference(one, other)}"
    return f"should be {named(wanted)}, but is {named(found)}"


def both(kinds: Any, found: object, wanted: object) -> bool:
    """Whether two values are of this kind."""
    return isinstance(found, kinds) and isinstance(wanted, kinds)


def name_of(value: Any) -> str | None:
    """The id of a job in hexadecimal digits, if it is one."""
    name = getattr(getattr(value, "request", None), "id", None)
    return name.hex() if isinstance(name, bytes) else None


def named(value: Any) -> str:
    """A value as a message tells it: jobs by their ids."""
    name = name_of(value)
    return repr(value) if name is None else f"the {type(value).__name__} {name}"
