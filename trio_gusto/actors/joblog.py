"""The standard library's logging, led into the logs of jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable

LOGGER = "trio_gusto.job"
"""What a `JobLogger` is called in the normal log."""

Note = Callable[[str, str], None]
"""Takes a level, as logging's name in lower case, and a message."""

_formatter = logging.Formatter()


class JobLogger(logging.Logger):
    """The logger of one job: writes to its log, and to the normal one under `LOGGER`.

    It is known to nobody else, and is gone with who asked for it.
    """

    def __init__(self, note: Note | None) -> None:
        super().__init__(LOGGER, logging.INFO)
        self.parent = logging.getLogger(LOGGER)
        self._note = note

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Write one record to both."""
        if self._note is not None:
            write_down(record, self._note)
        super().callHandlers(record)


def write_down(record: logging.LogRecord, note: Note) -> None:
    """Lead a record into a job's log. Like logging, it never fails whoever logs."""
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001 - a record's arguments may break in any way
        text = f"{record.msg!r} (its arguments do not fit: {type(error).__name__})"
    if record.exc_info and any(record.exc_info):
        # Not `Formatter.format`, which leaves what it made to the formatters of others.
        text = f"{text}\n{_formatter.formatException(record.exc_info)}"
    note(record.levelname.lower(), text)
