"""Running the checks, each on a fresh storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from inspect import isawaitable

import trio

from ...storage.storage import Storage
from .subject import Beside, Reopen, Subject

MakeStorage = Callable[[], Storage | Awaitable[Storage]]
"""Makes a fresh, empty storage, not yet attached."""

Check = Callable[[Subject], Awaitable[None]]
"""One promise; its name is the sentence."""

PATIENCE = 60.0
"""Seconds after which a check that hangs is given up."""

CLOSING = 10.0
"""Seconds for which a storage may take to be detached after a check, also after one that hung."""


async def check_storage(
    make_storage: MakeStorage,
    *,
    reopen: Reopen | None = None,
    beside: Beside | None = None,
    patience: float = PATIENCE,
) -> None:
    """Check that a storage keeps every promise of the message contract.

    Args:
        make_storage: makes a fresh, empty storage each time; may be async.
        reopen: makes a storage on the same data as one that was detached; may be async. Without it,
            what outlives a storage object is not checked.
        beside: makes a storage on the same data as one that is attached, as another process would; may
            be async. Without it, several nodes are checked on one object only.
        patience: seconds after which a check that hangs is given up.

    Raises:
        AssertionError: a promise is broken; the message names it, and what was found instead. So it does
            when a check takes longer than ``patience``, unless the storage cannot be cancelled.

    >>> import trio
    >>> from trio_gusto.storage.memory import MemoryStorage
    >>> trio.run(check_storage, MemoryStorage)
    """
    from . import REOPENING_CHECKS, STORAGE_CHECKS  # noqa: PLC0415 - made of what stands below

    for check in STORAGE_CHECKS:
        await run_check(check, make_storage, beside=beside, patience=patience)
    if reopen is not None:
        for check in REOPENING_CHECKS:
            await run_check(check, make_storage, reopen=reopen, beside=beside, patience=patience)


async def run_check(
    check: Check,
    make_storage: MakeStorage,
    *,
    reopen: Reopen | None = None,
    beside: Beside | None = None,
    patience: float = PATIENCE,
) -> None:
    """Run one check on a fresh storage.

    Raises:
        AssertionError: the promise is broken.
    """
    try:
        with trio.fail_after(patience), one_at_a_time():
            made = make_storage()
            storage = await made if isawaitable(made) else made
            subject = Subject(storage, "checker", reopen=reopen, beside=beside)
            # Shielded, for a storage that hung has to be let go of as well; what it may take is limited.
            closing = trio.CancelScope(shield=True)
            try:
                await subject.open()
                await check(subject)
            finally:
                closing.deadline = trio.current_time() + CLOSING
                with closing:
                    await subject.close()
            if closing.cancelled_caught:
                raise AssertionError(
                    f"it should be detached within {CLOSING:g} seconds, but was not"
                )
    except AssertionError as error:
        raise AssertionError(f"{sentence(check)}: {error}") from error
    except trio.TooSlowError as error:
        raise AssertionError(
            f"{sentence(check)}: nothing was heard of the storage for {patience:g} seconds, so it was "
            "given up; it waits for something that nobody does, or needs more patience"
        ) from error
    except Exception as error:
        error.add_note(f"while checking that {sentence(check)}")
        raise


@contextmanager
def one_at_a_time() -> Generator[None]:
    """Have a broken promise raised by itself that tasks of a check found together."""
    try:
        yield
    except BaseExceptionGroup as group:
        found: BaseException | None = group.subgroup(AssertionError)
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        if found is None:
            raise
        raise found from group


def sentence(check: Check) -> str:
    """What a check promises, in words."""
    return getattr(check, "__name__", repr(check)).replace("_", " ")


async def check_reopening(
    make_storage: MakeStorage, reopen: Reopen, *, beside: Beside | None = None
) -> None:
    """Check that nothing is lost when a storage is detached and opened again."""
    from . import REOPENING_CHECKS  # noqa: PLC0415 - as above

    for check in REOPENING_CHECKS:
        await run_check(check, make_storage, reopen=reopen, beside=beside)
