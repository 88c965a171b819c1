"""What the jobs of a play do: each what its arguments say."""

from __future__ import annotations

from typing import Literal

import trio
from hypothesis import strategies as st

from trio_gusto import Cancel, Fail, current_job

End = Literal["ok", "fail", "cancel", "flaky", "hang"]


async def act(end: End, work: float) -> None:
    """A job that ends as it was told to."""
    await trio.sleep(work)
    match end:
        case "fail":
            raise Fail("as planned")
        case "cancel":
            raise Cancel("as planned")
        case "flaky" if current_job().attempt == 1:
            raise ValueError("at first")
        case "hang":
            await trio.sleep_forever()
        case _:
            return


ends: st.SearchStrategy[End] = st.sampled_from(
    ["ok", "ok", "ok", "ok", "fail", "cancel", "flaky", "hang"]
)
