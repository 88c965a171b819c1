"""The registry of broken storages: each breaks one promise of the storage contract, and is found by it.

A storage that passes `check_storage` can be trusted only as far as the checks can be; these are what the
checks are checked with. The classes stand in `property_tests/broken/`, by what they are wrong about, or in
`planted.py`, when laws about whole schedulers have to find them, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import attrs

from property_tests import planted
from property_tests.broken import (
    attempts,
    batches,
    children,
    claims,
    completions,
    crowds,
    dossiers,
    families,
    files,
    groups,
    inserts,
    keys,
    lanes,
    openings,
    pauses,
    rates,
    reports,
    runs,
    schedules,
    sizes,
    tenants,
    waits,
)
from property_tests.broken.files import OnFile
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing.storage_contract import (
    REOPENING_CHECKS,
    STORAGE_CHECKS,
    Check,
    run_check,
)
from trio_gusto.testing.storage_contract.runner import sentence

CHECKS: dict[str, Check] = {
    sentence(check): check for check in (*STORAGE_CHECKS, *REOPENING_CHECKS)
}
"""Every check, by what it promises."""


@attrs.frozen
class Broken:
    """A storage that is wrong in one way, and the promise that finds it."""

    storage: type[MemoryStorage | OnFile]
    promise: str
    about: str

    @property
    def name(self) -> str:
        """The name of its class."""
        return self.storage.__name__

    @property
    def what(self) -> str:
        """What is wrong with it: the words of its name, and what its docstring adds."""
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", self.name).lower()
        own = self.storage.__dict__.get("__doc__") or ""
        return f"{words[:1].upper()}{words[1:]}. {' '.join(own.split())}".strip()

    async def check(self, folder: Path, *, promise: str | None = None) -> None:
        """Run the check that finds it, or another, which need not.

        Raises:
            AssertionError: found.
        """
        numbers = iter(range(1_000))

        def make() -> Storage:
            if issubclass(self.storage, OnFile):
                return self.storage(folder / f"{next(numbers)}.db")
            return self.storage()

        await run_check(CHECKS[promise or self.promise], make, reopen=reopened)


def reopened(storage: Storage) -> Storage:
    """Another storage on what one that is detached has kept."""
    return storage.again() if isinstance(storage, OnFile) else storage


def about(what: str, promises: Iterable[tuple[type[MemoryStorage | OnFile], str]]) -> list[Broken]:
    """Those of one module."""
    return [Broken(storage, promise, what) for storage, promise in promises]


OF_LAWS: list[tuple[type[MemoryStorage], str]] = [
    (planted.BelievesZombies, "a success of a stale claim is refused alone"),
    (planted.HidesLostLeases, "a lease is lost when its end has come"),
    (planted.ForgetsRecords, "records are kept in order"),
    (planted.ForgetsKeysOfClaimedJobs, "a live job holds its unique key"),
    (planted.SeesAllParentsCompleted, "a wait may be over when no parent lives"),
    (planted.TakesFailuresForSuccesses, "success of a batch may be given up early"),
    (
        planted.KeepsNextInstantsToItself,
        "due schedules come by their next instant in slices",
    ),
    (planted.ForgetsTheEndedInItsCounts, "a tally equals a recount"),
]

BROKEN: tuple[Broken, ...] = (
    *about("New jobs, and how they are found", inserts.PROMISES),
    *about("Claims and leases, and how they end", claims.PROMISES),
    *about("Jobs from their claim to their end", attempts.PROMISES),
    *about("Successes, many in one message", completions.PROMISES),
    *about("Unique keys", keys.PROMISES),
    *about("Jobs that wait for others", waits.PROMISES),
    *about("Children and callbacks", children.PROMISES),
    *about("Jobs that belong together", families.PROMISES),
    *about("Batches, and what is staged for them", batches.PROMISES),
    *about("Schedules", schedules.PROMISES),
    *about("Pauses", pauses.PROMISES),
    *about("Lanes", lanes.PROMISES),
    *about("Rate limits and ageing", rates.PROMISES),
    *about("Tenants that take turns", tenants.PROMISES),
    *about("Progress and logs", reports.PROMISES),
    *about("Dossiers", dossiers.PROMISES),
    *about("Earlier runs", runs.PROMISES),
    *about("Groups, refusals, order and pages", groups.PROMISES),
    *about("Large values, and many at once", sizes.PROMISES),
    *about("Many who speak at once", crowds.PROMISES),
    *about("What is lost between two openings", openings.PROMISES),
    *about("Files", files.PROMISES),
    *about(
        "What laws about whole schedulers have to find, too",
        OF_LAWS,
    ),
)
"""Every broken storage with a promise that it breaks; some break several, and stand there for each."""
