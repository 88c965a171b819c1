"""Handlers and nodes by number: a job's row holds small integers instead of the same long texts.

Half the width of a row is a fifth of what a job costs. Both tables grow with the code and with the
number of starts, never with the jobs, so nothing in them is ever deleted.
"""

from __future__ import annotations

import sqlite3

from ...model.ids import JobId

Handler = tuple[str, str, str]
"""The name, the job type and the method name."""


# One that is no UTF-8 must not keep the others from being read.
_HANDLERS = (
    "SELECT handler, CAST(name AS BLOB), CAST(job_type AS BLOB), CAST(method_name AS BLOB) FROM handler "
    "WHERE typeof(name) = 'text' AND typeof(job_type) = 'text' AND typeof(method_name) = 'text'"
)


class Names:
    """The numbers, remembered. What a rolled back transaction gave out must be forgotten."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: dict[Handler, int] = {}
        self._handlers: dict[int, Handler] = {}
        self._nodes: dict[str, int] = {}
        self._batch: dict[JobId, int] = {}

    def handler_number(self, handler: Handler) -> int:
        """The number of a handler; a new one gets one. To be called inside a transaction."""
        number = self._numbers.get(handler)
        if number is None:
            self._connection.execute(
                "INSERT INTO handler (name, job_type, method_name) VALUES (?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                handler,
            )
            (number,) = self._connection.execute(
                "SELECT handler FROM handler WHERE (name, job_type, method_name) = (?, ?, ?)",
                handler,
            ).fetchone()
            self._numbers[handler] = number
        return int(number)

    def handler(self, number: int) -> Handler:
        """The handler that has this number.

        Raises:
            KeyError: none has, or its names cannot be read.
        """
        if number not in self._handlers:
            rows = self._connection.execute(_HANDLERS).fetchall()
            self._handlers = {row[0]: names for row in rows if (names := _handler(*row[1:]))}
        return self._handlers[number]

    def node_number(self, node: str) -> int:
        """The number of a node; a new one gets one. To be called inside a transaction."""
        number = self._nodes.get(node)
        if number is None:
            self._connection.execute(
                "INSERT INTO node (node_name) VALUES (?) ON CONFLICT DO NOTHING", (node,)
            )
            (number,) = self._connection.execute(
                "SELECT node FROM node WHERE node_name = ?", (node,)
            ).fetchone()
            self._nodes[node] = number
        return int(number)

    def batch_number(self, batch: JobId) -> int:
        """The number of a batch that is stored; the last one asked for is remembered."""
        number = self._batch.get(batch)
        if number is None:
            (number,) = self._connection.execute(
                "SELECT number FROM batch WHERE id = ?", (batch,)
            ).fetchone()
            self._batch = {batch: number}
        return int(number)

    def forget(self) -> None:
        """Something was rolled back."""
        self._numbers.clear()
        self._handlers.clear()
        self._nodes.clear()
        self._batch.clear()


def _handler(name: bytes, job_type: bytes, method_name: bytes) -> Handler | None:
    try:
        return name.decode(), job_type.decode(), method_name.decode()
    except UnicodeError:
        return None
