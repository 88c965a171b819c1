"""A claim says what it asks for when it goes, and its answer finds the way back."""

from __future__ import annotations

from typing import Any, cast

import trio
from trio.testing import MockClock

from trio_gusto.actors.claim_letter import ClaimLetter
from trio_gusto.actors.poller import Poller
from trio_gusto.storage.messages import ClaimDue, ClaimReply


class Asking:
    """The part of a poller that a claim knows."""

    def __init__(self) -> None:
        self.asked_at: list[float] = []
        self.answers: list[tuple[ClaimLetter, object]] = []

    def claim(self) -> ClaimDue:
        self.asked_at.append(trio.current_time())
        return ClaimDue("node", 0, 10, limit=3, free=3)

    def answered(self, letter: ClaimLetter, reply: Any) -> None:
        self.answers.append((letter, reply))


async def test_what_a_claim_asks_for_is_said_as_it_goes(autojump_clock: MockClock) -> None:
    poller = Asking()
    letter = ClaimLetter(cast("Poller", poller))
    assert (letter.is_sealed, letter.is_for_more, letter.pauses) == (False, False, ())
    assert letter.asked_at == letter.told_at == trio.current_time()
    await trio.sleep(2)
    assert letter.seal() == ClaimDue("node", 0, 10, limit=3, free=3)
    assert letter.is_sealed is True
    assert poller.asked_at == [letter.asked_at] == [letter.told_at + 2]


async def test_the_reply_to_a_claim_goes_to_who_has_made_it() -> None:
    poller, reply = Asking(), ClaimReply([], more=False, next_due=None)
    letter = ClaimLetter(cast("Poller", poller))
    letter.deliver(reply)
    assert poller.answers == [(letter, reply)]
