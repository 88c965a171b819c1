"""What a new version of an app would have to run: live jobs and schedules, read a page at a time."""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from uuid import UUID

import attrs

from ...model.errors import ArgumentError
from ...model.job import JobRequest
from ...model.schedule import StoredSchedule
from ...model.states import AwaitingCallback
from ...model.ids import JobId
from ..schedule_rows import schedule_from_json
from .rows import WHOLE_JOB, Row, request_of, state_of

PAGE = 500

_LIVE = f"{WHOLE_JOB} WHERE state < 4 AND seq > ? ORDER BY seq LIMIT ?"
