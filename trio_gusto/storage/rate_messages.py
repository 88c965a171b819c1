"""What storages are asked about the buckets of rate limits: one query.

It is part of the language of `messages`. Nothing is told them: claims take tokens off buckets by themselves,
and a bucket that has filled again need not be kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ..model.rates import Bucket


@attrs.define
class Buckets:
    """The buckets of these names (`rates.of_queue`, `rates.of_key`) that are not full at ``now``.

    Reply: `BucketsFound`.
    """

    names: Sequence[str]
    now: int


@attrs.define
class BucketsFound:
    """Buckets by name."""

    buckets: Mapping[str, Bucket]
