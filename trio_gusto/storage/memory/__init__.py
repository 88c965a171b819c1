"""`MemoryStorage`: jobs in this process's memory, and the reference of the message contract."""

from .storage import MemoryStorage

__all__ = ["MemoryStorage"]
