"""Which jobs a command is about: the options that all commands on stored jobs share.

They look at a file, and need nothing of the code that its jobs call: handlers are names there, and
are not imported.
"""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import attrs
import trio
from cyclopts import Parameter

from ..app import Gusto
from ..queue.jobqueue import JobQueue
from ..storage.sqlite import SqliteStorage
from .exits import Unusable

T = TypeVar("T")

SETTINGS = Path("trio-gusto.toml")
TABLE = "trio-gusto"


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Place:
    """Where the jobs are, and how to speak of them."""

    db: Annotated[Path | None, Parameter(env_var="TRIO_GUSTO_DB")] = None
    """The SQLite file that the jobs are in."""

    settings: Path | None = None
    """A TOML file that names the database: db = "jobs.db" in the table [trio-gusto], relative to
    the file. By default trio-gusto.toml, if there is one here. --db comes first."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Print JSON."""

    def database(self) -> Path:
        """The file, which exists.

        Raises:
            Unusable: none is named, or it is not there.
        """
        found = self.db or self._from_settings()
        if found is None:
            raise Unusable(
                "no database is named, so there are no jobs to look at; give --db, set "
                f"TRIO_GUSTO_DB, or write it into {SETTINGS}"
            )
        if not found.is_file():
            raise Unusable(
                f"{found} is no file, so there are no jobs in it; name the file of an app that has run"
            )
        return found

    def named(self, database: Path | None) -> Place:
        """The same, at the ``database`` that was named in front of the options, if it was."""
        return self if database is None else attrs.evolve(self, db=database)

    def run(self, do: Callable[[JobQueue], Awaitable[T]]) -> T:
        """Do something with the jobs, and return what came of it."""
        return trio.run(partial(self._do, self.database(), do))

    async def _do(self, path: Path, do: Callable[[JobQueue], Awaitable[T]]) -> T:
        async with Gusto(SqliteStorage(path)).connected() as queue:
            return await do(queue)

    def _from_settings(self) -> Path | None:
        path = self.settings or SETTINGS
        if self.settings is None and not path.is_file():
            return None
        try:
            written: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Unusable(
                f"{path} cannot be read ({error}); name a TOML file with --settings"
            ) from error
        table = written.get(TABLE)
        name = cast("dict[str, object]", table).get("db") if isinstance(table, dict) else None
        if not isinstance(name, str):
            raise Unusable(
                f'{path} names no database; write db = "jobs.db" into its table [{TABLE}]'
            )
        return path.parent / name
