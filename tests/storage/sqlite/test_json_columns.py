"""What is said of JSON that nobody can read, column by column, word for word."""

from __future__ import annotations

import pytest

from trio_gusto.model.failure import JobError
from trio_gusto.storage.rows import error_to_json
from trio_gusto.storage.sqlite.json_columns import (
    arguments_text_fault,
    counts_fault,
    details_text_fault,
    error_text_fault,
    rate_limit_fault,
    result_fault,
    tags_fault,
)

NO_COUNTS = "its counts cannot be read (it is no array of states, queues, tenants and counts)"


@pytest.mark.parametrize("text", ["7", '"ab"', '{"a": "b"}', "[7]", '["a", null]'])
def test_tags_are_an_array_of_texts(text: str) -> None:
    assert tags_fault(text) == "its tags cannot be read (it is no array of texts)"


@pytest.mark.parametrize("text", ["[]", '["a", "b"]'])
def test_tags_may_be_any_texts(text: str) -> None:
    assert tags_fault(text) is None


@pytest.mark.parametrize("state", [-1, 0, 8])
def test_counts_may_be_of_every_state_and_of_all_states(state: int) -> None:
    assert counts_fault(f'[[{state}, "default", "", 5]]') is None


@pytest.mark.parametrize(
    "text",
    [
        '[[-2, "default", "", 5]]',
        '[[9, "default", "", 5]]',
        '[[2, 7, "", 5]]',
        '[[2, "default", 7, 5]]',
        '[[2, "default", "", "many"]]',
        '[[2, "default", "", 5], [2, "default", "", null]]',
    ],
)
def test_counts_are_of_states_queues_and_tenants(text: str) -> None:
    assert counts_fault(text) == NO_COUNTS


def test_what_is_no_json_is_told_by_the_column_it_is_in() -> None:
    told = {
        "tags": tags_fault("{nope"),
        "counts": counts_fault("{nope"),
        "rate_limit": rate_limit_fault("{nope"),
        "args": arguments_text_fault("{nope"),
        "result": result_fault("{nope"),
        "details": details_text_fault("{nope"),
        "attempt 1 has an error that": error_text_fault("{nope", "attempt 1 has an error that"),
    }
    for what, fault in told.items():
        assert fault is not None
        assert fault.startswith(f"its {what} cannot be read (JSONDecodeError(")


def test_what_is_not_there_has_no_fault() -> None:
    assert result_fault(None) is None
    assert error_text_fault(None, "it") is None
    assert details_text_fault(None) is None


def test_an_error_may_have_any_texts() -> None:
    error = JobError("ValueError", "", "", (JobError("KeyError", "'a'", "line 1", ()),))
    assert error_text_fault(error_to_json(error), "it") is None
