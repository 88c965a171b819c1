"""Machines that aim: with a few of their rules only, so that a rare fault is met soon.

A whole machine has forty rules; what needs five of them in order may take a thousand examples, or
never come once somebody adds the next rule. A planted fault names the rules that lead to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RULE_MARKER,
    RuleBasedStateMachine,
    run_state_machine_as_test,
)

from property_tests.side_by_side import SideBySide
from trio_gusto.model.failure import leaves
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.storage import Storage

LOOKING = settings(
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""For a law that is asked of something planted, which has to break it. Whatever is drawn, it is found; `hypothesis.seed`
stands where one is known with which it is found soon."""

Machine = TypeVar("Machine", bound=RuleBasedStateMachine)


@attrs.frozen
class Planted:
    """A ``fault``, and the ``rules``, by name with blanks between them, that lead to it in a ``machine``."""

    fault: Callable[[], Storage]
    machine: type[SideBySide]
    rules: str

    @property
    def name(self) -> str:
        return getattr(self.fault, "__name__", "")


def planted(fault: Callable[[], Storage], machine: type[SideBySide], rules: str) -> Planted:
    return Planted(fault, machine, rules)


def check_is_passed(machine: type[SideBySide], rules: str) -> None:
    """See that the machine finds nothing, with these rules, in a storage that is sound. If it did, whatever is planted would
    be caught, and nothing be shown by that."""

    class Passed(aimed_machine(machine, rules)):  # type: ignore[misc]
        def make_storage(self, path: Path) -> Storage:
            return MemoryStorage()

    few = settings(
        max_examples=15,
        stateful_step_count=30,
        database=None,
        suppress_health_check=LOOKING.suppress_health_check,
    )
    run_state_machine_as_test(Passed, settings=few)


def check_is_caught(fault: Planted, examples: int = 4000) -> None:
    """See that the machine, with these rules, finds the fault."""
    aimed = aimed_machine(fault.machine, fault.rules)

    class Caught(aimed):  # type: ignore[misc, valid-type]  # a class made for this fault
        def make_storage(self, path: Path) -> Storage:
            return fault.fault()

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Caught,
            settings=settings(
                max_examples=examples,
                stateful_step_count=30,
                database=None,
                report_multiple_bugs=False,
                phases=[Phase.generate],
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )


def check_who_errs_is_caught(
    machine: type[RuleBasedStateMachine], rules: str, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """See that the machine, with these rules, finds what is patched in by its method ``plant``."""
    aimed = aimed_machine(machine, rules)

    class Caught(aimed):  # type: ignore[misc, valid-type]  # a class made for this fault
        def plant(self, patches: pytest.MonkeyPatch) -> None:
            plant(patches)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Caught, settings=settings(LOOKING, max_examples=500, stateful_step_count=12)
        )


class Broken(BaseException):
    """Ends a search. Hypothesis lets it through; of an `AssertionError` it would play the example once more and
    write it down, which takes longer than most searches."""


def check_is_broken(law: str, search: Any) -> None:
    """See that ``search``, a test made with `given`, breaks a law that says ``law``, and that nothing else goes wrong."""
    play = search.hypothesis.inner_test

    @wraps(play)  # Hypothesis looks at its text to decide what it draws
    def look(*drawn: Any, **named: Any) -> None:
        try:
            play(*drawn, **named)
        except (AssertionError, BaseExceptionGroup) as error:
            raise Broken from error

    search.hypothesis.inner_test = look
    with pytest.raises(Broken) as caught:
        search()
    assert caught.value.__cause__ is not None
    for leaf in leaves(caught.value.__cause__):
        assert isinstance(leaf, AssertionError)
        assert str(leaf), "it is a law that was broken, and not a mere assertion"
        assert law in str(leaf)


def aimed_machine(machine: type[Machine], names: str) -> type[Machine]:
    """``machine`` with these rules alone, their names with blanks between them; its invariants hold as before."""
    rules = names.split()
    every = {
        name: function
        for name, function in inspect.getmembers(machine, inspect.isfunction)
        if hasattr(function, RULE_MARKER)
    }
    unknown = set(rules) - set(every)
    assert not unknown, f"{machine.__name__} has no rules {sorted(unknown)}"
    others = {name: _plain(every[name]) for name in every if name not in rules}
    return cast("type[Machine]", type(machine.__name__, (machine,), others))


def _plain(rule: Callable[..., Any]) -> Callable[..., Any]:
    """What the rule does, for other rules that call it, and no rule itself."""

    def act(self: RuleBasedStateMachine, *args: Any, **kwargs: Any) -> Any:
        return rule(self, *args, **kwargs)

    return act
