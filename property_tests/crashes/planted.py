"""Faults that a campaign has to find: workers that are wrong in one way each.

``python -m property_tests.crashes --planted takes_stale_outcomes`` runs it on such workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import attrs

from trio_gusto import GustoError
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.messages import Complete, Write, WriteReply
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.presence import Presence


class TakesStaleOutcomes(SqliteStorage):
    """Stores a success also when its lease has long been somebody else's."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        return await super().apply([await self._as_if_held(write) for write in writes])

    async def _as_if_held(self, write: Write) -> Write:
        if not isinstance(write, Complete):
            return write
        jobs = (await self.read(Get([claimed.request.id for claimed in write.claims]))).jobs
        versions = {job.request.id: job.version for job in jobs}
        claims = [
            attrs.evolve(claimed, token=versions.get(claimed.request.id, claimed.token))
            for claimed in write.claims
        ]
        return attrs.evolve(write, claims=claims)


class TakesAllForGone(SqliteStorage):
    """Takes the jobs of neighbours that are well."""

    async def attach(self, node: str) -> None:
        await super().attach(node)
        assert self._session is not None
        presence = self._session.presence
        assert presence is not None
        self._session.presence = Blind(self._location.path, presence)


class Blind(Presence):
    """Sees nobody but itself."""

    def __init__(self, database: str, usual: Presence) -> None:
        super().__init__(database)
        self._files = usual._files

    def is_gone(self, node: str) -> bool:
        return node not in self._files


PLANTED: Mapping[str, Callable[..., SqliteStorage]] = MappingProxyType(
    {
        "takes_stale_outcomes": TakesStaleOutcomes,
        "takes_all_for_gone": TakesAllForGone,
    }
)
