"""What one job may say for itself, and how that meets what its handler and its app say.

Three levels, the nearer wins: `Options.default_*`, the options of ``@app.job``, those of the call.
The first two are resolved once per handler (`Resolver.resolve`), so that a call without options
costs no more than building its `JobRequest`; a call with options starts from that (`override`).
A level replaces what the level above said; tags and metadata are not merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, Protocol, TypedDict, TypeVar

import attrs

from .model.errors import NotSupported, OptionsError
from .model.ids import JobId
from .model.instants import MICROSECONDS, to_datetime
from .model.job import DEFAULT_QUEUE, Details, JobRequest
from .model.rates import RateLimit
from .model.retry import RetryPolicy
from .options import Options
from .options.job_values import NAMING, READERS, Moment, policy
from .options.values import texts, unknown

R = TypeVar("R")


class JobOptions(TypedDict, Generic[R], total=False):
    """The options of a job. A duration is seconds or a ``timedelta``, an instant an aware
    ``datetime``; ``None`` takes back what the handler declared.

    - ``execute_after``: not before this instant, or this long from now.
    - ``expire_on``: not started by this instant, or this long from now, it is ``expired``.
    - ``queue``: its queue; default ``"default"``.
    - ``priority``: higher goes first; default 0, any 32-bit integer.
    - ``tenant``: whom it is for; default ``""``.
    - ``worker``: a named worker: its jobs run one at a time, in order, across all processes; ``None``
      (the default): as many at once as there is room for.
    - ``concurrency_key``: of the jobs with one key, at most ``concurrency_limit`` (default 1) run at
      once, across all processes, and they begin in order; not together with ``worker``. The limit goes
      with each job: it begins when fewer than its own are running.
    - ``rate_key``, ``rate_limit``: of all jobs with one key only so many start in so much time, across
      all processes: `RateLimit`. They go together; with only ``rate_limit`` in ``@app.job``, the key is
      the handler's name. Jobs with one key should have the same limit: each goes by its own.
    - ``max_attempts``: attempts it has in all; default `Options.default_max_attempts`.
    - ``retry``: when a failed attempt is followed by another; default `Options.default_retry`. In
      a call it must be storable: `exponential`, `fixed`, `no_retry`, `retry_on`.
    - ``timeout``: how long an attempt may take, ``None``: any time; default
      `Options.default_timeout`.
    - ``ref_id``: the caller's own id, unique among all jobs.
    - ``unique_key``: of the jobs with one key, one at most has not ended. ``on_conflict`` says what
      becomes of another: ``"raise"`` (the default) refuses it with `DuplicateJob`,
      ``"return_existing"`` gives the ref of the one there is, and ``"replace"`` cancels that one, if
      it has not begun.
    - ``tags``, ``created_by``, ``user_id``, ``metadata`` (JSON values): stored, filterable, and
      visible to the handler.
    - ``callback``: a handler that is called with the result, as a job of its own, once the job's handler
      has returned. Until it has ended the job is ``waiting``; then it is ``completed``, or
      ``failed`` if the callback did not complete.
    - ``durable``: ``False`` keeps it in the memory of this process only; default ``True``. It runs
      like others, and is lost with the process. It can have no ``unique_key`` and no ``callback``.
    """

    execute_after: datetime | timedelta | float | None
    expire_on: datetime | timedelta | float | None
    queue: str
    priority: int
    tenant: str
    worker: str | None
    concurrency_key: str | None
    concurrency_limit: int
    rate_key: str | None
    rate_limit: RateLimit | None
    max_attempts: int
    retry: RetryPolicy
    timeout: timedelta | float | None
    ref_id: str | None
    unique_key: str | None
    on_conflict: Literal["raise", "return_existing", "replace"]
    tags: Iterable[str]
    created_by: str | None
    user_id: str | None
    metadata: Mapping[str, object] | None
    callback: Callable[[R], object] | None
    durable: bool


class HandlerOptions(JobOptions[Any], total=False):
    """The options of ``@app.job``: the defaults of its jobs, and how the handler itself is known.

    - ``name``: what stored jobs call it; default: module and qualified name.
    - ``aliases``: names that jobs stored before may have.
    - ``thread``: ``False`` runs a plain ``def`` on the event loop instead of in a worker thread.
    """

    name: str
    aliases: Iterable[str]
    thread: bool


class Callee(Protocol):
    """What a request needs to know of its handler."""

    name: str
    job_type: str
    method_name: str


@attrs.define
class Resolved:
    """All options of a job, checked, in the form a `JobRequest` wants. Not changed once made."""

    max_attempts: int
    timeout: int | None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    tenant: str = ""
    execute_after: Moment | None = None
    expire_on: Moment | None = None
    details: Details | None = None

    def copy(self) -> Resolved:
        """Another one with the same values."""
        return Resolved(
            self.max_attempts,
            self.timeout,
            self.queue,
            self.priority,
            self.tenant,
            self.execute_after,
            self.expire_on,
            self.details,
        )

    def request(
        self,
        job_id: JobId,
        handler: Callee,
        args: str,
        now: int,
        carrier: Mapping[str, str] | None = None,
    ) -> JobRequest:
        """The request of a job that is enqueued at ``now``; ``carrier`` is its trace context.

        Raises:
            OptionsError: by its ``expire_on`` the job could never start.
        """
        details = self.details
        if carrier:
            details = _copy(details)
            details.carrier = carrier
        due = None if self.execute_after is None else self.execute_after.instant(now)
        expiry = None if self.expire_on is None else self.expire_on.instant(now)
        if expiry is not None:
            _require_reachable(expiry, due, now)
        return JobRequest(
            job_id,
            handler.name,
            args,
            now,
            self.max_attempts,
            self.timeout,
            due,
            expiry,
            self.queue,
            self.priority,
            self.tenant,
            details,
            handler.job_type,
            handler.method_name,
        )


class Resolver:
    """Brings the levels together for one app.

    ``decides_retries``: the storage decides about retries, so that jobs may not.
    """

    def __init__(self, options: Options, *, decides_retries: bool = False) -> None:
        timeout = options.default_timeout
        self._defaults = Resolved(
            options.default_max_attempts,
            None if timeout is None else round(timeout * MICROSECONDS),
        )
        self._decides_retries = decides_retries
        self._queue_rates = options.queue_rates

    def split(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The options of ``@app.job``: how the handler is known, and the defaults of its jobs.

        Raises:
            OptionsError: an option is unknown or wrong.
            NotSupported: the storage decides about retries.
        """
        naming = {key: read(key, options[key]) for key, read in NAMING.items() if key in options}
        defaults = {key: value for key, value in options.items() if key not in NAMING}
        if "ref_id" in defaults:
            raise OptionsError(
                "ref_id", defaults["ref_id"], "each job has its own, so give it to enqueue instead"
            )
        for key, value in defaults.items():
            if key not in READERS:
                raise unknown(key, value, {*READERS, *NAMING})
        if "tags" in defaults:  # an iterator can be read once only, and jobs are many
            defaults["tags"] = texts("tags", defaults["tags"])
        self.resolve(defaults, "any")  # a handler has a name, which may stand for its rate key
        return naming, defaults

    def resolve(self, defaults: Mapping[str, Any], name: str | None = None) -> Resolved:
        """What holds for the jobs of the handler of this ``name`` where their calls say nothing.

        The handler's own retry policy is not part of it: it may be code, which is not stored.

        Raises:
            OptionsError: an option is unknown or wrong.
            NotSupported: the storage decides about retries.
        """
        if "retry" in defaults:
            self._require_retries("retry")
            policy("retry", defaults["retry"])
            defaults = {key: value for key, value in defaults.items() if key != "retry"}
        if name and defaults.get("rate_limit") is not None and "rate_key" not in defaults:
            defaults = {**defaults, "rate_key": name}
        return self.override(self._defaults, defaults)

    def override(self, resolved: Resolved, options: Mapping[str, Any]) -> Resolved:
        """``resolved``, with the options of one call in place of its own.

        Raises:
            OptionsError: an option is unknown or wrong.
            NotSupported: the storage decides about retries.
        """
        changed = resolved.copy()
        details: Details | None = None
        for key, value in options.items():
            read = READERS.get(key)
            if read is None:
                raise unknown(key, value, READERS)
            if key in _RETRIES:
                self._require_retries(key)
            if key in _DETAILS:
                details = details or _copy(resolved.details)
                setattr(details, key, read(key, value))
            else:
                setattr(changed, key, read(key, value))
        if details is not None:
            _agree_on_lane(details, options)
            _settle_rate(details, options)
            changed.details = None if details == _NO_DETAILS else details
        if changed.details is not None and not changed.details.durable:
            _require_no_promise(changed.details)
            if changed.queue in self._queue_rates:
                raise OptionsError(
                    "queue",
                    changed.queue,
                    "it has a rate limit, of which only the storage keeps account; leave durable=False "
                    "out, or give another queue",
                )
        return changed

    def _require_retries(self, key: str) -> None:
        if self._decides_retries:
            raise NotSupported(
                f"the option {key!r}",
                "JobStorageProvider",
                "its provider decides about retries, so leave the option out",
            )


