"""Names of tests."""

from __future__ import annotations

import re


def same_in_every_process(value: object) -> str:
    """A parameter as the name of its test: several processes share the tests out by their names.

    A backslash is doubled by pytest in each further run of one process.
    """
    return re.sub(r" at 0x[0-9a-f]+", "", str(value)).replace("\\", "/")
