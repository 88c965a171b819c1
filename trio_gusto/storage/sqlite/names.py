"""Handlers and nodes by number: a job's row holds small integers instead of the same long texts.

Half the width of a row is a fifth of what a job costs. Both tables grow with the code and with the
number of starts, never with the jobs, so nothing in them is ever deleted.
"""

from __future__ import annotations

import sqlite3

from ...model.ids import JobId

Handler = tuple[str, str, str]
"""The name, the job type and the method name."""


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
        """The handler that has this number."""
        if number not in self._handlers:
            rows = self._connection.execute(
                "SELECT handler, name, job_type, method_name FROM handler"
            )
            self._handlers = {row[0]: row[1:] for row in rows.fetchall()}
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
