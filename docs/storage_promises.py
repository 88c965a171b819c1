"""The page on the promises of a storage: all checks, and the broken storages that they find."""

import inspect
import sys
from collections.abc import Iterator
from itertools import groupby

from property_tests.broken_storages import BROKEN
from trio_gusto.testing.storage_contract import REOPENING_CHECKS, STORAGE_CHECKS, Check
from trio_gusto.testing.storage_contract.runner import sentence


def room_of(check: Check) -> str:
    """The first sentence of the module that a check stands in."""
    documented = inspect.getdoc(sys.modules[check.__module__]) or ""
    told = " ".join(documented.split("\n\n")[0].split()).removesuffix(".")
    told = told.removeprefix("Promises about ").removeprefix("Promises ")
    return f"{told[:1].upper()}{told[1:]}"


def promise_of(check: Check) -> str:
    """What a check promises, and what its docstring adds."""
    told = sentence(check)
    if " play of " in told:
        told = told.partition(" in a ")[0].partition(" in another ")[0]
    more = " ".join((inspect.getdoc(check) or "").split())
    return f"- {told[:1].upper()}{told[1:]}. {more}".rstrip()


def promises() -> Iterator[str]:
    """The promises, by the modules that check them."""
    for room, checks in groupby((*STORAGE_CHECKS, *REOPENING_CHECKS), room_of):
        yield f"### {room}"
        yield "\n".join(dict.fromkeys(map(promise_of, checks)))


def broken() -> Iterator[tuple[str, list[list[str]]]]:
    """The rows of broken storages, by what they are wrong about."""
    for about, storages in groupby(BROKEN, lambda each: each.about):
        yield about, [[f"`{each.name}`", each.what, each.promise] for each in storages]
