"""What storages are told and asked of what jobs say of themselves, and of what is said of those that
misbehave: a write and two queries.

They are part of the language of `messages`. What is worth keeping is decided by
`trio_gusto.model.joblog`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ..model.ids import JobId
from ..model.job import Progress
from ..model.joblog import LogLine


@attrs.define
class Saying:
    """What one attempt has said of its job since it was last reported.

    ``token`` is that of its lease. ``progress`` is the last one told, ``None`` if there was none.
    ``lines`` are new, oldest first; ``dropped`` others, older but new as well, were not kept, which
    may be only where there are lines. ``told`` is how many the attempt has told before all of these:
    what it has told already is not kept twice, so that a report whose reply was lost may be told again.
    ``dossier`` is what was found where the attempt did not end in time (`actors.dossier`).
    """

    job_id: JobId
    token: int
    progress: Progress | None
    lines: Sequence[LogLine] = ()
    dropped: int = 0
    told: int = 0
    dossier: str | None = None


@attrs.define
class Report:
    """Keep what running jobs say of themselves: the last progress, and the end of the log.

    Each saying is refused for itself alone, unless its job is processing and its version is still
    the token. Progress replaces what was there. Of a job's log, lines of earlier attempts included,
    the newest are kept: ``most_lines`` of them at most, whose messages have ``most_bytes`` at most,
    but always the newest, and none that is older than one that was ``dropped`` (`joblog.LogTail`). A
    dossier replaces that of the same attempt, and those of the newest ``most_dossiers`` attempts that have
    any are kept. No version changes. Reply: `Reported`.
    """

    sayings: Sequence[Saying]
    most_lines: int
    most_bytes: int
    most_dossiers: int = 10


@attrs.define
class Reported:
    """Kept, except of the jobs ``refused``."""

    refused: Sequence[JobId] = ()


@attrs.define
class ReadLog:
    """The log of a job. Reply: `LogFound`, an empty one for a job that is not stored."""

    job_id: JobId


@attrs.define
class LogFound:
    """``lines``, oldest first; ``dropped`` older ones were not kept."""

    lines: Sequence[LogLine]
    dropped: int


@attrs.define
class ReadDossiers:
    """The dossiers of a job's attempts. Reply: `DossiersFound`, an empty one for a job that is not stored."""

    job_id: JobId


@attrs.define
class DossiersFound:
    """``dossiers``, by the token of the attempt, in this order."""

    dossiers: Mapping[int, str]
