"""The app of a campaign: one handler, which does what its script says, and tells of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

import trio

from trio_gusto import Cancel, Fail, Gusto, Options, Retry, Snooze, current_job, fixed

LEASE = 30.0
CONCURRENCY = 3
KEPT = timedelta(days=1)
"""How long ended jobs are kept."""

RETRY = 2.0
"""Seconds between two attempts."""

TOKEN_EVERY = 5.0
"""Seconds in which a token grows in the bucket of jobs with a rate."""

Spec = dict[str, Any]
"""What was asked for a job, in its own arguments: the script, and the options as a caller gave them."""


class Told(Protocol):
    """Who hears what handlers do."""

    def entered(self, job: UUID, attempt: int, spec: Spec) -> object:
        """A handler begins; returns what stands for that."""
        ...

    def left(self, run: object, *, returned: bool) -> None:
        """It is over."""
        ...

    def bore(self, child: UUID, spec: Spec) -> None:
        """A handler has asked for a child, which is stored if it returns."""
        ...


class Service:
    """The app, and its two handlers, one of them in threads."""

    def __init__(self, told: Told) -> None:
        self.app = app = Gusto(
            options=Options(
                concurrency=CONCURRENCY,
                lease=LEASE,
                default_retry=fixed(RETRY),
                default_max_attempts=6,
                default_timeout=60,
                drain_timeout=10,
                retention=KEPT,
                loop_block_threshold=None,
                restart_limit=1000,
            )
        )

        @contextmanager
        def run(spec: Spec) -> Generator[tuple[str, float]]:
            context = current_job()
            run = told.entered(context.id, context.attempt, spec)
            returned = False
            try:
                script = spec["script"]
                name, _, seconds = script[min(context.attempt, len(script)) - 1].partition(":")
                yield name, float(seconds or 0)
                returned = True
            finally:
                told.left(run, returned=returned)

        def decide(name: str, seconds: float) -> None:
            match name:
                case "fail":
                    raise ConnectionError("as its script says")
                case "final":
                    raise Fail("as its script says")
                case "cancel":
                    raise Cancel("as its script says")
                case "retry":
                    raise Retry(seconds)
                case _:
                    pass

        @app.job
        async def play(spec: Spec) -> str:
            with run(spec) as (name, seconds):
                if name == "snooze":
                    if spec["snoozes_until"] > trio.current_time():
                        raise Snooze(seconds)
                elif name in ("child", "follow"):
                    children = current_job().queue
                    small = {**PLAIN, "script": ["sleep:1"]}
                    told.bore((await children.enqueue(play, small)).id, small)
                    if name == "follow":
                        after = {**small, "parents": [str(current_job().id)], "on": "success"}
                        ref = await children.continue_with(current_job().id, play, after)
                        told.bore(ref.id, after)
                elif name == "report":
                    current_job().progress(50)
                    await trio.sleep(5)
                elif name in ("sleep", "hang"):
                    await trio.sleep(seconds or 10_000)
                decide(name, seconds)
            return "played"

        @app.job
        def toil(spec: Spec) -> str:
            with run(spec) as (name, seconds):
                decide(name, seconds)
            return "played"

        self.play, self.toil = play, toil


PLAIN: Spec = {"script": ["ok"], "snoozes_until": 0.0}
