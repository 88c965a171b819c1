"""`check_storage`: the promises of `trio_gusto.storage.messages`, as a program.

Each check is one promise, named by a sentence. A storage that passes all of them can stand under
the whole scheduler. The checks speak messages only, so they hold for anybody's storage. Those of one
kind of message come first, for they say best what is wrong; then those of all messages together.
"""

from .batching import BATCHING_CHECKS
from .callbacks import CALLBACK_CHECKS
from .children import CHILDREN_CHECKS
from .claiming import CLAIMING_CHECKS
from .completing import COMPLETING_CHECKS
from .crowds import CROWD_CHECKS
from .depending import DEPENDING_CHECKS
from .dossiers import DOSSIER_CHECKS
from .estimating import ESTIMATING_CHECKS
from .hearing import HEARING_CHECKS
from .inserting import INSERTING_CHECKS
from .lanes import LANE_CHECKS
from .leasing import LEASING_CHECKS
from .looking import LOOKING_CHECKS
from .ordering import ORDERING_CHECKS
from .pausing import PAUSING_CHECKS
from .plays import PLAY_CHECKS
from .rating import RATING_CHECKS
from .reopening import REOPENING_CHECKS
from .reporting import REPORTING_CHECKS
from .runner import Check, MakeStorage, check_reopening, check_storage, run_check
from .scheduling import SCHEDULING_CHECKS
from .settling import SETTLING_CHECKS
from .sharing import SHARING_CHECKS
from .staging import STAGING_CHECKS
from .subject import Beside, Reopen, Subject
from .uniqueness import UNIQUENESS_CHECKS

STORAGE_CHECKS: tuple[Check, ...] = (
    *INSERTING_CHECKS,
    *CLAIMING_CHECKS,
    *SETTLING_CHECKS,
    *COMPLETING_CHECKS,
    *LEASING_CHECKS,
    *PAUSING_CHECKS,
    *LANE_CHECKS,
    *SHARING_CHECKS,
    *RATING_CHECKS,
    *DEPENDING_CHECKS,
    *CHILDREN_CHECKS,
    *CALLBACK_CHECKS,
    *BATCHING_CHECKS,
    *STAGING_CHECKS,
    *LOOKING_CHECKS,
    *SCHEDULING_CHECKS,
    *REPORTING_CHECKS,
    *DOSSIER_CHECKS,
    *ESTIMATING_CHECKS,
    *UNIQUENESS_CHECKS,
    *ORDERING_CHECKS,
    *CROWD_CHECKS,
    *HEARING_CHECKS,
    *PLAY_CHECKS,
)
"""Every check, for test suites that want one test for each."""

__all__ = [
    "REOPENING_CHECKS",
    "STORAGE_CHECKS",
    "Beside",
    "Check",
    "MakeStorage",
    "Reopen",
    "Subject",
    "check_reopening",
    "check_storage",
    "run_check",
]
