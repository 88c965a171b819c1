"""What running jobs say, from whichever thread and whenever they say it."""

from __future__ import annotations

import threading

import trio

from tests.actors.test_roster import lease
from trio_gusto import MemoryStorage, Options
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.reports import Reports
from trio_gusto.testing import VirtualClock


def test_a_thread_that_outlives_the_loop_may_say_what_it_likes() -> None:
    """Where a crash of the loop has left its attempt open."""
    reports = Reports(StorageDesk(MemoryStorage()), VirtualClock(), Options())

    async def main() -> None:
        reports.open()

    trio.run(main)
    held = lease(1)
    thread = threading.Thread(target=reports.progress, args=(held, 50, "half"))
    thread.start()
    thread.join()
    assert list(reports.pending) == [held], "nobody will write it, and nobody is harmed"
