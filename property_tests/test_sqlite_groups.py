"""A group that SQLite is told the quick way, and one that it is told the careful way, are one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from trio_gusto.model.ids import JobId
from trio_gusto.model.job import ClaimedJob, Details, JobRequest
from trio_gusto.model.states import (
    Cancelled,
    Completed,
    Condition,
    Ready,
    Scheduled,
    State,
    Waiting,
)
from trio_gusto.storage.lease_messages import Renew, RequestCancel
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Complete,
    Completions,
    Insert,
    Write,
)
from trio_gusto.storage.sqlite.connection import MEMORY, Location, open_writer
from trio_gusto.storage.sqlite.writes import Writer

NOW = 1_700_000_000_000_000

ids = st.integers(0, 15).map(lambda number: JobId(number.to_bytes(16, "big")))
usually_none = st.none() | st.none() | st.none()
details = usually_none | st.builds(
    Details, st.none() | st.sampled_from("rs"), st.sampled_from([(), ("t",)])
)
requests = st.builds(
    JobRequest,
    ids,
    st.sampled_from(["x", "x", "y"]),
    st.sampled_from(["[]", "[]", "[1]", "[]", "[2]", "\ud800"]),
    st.just(NOW - 5),
    st.integers(1, 3),
    expire_on=usually_none | st.integers(NOW, NOW + 1),
    queue=st.sampled_from("aaab"),
    priority=st.sampled_from([0, 0, 1]),
    details=details,
)
ready = st.builds(Ready, st.integers(NOW - 2, NOW))
states: st.SearchStrategy[State] = st.one_of(
    ready, ready, ready, st.builds(Ready, st.just(NOW + 1)),
    st.builds(Scheduled, st.integers(NOW - 1, NOW + 1)), st.just(Waiting()),
    st.builds(Waiting, st.lists(ids, max_size=2).map(tuple), st.sampled_from(Condition)),
)  # fmt: skip
inserts = st.lists(st.tuples(requests, states), max_size=3).map(
    lambda jobs: Insert([request for request, _ in jobs], [state for _, state in jobs])
)
plain_inserts = st.builds(
    lambda id_, priority, due, details: Insert(
        [JobRequest(id_, "x", "[]", NOW, 2, priority=priority, details=details)], [Ready(due)]
    ),
    ids,
    st.integers(0, 1),
    st.integers(NOW - 1, NOW),
    details,
)
claims = st.builds(
    ClaimDue,
    st.just("node"),
    st.just(NOW),
    st.just(NOW + 9),
    st.sampled_from([0, 1, 2, 5, 99]),
    st.sampled_from([0, 1, 5, 99]),
    st.sampled_from([None, None, [("a", 2)], [("a", 1), ("b", 1), ("default", 1)]]),
    st.sampled_from([(), (), ("y",)]),
)
endings: st.SearchStrategy[State] = st.sampled_from(
    [
        *[Completed(NOW + 2, NOW + 1, NOW, "node", result, None) for result in (None, "1") * 2],
        Ready(NOW),
        Cancelled(NOW, "enough"),
    ]
)
tokens = st.sampled_from([0, 1, 1, 1, 2])
commits = st.builds(Commit, ids, tokens, endings, st.just(1))
others = st.one_of(
    st.builds(RequestCancel, ids, tokens, st.just("why")),
    st.builds(
        Renew, st.just("node"), st.just(NOW), st.just(NOW + 20), st.lists(st.tuples(ids, tokens))
    ),
)


@attrs.frozen
class Success:
    """The end of an attempt under a claim that will be known by then (`Known`): the ``pick``-th.

    Some are told under another token, or as if another node had run them.
    """

    pick: int
    result: str | None
    result_error: str | None
    is_stale: bool
    attempt: int
    node: str

    def of(self, claims: Sequence[ClaimedJob]) -> tuple[ClaimedJob, Completed]:
        claim = claims[self.pick]
        claim = attrs.evolve(claim, token=claim.token - self.is_stale, attempt=self.attempt)
        state = Completed(
            NOW + 2, NOW + 1, claim.claimed_at, self.node, self.result, self.result_error
        )
        return claim, state


Successes = list[Success]
"""To be told in one `Complete`."""

often_false = st.sampled_from([False] * 7 + [True])
successes = st.builds(
    Success,
    st.integers(0, 6),
    st.sampled_from([None, None, None, "1", "", "\ud800"]),
    st.sampled_from([None, None, None, None, "odd"]),
    often_false,
    st.sampled_from([1] * 7 + [2]),
    st.sampled_from(["node"] * 7 + ["elsewhere"]),
)
completions = st.lists(successes, max_size=5)
good_completions = st.lists(
    st.builds(
        Success,
        st.integers(0, 4),
        st.sampled_from([None, None, "1"]),
        st.none(),
        st.just(value=False),
        st.just(1),
        st.just("node"),
    ),
    max_size=4,
    unique_by=lambda success: success.pick,
)
plain_successes = st.builds(Commit, ids, st.just(1), endings, st.just(1)).filter(
    lambda commit: isinstance(commit.state, Completed)
)

writes: st.SearchStrategy[Write | Successes] = st.one_of(
    plain_inserts, plain_inserts, inserts, claims, claims, commits, completions, completions, others
)
# Most groups of a busy app: new jobs, old ones that have ended, and a claim for all that there is.
usual = st.builds(
    lambda jobs, done, order, claim, more: [
        *order.sample([*jobs, *done], len(jobs) + len(done)),
        claim,
        *more,
    ],
    st.lists(
        plain_inserts,
        min_size=1,
        max_size=3,
        unique_by=lambda insert: tuple(request.id for request in insert.requests),
    ),
    st.lists(
        st.one_of(good_completions, good_completions, completions, plain_successes), max_size=2
    ),
    st.randoms(use_true_random=False),
    st.builds(ClaimDue, st.just("node"), st.just(NOW), st.just(NOW + 9), st.just(99), st.just(99)),
    st.lists(writes, max_size=2),
)
groups = st.lists(
    st.one_of(usual, usual, st.lists(writes, min_size=1, max_size=8)), min_size=2, max_size=5
)


class Known:
    """What has been claimed, to make messages of."""

    def __init__(self) -> None:
        self.claims: list[ClaimedJob] = []

    def told(self, drawn: Sequence[Write | Successes]) -> Sequence[Write]:
        """The messages of a group."""
        return [self.complete(write) if isinstance(write, list) else write for write in drawn]

    def complete(self, successes: Successes) -> Complete:
        pairs = [it.of(self.claims) for it in successes if it.pick < len(self.claims)]
        return Complete([claim for claim, _ in pairs], [state for _, state in pairs])

    def hear(self, replies: Sequence[Any], writer: Writer) -> None:
        """What is held comes first."""
        for reply in replies:
            if isinstance(reply, ClaimReply):
                self.claims += reply.jobs
        held = [lease[1] for lease in writer._leases._leases.values()]
        self.claims.sort(key=lambda claim: claim not in held)


def seen(reply: Any) -> Any:
    if isinstance(reply, Completions):
        refused = {position: seen(refusal) for position, refusal in reply.refused.items()}
        return (refused, sorted(reply.awaited))
    return (type(reply), str(reply)) if isinstance(reply, Exception) else reply


def tables(writer: Writer) -> list[Any]:
    return [
        writer.connection.execute(f"SELECT * FROM {table}").fetchall()
        for table in ("job", "attempt", "handler", "node", "dependency")
    ]


@given(groups)
def test_what_is_done_quickly_is_what_is_done_carefully(
    groups: list[list[Write | Successes]],
) -> None:
    known = Known()
    with ExitStack() as stack:
        quick, careful = (
            Writer(stack.enter_context(closing(open_writer(Location(MEMORY, "FULL", 1), wait=1))))
            for _ in range(2)
        )
        for drawn in groups:
            group = known.told(drawn)
            found = quick.apply(group)
            wanted = careful._transact(careful._steps.carefully, group)
            assert [*map(seen, found)] == [*map(seen, wanted)]
            assert tables(quick) == tables(careful)
            assert quick._leases._leases == careful._leases._leases
            known.hear(found, quick)


@given(groups)
def test_successes_together_are_what_they_are_one_by_one(
    groups: list[list[Write | Successes]],
) -> None:
    known = Known()
    with ExitStack() as stack:
        together, apart = (
            Writer(stack.enter_context(closing(open_writer(Location(MEMORY, "FULL", 1), wait=1))))
            for _ in range(2)
        )
        for drawn in groups:
            group = known.told(drawn)
            found = together.apply(group)
            wanted: list[Any] = []
            for write in group:
                if isinstance(write, Complete):
                    replies: list[Any] = [*apart.apply(write.commits())]
                    wanted.append(Completions.of(replies))
                else:
                    wanted += apart.apply([write])
            assert [*map(seen, found)] == [*map(seen, wanted)]
            assert tables(together) == tables(apart)
            assert together._leases._leases == apart._leases._leases
            known.hear(found, together)
