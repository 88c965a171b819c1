"""What storages are told and asked about pauses: three writes and one query.

They are part of the language of `messages`. A pause holds for every claim that is performed after it.
What was claimed before and is not begun yet, its node gives back when it hears of the pause; it says so
with `HeardPauses`, and who has not said so yet is in the reply to `Pauses`.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..model.pauses import StoredPause


@attrs.define
class PutPause:
    """Keep a pause, and give it a number above all that were given before.

    One of the same ``queue`` and ``tenant`` that is there already stays as it is. Reply: `Committed`.
    """

    queue: str | None
    tenant: str | None
    reason: str
    since: int


@attrs.define
class LiftPauses:
    """Forget the pause of exactly this ``queue`` and ``tenant``; all pauses if both are ``None``.

    Reply: `Committed`, also when there was none.
    """

    queue: str | None = None
    tenant: str | None = None


@attrs.define
class HeardPauses:
    """A ``node`` will start nothing that the pauses up to ``number`` cover. Reply: `Committed`."""

    node: str
    number: int


@attrs.define
class Pauses:
    """The pauses that hold, by number. Reply: `PausesFound`. ``now`` says which leases hold."""

    now: int


@attrs.define
class PausesFound:
    """``unheard``: nodes, by name, that hold leases on jobs covered by a pause that they have not said to
    have heard of. They may still start such a job."""

    pauses: Sequence[StoredPause]
    unheard: Sequence[str] = ()
