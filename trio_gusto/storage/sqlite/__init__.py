"""Jobs kept in one SQLite file: durable, shared by the processes of one machine, no server.

`docs/explanation/sqlite.md` says why it is built this way, `docs/reference/sqlite-schema.md` what
is in the file.
"""

from .storage import SqliteStorage

__all__ = ["SqliteStorage"]
