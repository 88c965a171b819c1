"""Names of nodes can be read, and are never used twice."""

from __future__ import annotations

import os
import socket

import pytest

from trio_gusto.actors.node_name import node_name


def count_up(count: int) -> bytes:
    """As little chance as can be."""
    return bytes(range(count))


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("east-1", "east-1"),
        ("a b/c: d.e_F9", "a_b_c_d.e_F9"),
    ],
)
def test_a_node_has_a_name_of_plain_letters_and_what_nobody_else_has(
    name: str | None, readable: str
) -> None:
    assert node_name(name, count_up) == f"{readable}-000102030405"


def test_a_node_without_a_name_is_called_after_its_host_and_process() -> None:
    expected = f"{socket.gethostname()}-{os.getpid()}-000102030405"
    assert node_name(None, count_up) == expected
