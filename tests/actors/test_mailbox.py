"""Mailboxes take without waiting and give everything at once; letters bring an answer home."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto.actors.mailbox import Letter, Mailbox


async def test_what_waits_is_taken_in_one_go_and_in_order() -> None:
    mailbox = Mailbox[int]()
    assert mailbox.is_empty()
    for number in range(3):
        mailbox.tell(number)
    assert not mailbox.is_empty()
    assert await mailbox.take_all() == [0, 1, 2]
    assert mailbox.take_waiting() == []


async def test_its_owner_is_woken_by_the_first_message_and_finds_its_neighbours_too() -> None:
    mailbox = Mailbox[int]()
    taken: list[list[int]] = []

    async def own() -> None:
        taken.append(await mailbox.take_all())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(own)
        await wait_all_tasks_blocked()
        mailbox.tell(1)
        mailbox.tell(2)
    assert taken == [[1, 2]]


async def test_what_comes_last_is_taken_after_all_that_came_meanwhile() -> None:
    mailbox = Mailbox[int]()
    mailbox.tell_last(9)
    assert not mailbox.is_empty()
    assert await mailbox.take_all() == []
    mailbox.tell(1)
    assert mailbox.take_waiting() == [1]
    assert mailbox.take_last() == [9]
    assert mailbox.is_empty()


async def test_what_is_put_back_comes_before_what_has_come_meanwhile() -> None:
    mailbox = Mailbox[int]()
    mailbox.tell(3)
    mailbox.tell_last(9)
    mailbox.put_back([1, 2], [8])
    assert mailbox.take_waiting() == [1, 2, 3]
    assert mailbox.take_last() == [8, 9]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("wake", [True, False])
async def test_an_owner_may_be_let_sleep_through_what_is_put_in(wake: bool, last: bool) -> None:
    mailbox = Mailbox[int]()
    taken: list[list[int]] = []

    async def own() -> None:
        taken.append(await mailbox.take_all())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(own)
        await wait_all_tasks_blocked()
        assert mailbox.is_attended()
        mailbox.hush()
        assert not mailbox.is_attended()
        (mailbox.tell_last if last else mailbox.tell)(1)
        await wait_all_tasks_blocked()
        assert taken == []
        mailbox.unhush(wake=wake)
        assert mailbox.is_attended() is not wake
        await wait_all_tasks_blocked()
        assert taken == ([[] if last else [1]] if wake else [])
        (mailbox.tell_last if last else mailbox.tell)(2)
    assert taken == [[] if last else [1] if wake else [1, 2]]


async def test_nobody_is_woken_where_nobody_owns() -> None:
    mailbox = Mailbox[int]()
    mailbox.unhush(wake=False)
    assert not mailbox.is_attended()
    mailbox.hush()
    mailbox.unhush(wake=True)
    assert not mailbox.is_attended()


async def test_an_owner_that_is_cancelled_takes_nothing_with_it() -> None:
    mailbox = Mailbox[int]()
    with trio.move_on_after(0):
        await mailbox.take_all()
    mailbox.tell(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.take_all()
    assert scope.cancelled_caught
    assert await mailbox.take_all() == [1]


async def test_a_letter_s_answer_is_waited_for() -> None:
    letter = Letter[str, int]("how many?")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_all_tasks_blocked)

        async def answer() -> None:
            await wait_all_tasks_blocked()
            letter.deliver(7)

        nursery.start_soon(answer)
        assert await letter.answer() == 7


async def test_an_answer_that_is_there_already_is_not_waited_for() -> None:
    letter = Letter[str, int]("how many?")
    letter.deliver(7)
    assert await letter.answer() == 7


async def test_an_answer_that_nobody_waits_for_any_more_is_kept() -> None:
    letter = Letter[str, int]("how many?")
    with trio.move_on_after(0) as scope:
        await letter.answer()
    assert scope.cancelled_caught
    letter.deliver(7)
    assert await letter.answer() == 7
