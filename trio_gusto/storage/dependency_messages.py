"""Questions about jobs that wait for others."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..model.dependencies import Dependent
from ..model.ids import JobId


@attrs.define
class Dependents:
    """Waiting jobs whose wait may be over, oldest first (by sequence). Reply: `DependentJobs`.

    A batch counts as all of its jobs. That is: none of its parents is live, or it waits for `Condition.SUCCESS` and one of them has
    ended otherwise. A job without parents never is. ``parents`` leaves out jobs that wait for none
    of these; ``None`` leaves out none. ``after`` is a sequence: only jobs with a higher one. Fewer than ``limit``
    are told only if there are no more.
    """

    limit: int
    after: int = 0
    parents: Sequence[JobId] | None = None


@attrs.define
class DependentJobs:
    """At most ``limit`` jobs, without their histories; when it is as many, there may be more."""

    jobs: Sequence[Dependent]