def _settle_rate(details: Details, options: Mapping[str, Any]) -> None:
    """A rate key and a limit go together; ``None`` for one takes back both."""
    if (details.rate_key is None) is (details.rate_limit is None):
        return
    missing, other = "rate_limit", "rate_key"
    if details.rate_key is None:
        missing, other = other, missing
    if missing not in options:
        raise OptionsError(
            other,
            getattr(details, other),
            f"without a {missing} it says nothing, so give that, too",
        )
    if options.get(other) is not None:
        raise OptionsError(
            missing, None, f"{other} is given and says nothing without it, so give both or neither"
        )
    details.rate_key = details.rate_limit = None


def _copy(details: Details | None) -> Details:
    """By hand, because ``copy.copy`` takes ten times as long, at every enqueue."""
    if details is None:
        return Details()
    return Details(
        details.ref_id,
        details.tags,
        details.created_by,
        details.user_id,
        details.metadata,
        details.retry,
        details.carrier,
        details.schedule_name,
        details.fire_time,
        details.parents,
        details.batch,
        details.unique_key,
        details.on_conflict,
        details.worker,
        details.context,
        details.callback,
        details.durable,
        details.errand,
        details.concurrency_key,
        details.concurrency_limit,
        details.rate_key,
        details.rate_limit,
    )


