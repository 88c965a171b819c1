"""How a scope of another container is closed: to its end, but not for ever."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from .protocols import ServiceError


@asynccontextmanager
async def closing(
    close: Callable[[BaseException | None], Awaitable[object]], grace: float
) -> AsyncGenerator[None]:
    """Call ``close`` behind the block, with the block's error, whatever has been cancelled.

    Raises:
        ServiceError: it took longer than ``grace`` seconds, and was cancelled.
    """
    failure: BaseException | None = None
    # Opened before anything is built, so that a nursery inside a service nests properly.
    with trio.CancelScope() as cleanup:
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            # The job may be cancelled; its clean-up must run to its end all the same, within a time.
            cleanup.shield = True
            cleanup.deadline = trio.current_time() + grace
            await close(failure)
    if cleanup.cancelled_caught:
        raise failure or ServiceError(
            f"cleaning up after a job took longer than {grace:g} seconds, so it was cancelled and "
            "the job counts as failed; make the clean-up shorter",
            kind=None,
        )
