"""Names of nodes can be read, and are never used twice."""

from __future__ import annotations

import os
import socket

import pytest

from trio_gusto.actors.node_name import node_name


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("east-1", "east-1"),
        ("a b/c: d.e_F9", "a_b_c_d.e_F9"),
        (None, f"{socket.gethostname()}-{os.getpid()}"),
    ],
)
def test_a_node_has_a_name_of_plain_letters_and_what_nobody_else_has(
    name: str | None, readable: str
) -> None:
    assert node_name(name, lambda count: bytes(range(count))) == f"{readable}-000102030405"
