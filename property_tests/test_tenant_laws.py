"""Tenants take turns: SQLite as memory does, and both as an account with fractions; and this can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from property_tests.tenant_agreement import TENANTS, TenantAgreement
from trio_gusto.model.fairness import STRIDE, Turns
from trio_gusto.storage.sqlite import SqliteStorage, tenants, turns
from trio_gusto.storage.storage import Storage

weights = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 16))


class InSqlite(TenantAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@pytest.mark.parametrize("piece", [tenants.PIECE, 1, 0])
def test_sqlite_and_memory_serve_tenants_in_turn(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the jobs that stand first are no help, and it is gone by tenants at once."""
    monkeypatch.setattr(tenants, "PIECE", piece)
    some = settings(max_examples=settings().max_examples // 2)  # it is asked three times
    run_state_machine_as_test(InSqlite, settings=some)


def assert_shares(turns: Turns, of: Mapping[str, int], busy: Iterable[str], rounds: int) -> None:
    """Between two tenants that are always busy there is never more than a turn of each."""
    tenants_ = list(busy)
    served = dict.fromkeys(tenants_, 0)
    for _ in range(rounds):
        tenant = min(tenants_, key=turns.place)
        turns.serve(tenant)
        served[tenant] += 1
        for one in tenants_:
            for other in tenants_:
                ahead = served[one] / of.get(one, 1) - served[other] / of.get(other, 1)
                assert ahead <= 1 / of.get(one, 1) + 1e-9, "a tenant is more than a turn ahead"


@given(weights, st.sets(st.sampled_from("abcdef"), min_size=2), st.integers(1, 100))
def test_no_tenant_is_ever_more_than_a_turn_ahead(
    of: dict[str, int], busy: set[str], rounds: int
) -> None:
    assert_shares(Turns(of), of, sorted(busy), rounds)


@given(weights, st.lists(st.sampled_from("abc"), max_size=50), st.integers(1, 30))
def test_what_was_before_gives_no_advantage(
    of: dict[str, int], before: list[str], rounds: int
) -> None:
    """Whoever joins begins where the others are, and what is remembered is enough to go on."""
    turns = Turns(of)
    for tenant in before:
        turns.serve(tenant)
    again = Turns(of, turns.now, turns.ahead().items())
    assert {one: turns.place(one) for one in "abcdef"} == {
        one: again.place(one) for one in "abcdef"
    }
    assert again.place("f") == again.now
    for tenant, place in again.ahead().items():
        assert place - again.now <= STRIDE * len(before), tenant


class OnlyClaims(InSqlite):
    """With so few verbs that long services come about soon."""

    cancel = give_back = pause = lift = lift_all = None  # type: ignore[assignment]

    @rule(early=TENANTS, late=TENANTS, limit=st.integers(1, 4))
    def come_late(self, early: str, late: str, limit: int) -> None:
        """One tenant has been served for a while when another comes; then both want more."""
        self.enqueue([(early, "q", 0, None, 9, "f")] * 3)
        self.claim_in_turn(3, None, 99, ())
        self.enqueue([(tenant, "q", 0, None, 9, "f") for tenant in (early, late) * 3])
        self.claim_in_turn(limit, None, 99, ())


def _due_first(_self: Turns, _tenant: str) -> int:
    return 0


def _without_weights(self: Turns, tenant: str) -> None:
    self.now = self.place(tenant)
    self._passes[tenant] = self.now + STRIDE


def _credit(self: Turns, tenant: str) -> int:
    return self._passes.get(tenant, 0)


def _nothing(_self: turns.FairShares, _rows: object) -> None:
    """Whose turn it is is not written down."""


FAULTS: dict[str, tuple[type, str, Callable[..., object]]] = {
    "tenants have no turns": (Turns, "place", _due_first),
    "weights are forgotten": (Turns, "serve", _without_weights),
    "idleness earns turns": (Turns, "place", _credit),
    "turns are not remembered": (turns.FairShares, "remember", _nothing),
}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_machine_catches(fault: str) -> None:
    where, name, what = FAULTS[fault]
    with patch.object(where, name, what), pytest.raises((AssertionError, ExceptionGroup)):
        run_state_machine_as_test(
            OnlyClaims,
            settings=settings(
                max_examples=500,
                stateful_step_count=30,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                report_multiple_bugs=False,
            ),
        )


def test_unequal_shares_are_caught() -> None:
    with (
        patch.object(Turns, "serve", _without_weights),
        pytest.raises(AssertionError, match="more than a turn ahead"),
    ):
        assert_shares(Turns({"a": 3}), {"a": 3}, "ab", 20)
