"""What was claimed is remembered once it is committed, and until it has ended."""

from __future__ import annotations

from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import ClaimedJob, JobRequest
from trio_gusto.storage.sqlite.leases import Lease, Leases
from trio_gusto.testing.storage_contract.subject import NOW


def lease(seq: int) -> Lease:
    request = JobRequest(uuid7(NOW * 1000, seq), "say_hello", "[]", NOW, 1)
    return seq, ClaimedJob(request, 1, 1, NOW, "node", NOW)


def found(leases: Leases, *those: Lease) -> list[bool]:
    """Of which of them there is a lease, and the right one."""
    return [leases.find(one[1].request.id) == one for one in those]


def test_claims_are_remembered_when_they_are_committed() -> None:
    one, two, three = those = [lease(seq) for seq in range(3)]
    leases = Leases()
    leases.take_all([one])
    leases.take_all([two])
    assert (found(leases, *those), len(leases)) == ([False] * 3, 0)
    leases.keep()
    assert (found(leases, *those), len(leases)) == ([True, True, False], 2)
    leases.take_all([three])
    leases.undo()
    leases.keep()
    assert (found(leases, *those), len(leases)) == ([True, True, False], 2)


def test_those_that_have_ended_are_forgotten_when_that_is_committed() -> None:
    those = [lease(seq) for seq in range(5)]
    leases = Leases()
    leases.take_all(those[:4])
    leases.keep()
    first, *others = [one[1].request.id for one in those]
    leases.drop(first)
    leases.undo()
    leases.keep()
    assert found(leases, *those) == [True] * 4 + [False]
    leases.drop(first)
    leases.drop_all(others[:1])
    leases.drop_all(others[-1:])  # which was claimed by others
    leases.keep()
    assert (found(leases, *those), len(leases)) == ([False, False, True, True, False], 2)
    leases.keep()
    assert len(leases) == 2
