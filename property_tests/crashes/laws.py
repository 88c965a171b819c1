"""The laws that a campaign is judged by, as sentences."""

from __future__ import annotations

import attrs

KEPT = "What was acknowledged is there."
WHOLE = "What was asked for at once is there as a whole or not at all."
REFUSED = "What was refused is not there."
ENDED = "Everything comes to an end."
EARNED = "An end is the doing of a handler, of a caller, or of what was lost."
LAST = "The result that is stored is that of the last attempt."
COUNTED = "Each attempt that began is recorded under its number, and began once."
APART = "No two attempts of a job run at the same time."
ROOM = "Of a lane no more run at the same time than it has room for."
AFTER = "What waits for others begins after they have ended, and only if its condition holds."
CHILDREN = "Children are there with the success that stored them, and not without it."
TOLD = "A callback is called with the result that is stored."
BATCH = "A batch has the jobs that it was given, and no others."
INSTANTS = "Each instant of a schedule comes once."
KEY = "A unique key has one live job."
AUDIT = "An audit finds nothing."
ALIVE = "No process ends that was not told to, and each ends that was."


@attrs.frozen
class Finding:
    """A law that is broken, and by what."""

    law: str
    what: str
