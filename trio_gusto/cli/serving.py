"""``trio-gusto run``: an app as a process of its own."""

from __future__ import annotations

import importlib
import logging
import signal
import sys
import traceback
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Annotated, Any

import trio
from cyclopts import Parameter

from ..app import Gusto
from .exits import OK, WRONG, Unusable

STOPPING = "trio-gusto: stops when running jobs have ended; a second Ctrl-C does not wait for them"


def run(
    app: str,
    /,
    *,
    folder: Path = Path(),
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run the jobs of an app until SIGTERM or Ctrl-C, then let running ones come to an end.

    A second signal does not wait for them: they are cancelled, and their attempts given back.

    Exit codes: 0, stopped by a signal; 1, the app failed, or the import of its module; 2, there is
    no such app.

    Parameters
    ----------
    app
        MODULE:NAME of the Gusto object, as in shop.jobs:app.
    folder
        The folder that modules are looked for in first.
    quiet
        Log warnings and errors only.
    """
    found = find_app(app, folder)
    if found is None:
        return WRONG
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    trio.run(_serve, found, "" if quiet else f"trio-gusto: {app} runs; Ctrl-C stops it")
    return OK


async def _serve(app: Gusto, greeting: str) -> None:
    told, hurry = trio.Event(), trio.CancelScope()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed, signals, told, hurry)
            with hurry:
                async with app.running():
                    if greeting:
                        print(greeting, file=sys.stderr, flush=True)
                    await told.wait()
            nursery.cancel_scope.cancel()


async def _heed(signals: AsyncIterable[int], told: trio.Event, hurry: trio.CancelScope) -> None:
    async for _ in signals:
        if told.is_set():
            hurry.cancel()
        else:
            print(STOPPING, file=sys.stderr, flush=True)
        told.set()


def find_app(app: str, folder: Path) -> Gusto | None:
    """The app, looked for in ``folder`` first; ``None`` when its module fails, which is said.

    Raises:
        Unusable: there is no such app.
    """
    sys.path.insert(0, str(folder.resolve()))
    module_name, _, path = app.partition(":")
    if not module_name or not path:
        raise Unusable(f"{app!r} names no app; give MODULE:NAME, as in shop.jobs:app")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            _say_failed(module_name, error)
            return None
        raise Unusable(
            f"there is no module {error.name!r} here, so {app} cannot be run; "
            "name another module, or its folder with --folder"
        ) from error
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything
        # Also sys.exit(0): it would end the command as if all of it had been done.
        _say_failed(module_name, error)
        return None
    for name in path.split("."):
        found = getattr(found, name, None)
    if not isinstance(found, Gusto):
        what = "is not there" if found is None else f"is of {type(found)}, and no Gusto"
        raise Unusable(f"{path} of the module {module_name} {what}; name a Gusto object in it")
    return found


def _say_failed(module_name: str, error: Exception | SystemExit) -> None:
    traceback.print_exception(error)
    print(
        f"trio-gusto: the module {module_name} cannot be imported, so its app does not run; "
        "its error is above",
        file=sys.stderr,
    )
