"""What stands between telemetry and the work it watches."""

from __future__ import annotations

import logging
from types import TracebackType

logger = logging.getLogger("trio_gusto")


class Guard:
    """Catches what providers, processors and exporters raise: logs the first, passes over the rest.

    Used as ``with guard:``, as often as needed. A real Ctrl-C and cancellation go through.
    """

    __slots__ = ("_has_complained",)

    def __init__(self) -> None:
        self._has_complained = False

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        if not self._has_complained:
            self._has_complained = True
            logger.error(
                "telemetry failed, so some of it is missing; no job is harmed. Look at the "
                "provider or exporter in the traceback; more failures of this app are not logged",
                exc_info=error,
            )
        return True
