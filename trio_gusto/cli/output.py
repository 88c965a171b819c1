"""Standard output, and why it took nothing more."""

from __future__ import annotations

from typing import Any, TextIO


class Output:
    """Hands everything on to ``stream``; ``fault`` is the last error with which it was refused.

    So an error that ends a command is known to be that of its output, and not one of the app's own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.fault: OSError | None = None

    def write(self, text: str) -> int:
        """Write, as files do."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self.fault = error
            raise

    def flush(self) -> None:
        """Flush, as files do."""
        try:
            self._stream.flush()
        except OSError as error:
            self.fault = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
