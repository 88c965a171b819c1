"""How commands end: the exit codes, and the error for a wrong command line."""

from __future__ import annotations

OK = 0
"""Done; also when whoever reads the output has had enough of it, such as ``head``."""

WRONG = 1
"""It could not be done, or not for all that were named; or what came of it could not be printed."""

USAGE = 2
"""The command line is wrong: an option, or a file or folder that it names."""

UNREADABLE = 3
"""Of commands that only look: the database is none of ours, or too new or too old, or cannot be read;
nothing can be said about what is in it."""

INTERRUPTED = 130
"""Ctrl-C; the shells' own code for it."""


class Unusable(Exception):
    """What the command line names cannot be used. Ends the command with `USAGE`."""
