"""What a dossier says of code that is not the usual: in threads that are not ours, or in no file."""

from __future__ import annotations

import linecache
import threading
import types

import pytest
import trio
from trio.testing import MockClock

from tests.actors.test_dossier import dossier_while, slot_of
from trio_gusto.actors.dossier import dossier_of


async def test_a_thread_with_nothing_of_ours_is_shown_from_its_beginning() -> None:
    arrived, done = threading.Event(), threading.Event()

    def waits_here() -> None:
        arrived.set()
        done.wait()

    thread = threading.Thread(target=waits_here)
    thread.start()
    try:
        await trio.to_thread.run_sync(arrived.wait)
        slot = slot_of(None)
        slot.thread = thread.ident
        assert slot.lease is not None
        lines = dossier_of(slot, slot.lease, 0.0).splitlines()
    finally:
        done.set()
        thread.join()
    functions = [
        line.rpartition(", in ")[2] for line in lines[lines.index("thread") :] if ", in " in line
    ]
    assert functions[:4] == ["_bootstrap", "_bootstrap_inner", "run", "waits_here"]


class Loader:
    """What a module that is in no file brings with it."""

    def get_source(self, name: str) -> str:
        assert name == "made_up"
        return "async def waits(wait):\n    await wait()  # for ever\n"


async def test_a_line_of_code_that_is_in_no_file_is_had_from_its_loader(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linecache, "cache", {})
    module = types.ModuleType("made_up")
    vars(module)["__loader__"] = Loader()
    exec(compile(Loader().get_source("made_up"), "of-made-up", "exec"), vars(module))
    text = await dossier_while(lambda: module.waits(trio.sleep_forever))
    assert '  File "of-made-up", line 2, in waits\n    await wait()  # for ever\n' in text
