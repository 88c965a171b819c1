"""What running jobs say of themselves, from the moment they say it until it is on its way.

Rules. Of many reports of progress only the last one counts, and of a log as much as the storage
would keep. What a job says is written before its outcome, in the same group at the latest: whatever
carries outcomes has a letter go before it. Otherwise it waits for the reporter, or until there is
much of it. No more than one letter is on its way to the storekeeper at a time, however much is said
while nobody can take it. Handlers in threads speak here, too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import trio

from ..clock import Clock
from ..model.errors import GustoError
from ..model.ids import to_uuid
from ..model.job import Progress
from ..model.joblog import LogLine, LogTail, storable
from ..options import Options
from ..storage.report_messages import Report, Reported, Saying
from .alarm import Alarm
from .desk import Reply, StorageDesk, StoreLetter
from .lease import Lease

logger = logging.getLogger("trio_gusto")

MOST_MESSAGE_BYTES = 4_096
"""Bytes of the message of a progress."""


class _Words:
    """What one attempt has said since it was last reported."""

    __slots__ = ("count", "dossier", "progress", "tail")

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.tail = LogTail()
        self.dossier: str | None = None
        self.count = 0


def _nothing_open() -> None:
    """Where nobody carries outcomes."""


class Reports:
    """What the running jobs of one node have said and nobody has written down yet."""

    def __init__(self, desk: StorageDesk, clock: Clock, options: Options) -> None:
        self.is_kept = desk.storage.keeps_reports
        """Whether the storage would take it."""
        self.on_first: Callable[[], None] = _nothing_open
        """Called when something was said, so that outcomes from now on go behind it."""
        self.news = Alarm()
        """Rings for the reporter when something was said."""
        self.pending: dict[Lease, _Words] = {}
        self._told: dict[Lease, int] = {}
        """How many lines running jobs have told that logged before."""
        self._desk = desk
        self._instant = clock.instant
        self._most_lines = options.max_log_entries
        self._most_bytes = options.max_log_bytes
        self._enough = options.progress_flush_batch_size
        self._count = 0
        self._letter: ReportLetter | None = None
        # Re-entrant: a signal handler or a finaliser may log in the middle of it.
        self._lock = threading.RLock()
        self._thread = 0
        self._token: trio.lowlevel.TrioToken | None = None

    def open(self) -> None:
        """Take words from now on: in the event loop that this is called in, and from threads."""
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()

    def progress(self, lease: Lease, percent: float, message: str) -> None:
        """A job has got so far."""
        progress = Progress(percent, storable(message, MOST_MESSAGE_BYTES))
        with self._lock:
            words = self._words_of(lease)
            if words is None:
                return
            words.progress = progress
        self._spread(words)

    def log(self, lease: Lease, level: str, message: str) -> None:
        """A job has an entry for its log."""
        if self._most_lines == 0:
            return
        text = storable(message, self._most_bytes)
        line = LogLine(self._instant(), storable(level, 50), text)
        with self._lock:
            words = self._words_of(lease)
            if words is None:
                return
            words.tail.add(line, self._most_lines, self._most_bytes)
        self._spread(words)

    def file(self, lease: Lease, dossier: str) -> None:
        """This was found where a job did not end in time; write it at once, for it may never end."""
        with self._lock:
            words = self._words_of(lease)
            assert words is not None  # it runs
            words.dossier = dossier
        self._spread(words)
        self.flush()

    def _words_of(self, lease: Lease) -> _Words | None:
        """Where to note what is said under this lease; ``None`` when its attempt has ended."""
        if lease.over:
            return None
        words = self.pending.get(lease)
        if words is None:
            words = self.pending[lease] = _Words()
        words.count += 1
        self._count += 1
        return words

    def _spread(self, words: _Words) -> None:
        """See to it that it will be written: for the first of an attempt's words, or if it is enough."""
        is_first = words.count == 1
        if not is_first and self._count < self._enough:
            return
        if threading.get_ident() == self._thread:
            self._hear()
        else:
            assert self._token is not None
            try:
                # In order, so that the first words are heard of before the end of their thread.
                self._token.run_sync_soon(self._hear, idempotent=not is_first)
            except trio.RunFinishedError:
                pass  # an abandoned thread, and nobody writes any more

    @trio.lowlevel.enable_ki_protection  # handlers speak in their own step
    def _hear(self) -> None:
        if self._letter is None:
            self.on_first()
        self.news.ring()
        if self._count >= self._enough:
            self.flush()

    def flush(self) -> None:
        """Have everything written that was said and is not on its way."""
        if self.pending:
            self._post().is_full = True

    def go_before(self) -> None:
        """Have what ended attempts have said written before what is told the storekeeper next."""
        if self.pending:
            self._post()

    def _post(self) -> ReportLetter:
        if self._letter is None:
            self._letter = ReportLetter(self)
            self._desk.tell(self._letter)
        return self._letter

    def take(self, *, everything: bool) -> Report:
        """What is to be written now: of ended attempts, or ``everything``."""
        self._letter = None
        with self._lock:
            taken = [lease for lease in self.pending if everything or lease.over]
            sayings = [self._saying(lease, self.pending[lease]) for lease in taken]
            for lease in taken:
                self._count -= self.pending.pop(lease).count
            self._told = {lease: told for lease, told in self._told.items() if not lease.over}
        return Report(sayings, max(1, self._most_lines), self._most_bytes)

    def _saying(self, lease: Lease, words: _Words) -> Saying:
        claimed, tail = lease.claimed, words.tail
        lines, dropped = tuple(tail.lines), tail.dropped
        told = self._told.get(lease, 0)
        if lines:
            self._told[lease] = told + dropped + len(lines)
        said = (words.progress, lines, dropped, told, words.dossier)
        return Saying(claimed.request.id, claimed.token, *said)


class ReportLetter(StoreLetter):
    """Words on their way to the storage. It insists: the outcome behind it does, too."""

    __slots__ = ("_reports", "_sealed", "is_full")

    insist = True

    def __init__(self, reports: Reports) -> None:
        self.is_full = False
        """Whether it takes what running jobs have said, too."""
        self._reports = reports
        self._sealed: Report | None = None

    @property
    def size(self) -> int:
        """No job comes or goes with it."""
        return 0

    def seal(self) -> Report:
        """The message, with all that was said until now."""
        if self._sealed is None:
            self._sealed = self._reports.take(everything=self.is_full)
        return self._sealed

    def deliver(self, reply: Reply) -> None:
        """Nobody waits for it. What was refused came too late, as the outcome will."""
        if isinstance(reply, GustoError):
            logger.error("what running jobs reported was refused: %s", reply)
        else:
            assert isinstance(reply, Reported)
            for job_id in reply.refused:
                logger.debug("a report of job %s came too late", to_uuid(job_id))
