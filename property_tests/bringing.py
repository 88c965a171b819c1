"""New jobs of every kind that can come with a success, for the machine of `callback_agreement`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import strategies as st

from property_tests.side_by_side import SideBySide
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import ClaimedJob, Details, JobRequest
from trio_gusto.model.lifecycle import admit
from trio_gusto.model.states import Condition, State, Waiting
from trio_gusto.model.uniqueness import OnConflict, key_of

ways = st.sampled_from(OnConflict)

HARMLESS = ("plain", "plain", "later", "after the first", "after its job", "after another")
"""Kinds of children that nothing can refuse, where the others are harmless, too."""

HOPELESS = ("taken", "twice", "after nobody")
"""Kinds of which one is enough for a refusal."""

kinds = st.sampled_from([*HARMLESS, "key", "key", "ref"]) | st.sampled_from(HOPELESS)


class Bringing(SideBySide):
    """Makes requests, and children for a lease."""

    def request(self, details: Details | None = None, **changes: Any) -> JobRequest:
        self.made += 1
        job_id = uuid7(self.now * 1000, self.made)
        return JobRequest(job_id, "f", "[[],{}]", self.now, 1_000_000, details=details, **changes)

    def children(
        self, draw: Any, lease: ClaimedJob, drawn: Sequence[str]
    ) -> list[tuple[JobRequest, State]]:
        children: list[tuple[JobRequest, State]] = []
        for kind in drawn:
            new = self.request()
            match kind:
                case "later":
                    new = attrs.evolve(new, execute_after=self.now + 3)
                case "key":
                    key, on_conflict = draw(st.sampled_from("kl")), draw(ways).value
                    new = attrs.evolve(
                        new, details=Details(unique_key=key, on_conflict=on_conflict)
                    )
                case "ref":
                    ref = draw(st.sampled_from("rs"))
                    new = attrs.evolve(new, details=Details(ref_id=ref))
                case "taken":
                    new = _without_key(next(iter(self.jobs.values())).request)
                case "twice":
                    last = children[-1][0] if children else lease.request
                    new = last if key_of(last) is None else _without_key(lease.request)
                case _:
                    pass
            parent = (
                {
                    "after the first": children[0][0].id if children else None,
                    "after its job": lease.request.id,
                    "after another": draw(st.sampled_from([*self.jobs, *self.live_batches()])),
                    "after nobody": uuid7(0, 7),
                }.get(kind)
                if kind.startswith("after")
                else None
            )
            if parent is None:
                children.append((new, admit(new)))
            else:
                waits = Waiting((parent,), draw(st.sampled_from(Condition)))
                request = attrs.evolve(new, details=Details(parents=(parent,)))
                children.append((request, waits))
        return children

    def live_batches(self) -> list[JobId]:
        """Batches that have jobs still: others may be forgotten."""
        kept = {
            None if job.request.details is None else job.request.details.batch
            for job in self.jobs.values()
        }
        return [batch for batch in self.batches if batch in kept]


def _without_key(request: JobRequest) -> JobRequest:
    """One with a key may give way, to itself even, and then it is no duplicate."""
    return request if key_of(request) is None else attrs.evolve(request, details=None)
