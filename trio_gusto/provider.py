"""Bring your own record and provider: the contract, and the storage that speaks it.

Implement `JobStorageProvider` for a subclass of `JobStorageRecord`, and give both to
`ProviderStorage`. What the ``Supports…`` protocols add is optional.
"""

from __future__ import annotations

from .storage.provider.adapter import ProviderStorage
from .storage.provider.contract import (
    Criterion,
    JobFindParams,
    JobSearchParams,
    JobStorageProvider,
    Match,
    SupportsLeases,
    SupportsQueries,
    SupportsStoreMany,
    SupportsWake,
)
from .storage.provider.record import Fill, JobStorageRecord

__all__ = [
    "Criterion",
    "Fill",
    "JobFindParams",
    "JobSearchParams",
    "JobStorageProvider",
    "JobStorageRecord",
    "Match",
    "ProviderStorage",
    "SupportsLeases",
    "SupportsQueries",
    "SupportsStoreMany",
    "SupportsWake",
]
