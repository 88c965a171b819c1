"""What the parts of `JobQueue` find in the whole.

Its verbs stand in several modules, each a class that is mixed into `JobQueue`. This is what they may
count on, said once; `JobQueue` has all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..actors.desk import StorageDesk
from ..actors.waiters import Waiters
from ..clock import Clock
from .draft import Drafter

if TYPE_CHECKING:
    from ..actors.canceller import Canceller
    from ..actors.probe import Probe
    from ..model.job import JobRequest
    from ..model.states import State
    from .ears import Ears
    from .reading import Reader
    from .ref import JobRef


class QueuePart:
    """Declares, for type checkers, and does nothing."""

    _desk: StorageDesk
    _drafter: Drafter
    _ears: Ears
    _waiters: Waiters
    _canceller: Canceller
    _clock: Clock
    _node: str
    _probe: Probe
    reader: Reader

    if TYPE_CHECKING:

        def ref(self, job_id: Any) -> JobRef[Any]: ...
        async def cancel(self, job: Any, reason: str = "") -> bool: ...
        def _announce_if_heard(self, request: JobRequest, state: State) -> None: ...
