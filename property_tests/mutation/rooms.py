"""The rooms whose code is mutated, and the tests that judge each.

Judges are chosen for speed: a mutant is asked of all tests that come by its function, until the first of them fails. They
draw nothing that the day decides, wait for no real time and start no processes. What only slower tests would tell, the
rarer faults of whole services and of real crashes, survives here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Room:
    """A folder of the package, and who judges it."""

    name: str
    """As `make mutate ROOM=…` has it."""

    parts: Mapping[str, tuple[str, ...]]
    """Names of parts, which the report shows by themselves, and patterns of the modules in each."""

    judges: tuple[str, ...]
    """Files and folders of tests, and single tests."""

    not_mutated: tuple[str, ...] = ()
    """Patterns of modules in it that are a room of their own."""

    but_not: tuple[str, ...] = ()
    """Tests in them that are left out: they are slow, or are about the tests themselves."""

    but_none_with: str = ""
    """A word in the names of tests that are left out."""


_ABOUT_LAWS = (
    "property_tests/test_lifecycle_laws.py::test_a_planted_fault",
    "property_tests/test_lifecycle_laws.py::test_an_end_that_is_none",
)
_CONTRACT_AT_ONCE = (
    "tests/storage/test_contract.py::test_what_outlives_a_storage_in_a_thread",
    "tests/storage/test_contract.py::test_two_storages_on_one_file",
    "tests/storage/test_contract.py::test_sqlite_without_a_file",
    "tests/storage/test_memory.py::test_it_keeps_the_message_contract",
)
_MEMORY_WITH_ITSELF = (  # and so with the same mutant
    "tests/storage/test_contract.py::test_in_storages_of_every_way_to_work[memory",
    "tests/storage/test_contract.py::test_a_play_is_recorded",
    "tests/storage/test_contract.py::test_plays_",
)
_ABOUT_PROCESSES = (
    "tests/storage/sqlite/test_sharing.py::test_two_processes_take",
    "tests/storage/sqlite/test_presence.py::test_a_killed_process",
    "tests/storage/sqlite/test_schema.py::test_processes_that_make_the_file",
)
_LONG_IN_SQLITE = (
    "tests/storage/test_contract.py::test_in_storages_of_every_way_to_work",
    "tests/storage/sqlite/test_archive.py::test_a_storage_with_an_archive_promises_that",
    "tests/storage/sqlite/test_clocks_that_differ.py",
    "tests/storage/sqlite/test_full_disk.py::test_what_is_acknowledged_is_kept",
    "tests/storage/sqlite/test_locked_for_long.py::test_a_lease_that_cannot_be_renewed",
    "tests/storage/sqlite/test_locked_for_long.py::test_schedules_and_reports_wait",
    "tests/storage/sqlite/test_sharing.py::test_nodes_of_one_storage_hear",
    "tests/storage/sqlite/test_sharing.py::test_what_another_storage_commits",
)
"""Half a minute for each survivor, nearly all of it spent on what single promises ask already."""


def _contract_of(storage: str) -> tuple[str, ...]:
    """The tests of the contract for storages whose name begins so."""
    return (
        f"tests/storage/test_contract.py::test_storages_promise_that[{storage}",
        f"tests/storage/test_contract.py::test_in_storages_of_every_way_to_work[{storage}",
    )


_OF_CTRL_C = (
    "tests/actors/test_tree.py::test_a_ctrl_c",
    "tests/actors/test_cron.py::test_a_ctrl_c",
    "tests/actors/test_waiting_for_nothing.py::test_a_ctrl_c",
    "tests/features/test_handlers_may_raise_anything.py::test_a_real_ctrl_c",
)
_LONG_IN_SERVICES = (
    "tests/actors/test_sweeper.py::test_without_retention_everything_is_kept",
    "tests/features/test_lanes_and_pauses.py::test_a_pause_outlives_all_processes",
    "tests/features/test_lanes_and_pauses.py::test_after_a_pause_nothing_starts_until_it_is_lifted",
    "tests/features/schedules/test_instants.py::test_a_nightly_job",
    "tests/features/test_stopping.py::test_a_hundred_starts_leave_nothing_behind",
    "tests/features/test_what_goes_wrong_elsewhere.py::test_a_nightly_schedule",
    "tests/features/test_what_goes_wrong_elsewhere.py::test_a_task_longer_than_any_lease",
)
_ABOUT_OTHER_ROOMS = tuple(
    f"tests/features/test_{name}.py"
    for name in (
        "anyio",
        "bad_input",
        "bad_schedules",
        "batch_retention",
        "blocked_loop",
        "bring_your_own_record",
        "broken_archive",
        "estimates",
        "events",
        "explaining",
        "large_batches",
        "other_containers",
        "retry_by_filter",
        "services",
        "unknown_handlers",
    )
)

_ROOMS = (
    Room(
        "model",
        parts={
            "cron": ("trio_gusto.model.cron.*",),
            "reasons": ("trio_gusto.model.reasons.*", "trio_gusto.model.expla*"),
            "all else in model": ("trio_gusto.model.*",),
        },
        judges=(
            "tests/model",
            "property_tests/test_lifecycle_laws.py",
            "property_tests/test_queue_laws.py",
            "tests/storage/test_memory.py::test_it_keeps_the_message_contract_and_its_jobs_when_detached",
        ),
        not_mutated=("trio_gusto.model.audit.*",),
        but_not=_ABOUT_LAWS,
    ),
    Room(
        "audit",
        parts={"audit": ("trio_gusto.model.audit.*",)},
        judges=(
            "tests/model/test_audit_rules.py",
            "tests/model/test_audit_at_the_limits.py",
            "tests/model/test_audit_of_schedules_and_waits.py",
            "tests/storage/sqlite/test_auditing.py",
            "tests/model/test_audit_shapes.py",
        ),
    ),
    Room(
        "memory",
        parts={"memory": ("trio_gusto.storage.memory.*",)},
        judges=(
            "tests/storage/test_contract.py",
            "tests/storage/test_memory.py",
            "tests/storage/test_memory_ageing.py",
            "tests/storage/test_memory_agenda.py",
            "tests/storage/test_memory_batches.py",
            "tests/storage/test_memory_lanes.py",
            "tests/storage/test_memory_nodes.py",
            "tests/storage/test_memory_schedules.py",
            "tests/storage/test_memory_turns.py",
            "tests/storage/test_beside.py",
        ),
        but_not=(*_contract_of("sqlite"), *_CONTRACT_AT_ONCE, *_MEMORY_WITH_ITSELF),
    ),
    Room(
        "sqlite",
        parts={"sqlite": ("trio_gusto.storage.sqlite.*",)},
        judges=("tests/storage/test_contract.py", "tests/storage/sqlite"),
        but_not=(
            *_contract_of("memory"),
            *_contract_of("sqlite in a thread"),
            *_contract_of("sqlite without"),
            *_CONTRACT_AT_ONCE,
            *_ABOUT_PROCESSES,
            *_LONG_IN_SQLITE,
        ),
    ),
    Room(
        "storage",
        parts={
            "provider": ("trio_gusto.storage.provider.*",),
            "beside": ("trio_gusto.storage.beside.*",),
            "messages": ("trio_gusto.storage.*",),
        },
        judges=(
            "tests/storage/test_contract.py",
            "tests/storage/test_beside.py",
            "tests/storage/test_beside_messages.py",
            "tests/storage/test_beside_queries.py",
            "tests/storage/test_bells.py",
            "tests/storage/test_news.py",
            "tests/storage/test_provider.py",
            "tests/storage/test_provider_answers.py",
            "tests/storage/test_provider_ledger.py",
            "tests/storage/test_provider_leases.py",
            "tests/storage/test_provider_outcomes.py",
            "tests/storage/test_provider_queries.py",
            "tests/storage/test_provider_records.py",
            "tests/storage/test_provider_texts.py",
            "tests/storage/test_rows.py",
            "tests/storage/test_storage.py",
        ),
        not_mutated=("trio_gusto.storage.memory.*", "trio_gusto.storage.sqlite.*"),
        but_not=(*_contract_of("sqlite"), *_CONTRACT_AT_ONCE, *_MEMORY_WITH_ITSELF),
    ),
    Room(
        "actors",
        parts={"actors": ("trio_gusto.actors.*",)},
        judges=("tests/actors", "tests/features"),
        but_not=(*_OF_CTRL_C, *_LONG_IN_SERVICES, *_ABOUT_OTHER_ROOMS),
        but_none_with="sqlite",  # the same services on the slower storage
    ),
)

ROOMS: Mapping[str, Room] = MappingProxyType({room.name: room for room in _ROOMS})
