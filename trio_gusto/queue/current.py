"""`current_job`: what a handler sees of itself, its queue included."""

from __future__ import annotations

from ..actors.context import RunningJob, running_job
from .children import JobChildren, children_of


class JobContext(RunningJob):
    """The job that runs here. Get it with `current_job`; it is gone when the handler has ended."""

    __slots__ = ()

    @property
    def queue(self) -> JobChildren:
        """Enqueues jobs that are stored with this job's success, and not at all when it fails.

        >>> from trio_gusto import Gusto
        >>> app = Gusto()
        >>> @app.job
        ... async def send(page: int) -> None:
        ...     print("page", page)
        >>> @app.job
        ... async def split(pages: int) -> None:
        ...     for page in range(pages):
        ...         await current_job().queue.enqueue(send, page)
        >>> async def main() -> None:
        ...     async with app.connected() as queue:
        ...         await queue.enqueue(split, 2)
        ...         await queue.work_until_idle()
        >>> import trio
        >>> trio.run(main)
        page 0
        page 1
        """
        return children_of(self._lease, self._workplace.queue)


def current_job() -> JobContext:
    """The job that the calling code runs in.

    Works in the handler's task, in tasks it has started, and in its worker thread.

    Raises:
        NoCurrentJob: no job runs here.
    """
    return running_job(JobContext)
