"""What handlers leave behind in an executor's task, and which Ctrl-C is a real one."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from trio_gusto.actors.isolation import clean_stack, is_real_interrupt
from trio_gusto.actors.lease import Slot

MISNESTED = RuntimeError("Cancel scope stack corrupted: attempted to exit …")


class Special(RuntimeError):
    """A handler's own."""


def slot() -> Slot:
    return Slot(lambda _deadline: None)


@pytest.mark.parametrize(
    "error",
    [MISNESTED, BaseExceptionGroup("", [MISNESTED, ValueError()])],
    ids=["alone", "in a group"],
)
def test_a_scope_that_a_handler_has_left_open_harms_nobody_and_is_told_of(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    with clean_stack(slot()):
        raise error
    assert caplog.record_tuples == [
        (
            "trio_gusto",
            logging.ERROR,
            "a handler has left a cancel scope or a nursery open, and what it left is cancelled; "
            "leave them with `with`, and async generators that have any with "
            "`async with aclosing(...)`",
        )
    ]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("something else"),
        Special("stack corrupted"),
        ValueError("stack corrupted"),
        BaseExceptionGroup("", [ValueError("stack corrupted")]),
    ],
    ids=repr,
)
def test_whatever_else_comes_goes_through(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught, clean_stack(slot()):
        raise error
    assert caught.value is error
    assert caplog.messages == []


def test_nurseries_that_are_left_open_are_cancelled_and_given_up() -> None:
    nurseries = [SimpleNamespace(cancel_scope=trio.CancelScope()) for _ in range(2)]
    task: Any = SimpleNamespace(child_nurseries=tuple(nurseries), _child_nurseries=list(nurseries))
    its = slot()
    its.task = task
    with clean_stack(its):
        pass
    assert all(nursery.cancel_scope.cancel_called for nursery in nurseries)
    assert task._child_nurseries == []


def raised_in(module: str | None, error: BaseException) -> BaseException:
    """``error``, raised by a function of ``module``."""
    names: dict[str, Any] = {} if module is None else {"__name__": module}
    exec("def hit(error):\n    raise error", names)
    with pytest.raises(type(error)) as caught:
        names["hit"](error)
    return caught.value


@pytest.mark.parametrize(
    ("module", "error", "is_real"),
    [
        ("trio._core._ki", KeyboardInterrupt(), True),
        ("signal", KeyboardInterrupt(), True),
        ("a_handler", KeyboardInterrupt(), False),
        ("signal", ValueError(), False),
    ],
)
def test_a_real_ctrl_c_comes_out_of_a_signal_handler(
    module: str, error: BaseException, is_real: bool
) -> None:
    assert is_real_interrupt(raised_in(module, error)) is is_real


def test_a_ctrl_c_that_was_never_raised_is_not_real() -> None:
    assert not is_real_interrupt(KeyboardInterrupt())
