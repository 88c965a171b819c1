"""A storage in memory between which and its caller something can be changed."""

from __future__ import annotations

from typing import Any

from trio_gusto.storage.memory import MemoryStorage


class Changed(MemoryStorage):
    """Changes what it is told or asked, or what it answers."""

    def told(self, write: Any) -> Any:
        """The write as it is performed."""
        return write

    def replied(self, write: Any, reply: Any) -> Any:
        """The reply to it as it is given."""
        return reply

    def asked(self, query: Any) -> Any:
        """The query as it is answered."""
        return query

    def found(self, query: Any, reply: Any) -> Any:
        """The reply to it as it is given."""
        return reply

    def perform(self, write: Any) -> Any:
        return self.replied(write, super().perform(self.told(write)))

    async def read(self, query: Any) -> Any:
        return self.found(query, await super().read(self.asked(query)))
