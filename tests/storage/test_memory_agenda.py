"""An agenda of `MemoryStorage`: jobs in the order of an instant, and what becomes of those that moved."""

from __future__ import annotations

from itertools import permutations

import pytest

from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import JobRequest, StoredJob
from trio_gusto.model.states import Cancelled, Ready, Scheduled
from trio_gusto.storage.memory import agenda as module
from trio_gusto.storage.memory.agenda import Agenda, ready_since, take_in_one_order

LATE = 1_000


@pytest.fixture(autouse=True)
def few_strays_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW", 3)


def make_job(sequence: int, due: int) -> StoredJob:
    request = JobRequest(uuid7(sequence * 1_000_000, 1), "f", "[]", 0, 1)
    return StoredJob(request, sequence, Ready(due))


def agenda_of(*jobs: StoredJob) -> Agenda:
    agenda = Agenda(ready_since)
    for job in jobs:
        agenda.add(job, due(job))
    return agenda


def due(job: StoredJob) -> int:
    assert isinstance(job.state, Ready)
    return job.state.due


def sequences(jobs: list[StoredJob]) -> list[int]:
    return [job.sequence for job in jobs]


def call_off(agenda: Agenda, *jobs: StoredJob) -> None:
    for job in jobs:
        agenda.lose(job)
        job.state = Cancelled(0, "no")


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_jobs_come_by_instant_and_then_by_sequence_however_they_were_added(
    order: tuple[int, ...],
) -> None:
    jobs = [make_job(3, 5), make_job(1, 7), make_job(2, 7), make_job(4, 7)]
    at_once = agenda_of(*(jobs[position] for position in order))
    assert sequences(at_once.take_up_to(9, LATE)) == [3, 1, 2, 4]
    one_by_one = agenda_of(*(jobs[position] for position in order))
    found: list[int] = []
    while (first := one_by_one.first()) is not None:
        assert first == (due(first[2]), first[2].sequence, first[2])
        one_by_one.drop_first()
        found.append(first[1])
    assert found == [3, 1, 2, 4]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)], ids=["in order", "backwards"])
def test_no_more_jobs_are_taken_than_asked_for_and_none_that_is_due_later(
    order: tuple[int, ...],
) -> None:
    jobs = [make_job(number, number) for number in range(3)]
    agenda = agenda_of(*(jobs[position] for position in order))
    assert sequences(agenda.take_up_to(2, 0)) == [0]
    assert agenda.take(0) is None
    assert sequences(agenda.take_up_to(1, LATE)) == [1]
    assert agenda.take(2) is jobs[2]
    assert (agenda.take(LATE), agenda.first(), len(agenda)) == (None, None, 0)


def test_it_is_true_also_when_it_is_empty() -> None:
    assert agenda_of()


def test_its_length_counts_the_jobs_that_came_in_order_and_the_others() -> None:
    assert len(agenda_of(make_job(1, 9), make_job(2, 7), make_job(3, 8))) == 3


@pytest.mark.parametrize("is_first", [True, False], ids=["early", "in line"])
def test_a_job_that_is_written_down_twice_is_there_once(*, is_first: bool) -> None:
    twice, other = make_job(1, 5), make_job(2, 4 if not is_first else 6)
    for agenda in (agenda_of(other, twice, twice), agenda_of(twice, other, twice)):
        assert len(agenda) == 3
        assert set(sequences(agenda.take_up_to(2, LATE))) == {1, 2}
        assert agenda.first() is None
        assert len(agenda) == 0


@pytest.mark.parametrize("others", [[], [9], [1]], ids=["alone", "before another", "behind"])
def test_who_drops_the_first_drops_what_was_written_down_twice(others: list[int]) -> None:
    twice = make_job(1, 5)
    agenda = agenda_of(twice, *(make_job(2, due) for due in others), twice)
    found: list[int] = []
    while (first := agenda.first()) is not None:
        found.append(first[1])
        agenda.drop_first()
    assert sorted(found) == [1, 2][: 1 + len(others)]
    assert len(agenda) == 0


def test_a_job_that_moved_is_where_it_is_now() -> None:
    job, other = make_job(1, 5), make_job(2, 6)
    agenda = agenda_of(job, other)
    agenda.lose(job)
    job.state = Ready(7)
    agenda.add(job, 7)
    assert agenda.jobs() == [other, job]
    assert sequences(agenda.take_up_to(9, LATE)) == [2, 1]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 2, 1)], ids=str)