def _require_no_promise(details: Details) -> None:
    """What is kept in memory cannot promise what only a storage can keep."""
    for key in ("unique_key", "callback", "rate_key"):
        value = getattr(details, key)
        if value is not None:
            raise OptionsError(
                key, value, "a job that is not durable cannot have one; leave durable out, or this"
            )


def _agree_on_lane(details: Details, options: Mapping[str, Any]) -> None:
    """See that the options of all levels together put a job into one lane at most."""
    key = details.concurrency_key
    if key is not None and details.worker is not None:
        raise OptionsError(
            "concurrency_key",
            key,
            f"the job has the named worker {details.worker!r} already, and cannot stand in two lines "
            "at once; leave one of them out, or give worker=None",
        )
    if key is None and "concurrency_limit" in options:
        raise OptionsError(
            "concurrency_limit",
            options["concurrency_limit"],
            "without a key there is nothing to limit; give concurrency_key too",
        )
    if key is None:
        details.concurrency_limit = 1  # a call took back the key that its handler had


def _require_reachable(expiry: int, due: int | None, now: int) -> None:
    if expiry <= now:
        raise OptionsError(
            "expire_on", str(to_datetime(expiry)), "that is not later than now; give a later one"
        )
    if due is not None and due >= expiry:
        raise OptionsError(
            "execute_after",
            str(to_datetime(due)),
            f"that is not before expire_on ({to_datetime(expiry)}), so the job could never start; "
            "give an earlier one",
        )


_DETAILS = frozenset(
    {
        "retry",
        "ref_id",
        "tags",
        "created_by",
        "user_id",
        "metadata",
        "unique_key",
        "on_conflict",
        "worker",
        "callback",
        "durable",
        "concurrency_key",
        "concurrency_limit",
        "rate_key",
        "rate_limit",
    }
)
_RETRIES = frozenset({"retry", "max_attempts"})
_NO_DETAILS = Details()
