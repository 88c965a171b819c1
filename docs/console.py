"""Runs the `console` blocks of pages in a shell, and compares what is printed with what is shown.

A line that begins with `$ ` is a command, lines with `> ` go on with it, and the others up to the
next command are its output, from both streams. All commands of a page go to one bash, so folders,
variables, `$?` and processes in the background stay from block to block. A command that ends with
`&` is waited for until it has printed what is shown.

What differs from run to run may differ:

- an id that is shown stands for the one that is printed in its place, and from then on, in commands
  and outputs, for that one only;
- instants, and what tells nodes of one name apart, have to be of the same form;
- spaces and tabs are as good as each other, however many there are;
- `...` stands for any text.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

PATIENCE = 60.0
"""Seconds after which a command hangs. It is there for the day when one does."""

END = "-- the command has ended --"

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
VARIES = re.compile(
    rf"(?P<id>\b{ID}\b)"
    r"|(?P<instant>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?)"
    r"|(?P<node>-[0-9a-f]{12}\b)"
    r"|(?P<any>\.\.\.)"
    r"|(?P<space>[ \t]+)"
)


@attrs.frozen
class Command:
    """One command of a block, and the output that is shown for it."""

    line: str
    shown: str

    @property
    def stays(self) -> bool:
        """Whether it goes on in the background."""
        return self.line.endswith("&")


def commands(block: str) -> Iterator[Command]:
    """The commands of a block, in order."""
    asked: list[str] = []
    shown: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            if asked:
                yield Command("\n".join(asked), "\n".join(shown))
            asked, shown = [line[2:]], []
        elif line.startswith("> ") and not shown:
            asked.append(line[2:])
        elif asked:
            shown.append(line)
        else:
            raise AssertionError(f"a block begins with output: {line!r}; begin it with a command")
    if asked:
        yield Command("\n".join(asked), "\n".join(shown))


class Shell:
    """The bash of one page; leaving the block ends it, with all that it started."""

    def __init__(self, folder: Path) -> None:
        self._ids: dict[str, str] = {}  # shown -> printed
        # Commands print to a terminal, without colours and wide enough for a table. What is set
        # where the tests run does not reach them.
        surroundings = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": str(folder),
            "TERM": "dumb",
            "COLUMNS": "140",
            "LINES": "40",
            "TZ": "UTC",
            "PYTHONUTF8": "1",
        }
        ours, theirs = os.openpty()
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=surroundings,
            stdin=subprocess.PIPE,
            stdout=theirs,
            stderr=theirs,
            encoding="utf-8",
            start_new_session=True,
        )
        os.close(theirs)
        self._screen = os.fdopen(ours, encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._screen.close()

    def check(self, block: str) -> None:
        """Run the commands of a block.

        Raises:
            AssertionError: one of them printed something else than is shown.
        """
        for command in commands(block):
            printed = self._run(command)
            learnt = same(command.shown, printed, self._ids)
            if learnt is None:
                raise AssertionError(
                    f"$ {command.line}\nshown:\n{command.shown}\n\nprinted:\n{printed}"
                )
            self._ids |= learnt

    def _run(self, command: Command) -> str:
        line = command.line
        for shown, own in self._ids.items():
            line = line.replace(shown, own)
        stdin = self._process.stdin
        assert stdin is not None
        # The status is put back, so that the next command may ask for it.
        stdin.write(f"{line}\n_status=$?; printf '\\n%s\\n' '{END}'; (exit $_status)\n")
        stdin.flush()
        wanted = len(command.shown.splitlines()) if command.stays else 0
        has_ended = False
        printed: list[str] = []
        watch = threading.Timer(PATIENCE, self._kill)
        watch.start()
        try:
            while not has_ended or len(printed) < wanted:
                text = self._screen.readline().rstrip()
                if text == END:
                    has_ended = True
                elif text or not command.stays:
                    printed.append(text)
        except OSError as error:  # so does a terminal say that nobody is there any more
            raise AssertionError(f"$ {line}\nhung, or ended the shell: {printed}") from error
        finally:
            watch.cancel()
        return "\n".join(printed)

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # bash, and what it runs


def same(shown: str, printed: str, ids: Mapping[str, str]) -> dict[str, str] | None:
    """Whether an output is the one that is shown: the ids it was the first to show, or ``None``."""
    new: dict[str, str] = {}  # shown -> name of its group

    def pattern(found: re.Match[str]) -> str:
        text = found[0]
        match found.lastgroup:
            case "id" if text in ids:
                return re.escape(ids[text])
            case "id" if text in new:
                return f"(?P={new[text]})"
            case "id":
                new[text] = f"id{len(new)}"
                return f"(?P<{new[text]}>{ID})"
            case "instant":
                fraction = r"(?:[.,]\d+)?" if len(text) > 19 else ""
                return rf"\d{{4}}-\d\d-\d\d{text[10]}\d\d:\d\d:\d\d{fraction}"
            case "node":
                return "-[0-9a-f]{12}"
            case "any":
                return "(?s:.*)"
            case _:
                return r"[ \t]+"

    parts: list[str] = []
    end = 0
    text = _trimmed(shown)
    for found in VARIES.finditer(text):
        parts += [re.escape(text[end : found.start()]), pattern(found)]
        end = found.end()
    parts.append(re.escape(text[end:]))
    match = re.fullmatch("".join(parts), _trimmed(printed))
    if match is None:
        return None
    learnt = {name: match[group] for name, group in new.items()}
    everybody = [*ids.values(), *learnt.values()]
    return learnt if len(everybody) == len(set(everybody)) else None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()).rstrip()
