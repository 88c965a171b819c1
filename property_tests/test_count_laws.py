"""The law of counts: they equal a recount, whatever happens to jobs, and whoever does it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from property_tests.aiming import aimed_machine
from property_tests.count_agreement import CountAgreement
from property_tests.count_pieces import CountPieces
from trio_gusto.storage.sqlite import archive, claiming, counts, pieces, ready, schema, settling

TestCounts = CountAgreement.TestCase

# --- planted faults -------------------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def _script(patches: pytest.MonkeyPatch, text: str, instead: str) -> None:
    read_script = schema.read_script
    patches.setattr(schema, "read_script", lambda name: read_script(name).replace(text, instead))


def keeps_the_count_of_a_pruned_piece(patches: pytest.MonkeyPatch) -> None:
    _script(patches, "AFTER DELETE ON job BEGIN", "AFTER DELETE ON job WHEN FALSE BEGIN")


def keeps_the_count_of_a_job_that_runs_again(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(settling, "touch", lambda connection, seqs: None)


def does_not_hear_of_claims(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(claiming, "touch", lambda connection, seqs: None)


def does_not_hear_of_what_comes_back(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(archive, "touch", lambda connection, seqs: None)


def does_not_see_what_was_added(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(
        counts, "_LAST_OF_EACH", counts._LAST_OF_EACH.replace("}, last FROM", "}, 0 FROM")
    )


def does_not_see_what_has_ended(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(counts, "_PROCESSING", f"{counts._PROCESSING} HAVING FALSE")


def adds_to_what_it_has_kept_before(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(pieces, "_COUNTS_OF", f"{pieces._COUNTS_OF} AND FALSE")


def takes_all_unfinished_for_the_most_frequent(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(counts, "_OF_EACH", counts._OF_EACH.replace("WHERE {}", "WHERE {} AND FALSE"))


def passes_over_named_workers(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(ready, "_OLDEST", ready._OLDEST[:1])


PLANTED: dict[Plant, str] = {
    keeps_the_count_of_a_pruned_piece: "fill_pieces lose_pieces",
    keeps_the_count_of_a_job_that_runs_again: "end_twice count_and_keep",
    does_not_hear_of_claims: "enqueue take_turns",
    does_not_hear_of_what_comes_back: "fill_pieces come_back_into_a_piece",
    does_not_see_what_was_added: "enqueue take_the_place_of_what_is_gone",
    does_not_see_what_has_ended: "fill_pieces claim end count_and_keep",
    adds_to_what_it_has_kept_before: "fill_pieces end count_and_keep",
    takes_all_unfinished_for_the_most_frequent: "fill_pieces claim count_and_keep",
    passes_over_named_workers: "enqueue claim",
}
"""Who errs, and the rules that lead to it."""


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_the_law_catches_who(planted: Plant) -> None:
    class Caught(aimed_machine(CountPieces, PLANTED[planted])):  # type: ignore[misc]
        def plant(self, patches: pytest.MonkeyPatch) -> None:
            planted(patches)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Caught,
            settings=settings(
                max_examples=500,
                stateful_step_count=12,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
            ),
        )
