"""The app of a campaign: one handler, which does what its script says, and tells of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

import trio

from trio_gusto import Cancel, Fail, Gusto, Options, Retry, Snooze, current_job, fixed

LEASE = 30.0
CONCURRENCY = 3
KEPT = timedelta(days=1)
"""How long ended jobs are kept."""

RETRY = 2.0
"""Seconds between two attempts."""

BACKOFF = 2.0
LONGEST_RETRY = 5.0
"""With a backoff: by what factor these seconds grow with each attempt, and to how many."""

TOKEN_EVERY = 5.0
"""Seconds in which a token grows in the bucket of jobs with a rate."""

Spec = dict[str, Any]
"""What was asked for a job, in its own arguments: the script, and the options as a caller gave them."""


R = TypeVar("R", bound="Numbered")


class Numbered(Protocol):
    """A handler at work, of which its ``number`` tells."""

    number: int


class Told(Protocol[R]):
    """Who hears what handlers do."""

    def entered(self, job: UUID, attempt: int, spec: Spec) -> R:
        """A handler begins; returns what stands for that."""
        ...

    def left(self, run: R, *, returned: bool) -> None:
        """It is over."""
        ...

    def bore(self, run: R, child: UUID, spec: Spec) -> None:
        """A handler has asked for a child, which is stored if it returns."""
        ...


class Service:
    """The app, and its two handlers, one of them in threads.

    What they return says which run it was, and is a spec, too: that of their callback.
    """

    def __init__(self, told: Told[R], *, fair: bool = False) -> None:
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
                tenant_order="fair" if fair else "due",
            )
        )

        @contextmanager
        def run(spec: Spec) -> Generator[tuple[R, str, float]]:
            context = current_job()
            run = told.entered(context.id, context.attempt, spec)
            returned = False
            try:
                script = spec["script"]
                name, _, seconds = script[min(context.attempt, len(script)) - 1].partition(":")
                yield run, name, float(seconds or 0)
                returned = True
            finally:
                told.left(run, returned=returned)

        def decide(name: str, seconds: float) -> None:
            match name:
                case "fail" | "orphan":
                    raise ConnectionError("as its script says")
                case "final":
                    raise Fail("as its script says")
                case "cancel":
                    raise Cancel("as its script says")
                case "retry":
                    raise Retry(seconds)
                case _:
                    pass

        def result(spec: Spec, number: int) -> Spec:
            job = str(current_job().id)
            return {**PLAIN, "script": spec.get("callback", ["ok"]), "run": number, "of": job}

        @app.job
        async def play(spec: Spec) -> Spec:
            with run(spec) as (own, name, seconds):
                if name == "snooze":
                    if spec["snoozes_until"] > trio.current_time():
                        raise Snooze(seconds)
                elif name in ("child", "follow", "orphan"):
                    children = current_job().queue
                    small = {**PLAIN, "script": ["sleep:1"]}
                    told.bore(own, (await children.enqueue(play, small)).id, small)
                    if name == "follow":
                        after = {**small, "parents": [str(current_job().id)], "on": "success"}
                        ref = await children.continue_with(current_job().id, play, after)
                        told.bore(own, ref.id, after)
                elif name == "report":
                    current_job().progress(50)
                    await trio.sleep(5)
                elif name in ("sleep", "hang"):
                    await trio.sleep(seconds or 10_000)
                decide(name, seconds)
            return result(spec, own.number)

        @app.job
        def toil(spec: Spec) -> Spec:
            with run(spec) as (own, name, seconds):
                decide(name, seconds)
            return result(spec, own.number)

        self.play, self.toil = play, toil


PLAIN: Spec = {"script": ["ok"], "snoozes_until": 0.0}
