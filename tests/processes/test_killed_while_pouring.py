"""A process is killed while it pours a batch in: afterwards all of the batch is there, or nothing.

The kill is a real SIGKILL. Two slices are staged, the rest comes with the message that ends the block,
and a continuation waits for all.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.processes.conftest import Workshop
from trio_gusto.queue.staging import SLICE

MANY = 2 * SLICE + 10


def whole_or_nothing(workshop: Workshop) -> bool:
    """Whether the batch is there; and then it runs once, with what waits for it, and nothing is left."""
    count = workshop.count()
    assert count in {0, MANY + 1}
    workshop.work()
    assert workshop.staged() == 0
    words = Counter(workshop.ledger.words())
    assert words == ({"double": MANY, "gather": 1} if count else {})
    if count:
        assert workshop.ledger.words()[-1] == "gather"
    return bool(count)


@pytest.mark.parametrize(
    ("when", "message", "first", "staged"),
    [
        ("before", "Stage", 0, 0),
        ("after", "Stage", 0, SLICE),
        ("before", "Stage", 1, SLICE),
        ("after", "Stage", 1, 2 * SLICE),
        ("before", "InsertBatch", 0, 2 * SLICE),
    ],
)
def test_before_the_block_ended_nothing_is_there_and_what_was_staged_is_swept(
    workshop: Workshop, when: str, message: str, first: int, staged: int
) -> None:
    workshop.killed(works=False, pour=MANY, kill=[when, message, first])
    assert workshop.staged() == staged + bool(staged)
    assert not whole_or_nothing(workshop)


@pytest.mark.parametrize("works", [False, True])
def test_after_the_block_ended_all_of_it_is_there(workshop: Workshop, works: bool) -> None:
    """The dead process may have run some of it."""
    workshop.killed(works=works, pour=MANY, kill=["after", "InsertBatch"])
    assert workshop.staged() == 0
    assert whole_or_nothing(workshop)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("message", "longest"), [("Stage", 0.06), ("InsertBatch", 0.012)])
def test_at_any_instant_it_is_whole_or_nothing(
    workshop: Workshop, message: str, longest: float, seed: int
) -> None:
    seconds = random.Random(f"{message} {seed}").uniform(0, longest)
    workshop.killed(works=False, pour=MANY, kill=["during", message, 0, seconds])
    whole_or_nothing(workshop)


def test_the_next_start_sweeps_what_the_dead_one_has_staged(workshop: Workshop) -> None:
    """In its first look, before it is ready."""
    workshop.killed(works=False, pour=MANY, kill=["after", "Stage"])
    assert workshop.staged() > 0
    later = workshop.start()
    later.hear("ready")
    assert workshop.staged() == 0
