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
    """Files and folders of tests."""

    but_not: tuple[str, ...] = ()
    """Tests in them that are left out: they are slow, or are about the tests themselves."""


_ABOUT_LAWS = (
    "property_tests/test_lifecycle_laws.py::test_a_planted_fault",
    "property_tests/test_lifecycle_laws.py::test_an_end_that_is_none",
)
_CONTRACT_ON_DISK = (
    "tests/storage/test_contract.py::test_storages_promise_that[sqlite inline",
    "tests/storage/test_contract.py::test_storages_promise_that[sqlite in a thread",
    "tests/storage/test_contract.py::test_storages_promise_that[sqlite without",
    "tests/storage/test_contract.py::test_a_file_keeps",
    "tests/storage/test_contract.py::test_sqlite_without_a_file",
)

_OF_CTRL_C = (
    "tests/actors/test_tree.py::test_a_ctrl_c",
    "tests/actors/test_cron.py::test_a_ctrl_c",
    "tests/actors/test_waiting_for_nothing.py::test_a_ctrl_c",
    "tests/features/test_handlers_may_raise_anything.py::test_a_real_ctrl_c",
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
            "audit": ("trio_gusto.model.audit.*",),
            "cron": ("trio_gusto.model.cron.*",),
            "reasons": ("trio_gusto.model.reasons.*", "trio_gusto.model.expla*"),
            "all else in model": ("trio_gusto.model.*",),
        },
        judges=(
            "tests/model",
            "property_tests/test_lifecycle_laws.py",
            "property_tests/test_queue_laws.py",
            "tests/storage/test_contract.py",
            "tests/storage/sqlite/test_auditing.py",
        ),
        but_not=(*_ABOUT_LAWS, *_CONTRACT_ON_DISK),
    ),
    Room(
        "storage",
        parts={
            "memory": ("trio_gusto.storage.memory.*",),
            "sqlite": ("trio_gusto.storage.sqlite.*",),
            "beside and provider": ("trio_gusto.storage.beside.*", "trio_gusto.storage.provider.*"),
            "messages": ("trio_gusto.storage.*",),
        },
        judges=("tests/storage",),
        but_not=_CONTRACT_ON_DISK[1:],
    ),
    Room(
        "actors",
        parts={"actors": ("trio_gusto.actors.*",)},
        judges=("tests/actors", "tests/features"),
        but_not=(*_OF_CTRL_C, *_ABOUT_OTHER_ROOMS),
    ),
)

ROOMS: Mapping[str, Room] = MappingProxyType({room.name: room for room in _ROOMS})