def test_a_job_that_was_called_off_is_not_met(order: tuple[int, ...]) -> None:
    def without_the_first() -> tuple[Agenda, list[StoredJob]]:
        jobs = [make_job(number, number) for number in range(3)]
        agenda = agenda_of(*(jobs[position] for position in order))
        call_off(agenda, jobs[0])
        return agenda, jobs[1:]

    agenda, left = without_the_first()
    assert agenda.first() == (1, 1, left[0])
    assert len(agenda) == 2, "the stray is dropped when its turn comes"
    agenda, left = without_the_first()
    assert agenda.take(LATE) is left[0]
    agenda, left = without_the_first()
    assert agenda.take_up_to(2, LATE) == left
    agenda, left = without_the_first()
    assert sorted(agenda.jobs(), key=due) == left


def test_a_few_strays_are_put_up_with_and_again_once_it_was_tidied_up() -> None:
    agenda = agenda_of()
    for _ in range(2):
        for left in (1, 2, 3, 0):
            job = make_job(left, left)
            agenda.add(job, left)
            call_off(agenda, job)
            assert len(agenda) == left


def test_it_is_tidied_up_when_more_than_three_quarters_are_strays() -> None:
    jobs = [make_job(number, number) for number in range(8)]
    agenda = agenda_of(*jobs)
    call_off(agenda, *jobs[:6])
    assert len(agenda) == 8
    call_off(agenda, jobs[6])
    assert len(agenda) == 1
    assert agenda.first() == (7, 7, jobs[7])


@pytest.mark.parametrize("is_taken", [False, True], ids=["looked at", "taken"])
def test_strays_that_were_dropped_count_no_more(is_taken: bool) -> None:
    jobs = [make_job(number, number) for number in range(20)]
    agenda = agenda_of(*jobs)
    for job in jobs[0:16:2]:
        call_off(agenda, job)
        if is_taken:
            assert agenda.take(LATE) is not None
        else:
            assert agenda.first() is not None
            agenda.drop_first()
    assert len(agenda) == 4
    call_off(agenda, *jobs[16:19])
    assert len(agenda) == 4, "three are few"
    assert sequences(agenda.take_up_to(2, LATE)) == [19]
    assert len(agenda) == 0


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
def test_what_is_left_when_it_was_tidied_up_is_in_order(*, backwards: bool) -> None:
    jobs = [make_job(number, number + 20) for number in range(30)]
    agenda = agenda_of(*(reversed(jobs) if backwards else jobs))
    agenda.add(jobs[-1], due(jobs[-1]))  # twice
    call_off(agenda, *jobs[3:27])
    assert len(agenda) == 6
    late = make_job(99, 35)
    agenda.add(late, 35)
    assert sequences(agenda.take_up_to(9, 46)) == [0, 1, 2, 99]
    assert agenda.first() == (47, 27, jobs[27])
    assert sequences(agenda.take_up_to(9, LATE)) == [27, 28, 29]


def test_the_last_one_lost_is_struck_out_though_it_looks_as_if_it_stood_there() -> None:
    """It changes only when all agendas have let go of it."""
    jobs = [make_job(number, number) for number in range(4)]
    agenda = agenda_of(*jobs)
    call_off(agenda, *jobs[:3])
    agenda.lose(jobs[3])
    assert len(agenda) == 0


def test_several_agendas_are_taken_in_one_order() -> None:
    odd = [make_job(number, number) for number in (1, 3, 5)]
    even = [make_job(number, number) for number in (0, 2, 4, 6)]
    agendas = [agenda_of(*odd), agenda_of(*even), agenda_of()]
    assert sequences(take_in_one_order(agendas, 4, 2)) == [0, 1, 2]
    assert sequences(take_in_one_order(agendas, 3, LATE)) == [3, 4, 5]
    assert sequences(take_in_one_order(agendas, 9, LATE)) == [6]
    assert take_in_one_order(agendas, 9, LATE) == []
    assert take_in_one_order([agenda_of()], 9, LATE) == []


def test_a_job_that_stands_in_two_agendas_is_taken_once() -> None:
    first, both, last = (make_job(number, number) for number in range(3))
    agendas = [agenda_of(first, both), agenda_of(both, last)]
    assert take_in_one_order(agendas, 9, LATE) == [first, both, last]


def test_jobs_are_those_that_hold() -> None:
    held = [make_job(1, 5), make_job(2, 4), make_job(3, 6)]
    moved = make_job(4, 7)
    agenda = agenda_of(*held, moved)
    moved.state = Scheduled(7)
    assert sorted(sequences(list(agenda.jobs()))) == [1, 2, 3]
