"""`Gusto`: the composition root, the only place that puts the concrete parts together."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from copy import copy
from functools import partial
from typing import Any, ParamSpec, TypeVar, Unpack, overload

import trio

from .actors.host import hosted
from .actors.node_name import node_name
from .actors.probe import Gate, Listener, Probe
from .actors.supervisor import Child, RestartBudget, Supervisor
from .actors.tree import Drain, Tree, Workers
from .actors.workplace import Workplace
from .clock import Clock, SystemClock
from .job_options import HandlerOptions, Resolver
from .model.errors import AlreadyRunning, BackendError, NotSupported, OptionsError
from .model.facts import Fact
from .options import Options
from .queue.callbacks import Callbacks, Entropy
from .queue.draft import Drafter
from .queue.ears import WorkersEars
from .queue.hooked_draft import HookedDrafter
from .queue.jobqueue import JobQueue
from .queue.middleware import Middleware, around_execution, checked, on_enqueue
from .queue.rehearsal import Rehearsal
from .serialization.calls import Calls
from .serialization.codec import Codec
from .serialization.handler import AsyncHandler, Declare, ThreadHandler
from .serialization.registry import Registry
from .services import Lifetime, ServiceResolver, Services
from .storage.beside import Transient
from .storage.finding_messages import Tallied, Tally
from .storage.memory import MemoryStorage
from .storage.storage import Storage
from .telemetry import MeterProvider, Telemetry, TracerProvider

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)


class Gusto:
    """An app: a storage, handlers, and the options they run with.

    Nothing is shared between two of these, and nothing is kept in modules. Declaring handlers does
    no I/O; the storage is opened by `running`, `connected` and `run_until_idle`, and closed when
    their block ends. An app may be run again after it has stopped, but not twice at once.

    Args:
        storage: where jobs are kept; ``None`` means a `MemoryStorage` that lives as long as the app.
        options: how jobs run (see `Options`).
        services: builds the instances that service handlers are methods of; ``None`` means the
            built-in resolver, which `provide` feeds.
        middleware: what is done around every enqueue and execution, the first outermost.
        clock: tells the time; ``None`` means the machine's.
        tracer_provider: OpenTelemetry's; ``None`` means the global one.
        meter_provider: OpenTelemetry's; ``None`` means the global one.

    Raises:
        NotSupported: the options want rate limits or ageing, and the storage has neither.

    >>> app = Gusto()
    >>> @app.job
    ... async def greet(name: str) -> str:
    ...     return f"hello {name}"
    >>> async def main() -> str:
    ...     async with app.running() as queue:
    ...         ref = await queue.enqueue(greet, "Ann")
    ...         return await ref.result()
    >>> import trio
    >>> trio.run(main)
    'hello Ann'
    """

    def __init__(
        self,
        storage: Storage | None = None,
        *,
        options: Options | None = None,
        services: ServiceResolver | None = None,
        middleware: Sequence[Middleware] = (),
        clock: Clock | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self.storage = MemoryStorage() if storage is None else storage
        self.options = Options() if options is None else options
        self._clock = SystemClock() if clock is None else clock
        self._own_services = Services() if services is None else None
        self._services: ServiceResolver = services or self._own_services or Services()
        self._middleware = checked(middleware)
        self._providers = (tracer_provider, meter_provider)
        self._registry = Registry()
        self._codec = Codec(
            max_bytes=self.options.max_argument_bytes,
            max_result_bytes=self.options.max_result_bytes,
        )
        self._calls = Calls(self._codec)
        self._resolver = Resolver(self.options, decides_retries=self.storage.decides_retries)
        self._in_memory = Transient()
        self._callbacks = Callbacks(self._registry, self._resolver, self._clock)
        self._entropy: Entropy = os.urandom
        self._listener: Listener | None = None
        _require_rates(self.storage, self.options)
        self._is_running = False

    # --- declare ---

    @overload  # async first: a plain function may return anything, so also a coroutine
    def job(self, fn: Callable[P, Awaitable[R]], /) -> AsyncHandler[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def job(self, fn: Callable[P, R], /) -> ThreadHandler[P, R]: ...
    @overload
    def job(self, /, **options: Unpack[HandlerOptions]) -> Declare: ...
    def job(self, fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Declare a function as a handler; with options, the defaults of its jobs.

        Besides the options of `JobQueue.enqueue`: ``name`` (default: module and qualified name),
        ``aliases`` (names that stored jobs may have had before), ``thread`` (a plain ``def`` runs
        in a worker thread; ``False`` runs it on the event loop, which it then must not block).

        Raises:
            DuplicateHandler: the name is taken.
            OptionsError: an option is unknown or wrong.
            NotSupported: the storage decides about retries, and the options say something of them.
        """

        def declare(function: Callable[..., Any]) -> Any:
            names, defaults = self._resolver.split(options)
            return self._registry.add(function, options=defaults, **names)

        return declare if fn is None else declare(fn)

    @overload
    def service(self, cls: C, /, *, lifetime: Lifetime = "scoped") -> C: ...
    @overload
    def service(self, /, *, lifetime: Lifetime = "scoped") -> Callable[[C], C]: ...
    def service(self, cls: Any = None, /, *, lifetime: Lifetime = "scoped") -> Any:
        """Declare a class whose public methods are handlers.

        It is built by the service resolver when one of its jobs runs: ``"scoped"`` once per job,
        ``"singleton"`` once per run of the app, ``"transient"`` each time it is asked for.

        Raises:
            DuplicateHandler: a method's name is taken.
        """

        def declare(service: C) -> C:
            self._registry.add_service(service, lifetime=lifetime)
            if self._own_services is not None:
                self._own_services.provide(service, service, lifetime=lifetime)
            return service

        return declare if cls is None else declare(cls)

    def provide(
        self, kind: type, factory: Callable[..., Any], *, lifetime: Lifetime = "singleton"
    ) -> None:
        """Tell the built-in resolver how to make a ``kind`` for constructors that want one.

        Raises:
            OptionsError: the app was given a resolver of its own.
        """
        if self._own_services is None:
            raise OptionsError(
                "services", self._services, "register the factory with the resolver you brought"
            )
        self._own_services.provide(kind, factory, lifetime=lifetime)

    def rehearsal(self) -> Rehearsal:
        """What stored jobs and schedules would meet here; ``trio-gusto preflight`` asks it.

        It runs no handler, and knows no storage.
        """
        return Rehearsal(self._registry, self._calls, self._callbacks)

    # --- run ---

    def running(self, *, barriers: Gate | None = None) -> AbstractAsyncContextManager[JobQueue]:
        """Run jobs: storage and all actors, in a nursery that ends with the block.

        Leaving the block drains: nothing more is claimed, running jobs may end within
        ``options.drain_timeout``, then they are cancelled and their attempts given back. When the
        block is left by a cancellation there is no such patience, only the final writes.

        Args:
            barriers: a `trio_gusto.testing.Barriers`, for tests.

        Raises:
            BackendError: not on Trio (or AnyIO with its Trio backend).
            AlreadyRunning: the app runs already.
            StorageError: the storage cannot be opened.
        """
        return self._open(consumer=True, barriers=barriers)

    def connected(self) -> AbstractAsyncContextManager[JobQueue]:
        """Enqueue, look and manage only; runs no job.

        Raises:
            BackendError: not on Trio (or AnyIO with its Trio backend).
            AlreadyRunning: the app runs already.
            StorageError: the storage cannot be opened.
        """
        return self._open(consumer=False, barriers=None)

    async def run_until_idle(self) -> None:
        """Run everything that is due, and what that makes due, then return.

        Jobs that are scheduled for later stay where they are.

        Raises:
            BackendError: not on Trio (or AnyIO with its Trio backend).
            AlreadyRunning: the app runs already.
            StorageError: the storage cannot be opened.
        """
        async with self.connected() as queue:
            await queue.work_until_idle()

    def replica(
        self,
        storage: Storage,
        *,
        options: Options | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        listener: Callable[[Fact], None] | None = None,
    ) -> Gusto:
        """The same handlers, services and middleware on ``storage``: another process of one program.

        What is declared with either of them later is declared with both. Singleton services are built
        anew, and telemetry goes to the global providers.

        Args:
            storage: where its jobs are kept.
            options: how they run; ``None`` means like here.
            clock: tells it the time; ``None`` means like here.
            entropy: gives so many random bytes, for ids and for the name of its run; ``None`` means
                `os.urandom`.
            listener: called with every fact of this process from the first one on; may not block.

        Raises:
            NotSupported: the options want rate limits or ageing, and the storage has neither.
        """
        replica = copy(self)
        replica.storage = storage
        replica.options = self.options if options is None else options
        replica._clock = self._clock if clock is None else clock
        replica._entropy = os.urandom if entropy is None else entropy
        replica._listener = listener
        replica._providers = (None, None)
        if self._own_services is not None:
            replica._services = replica._own_services = self._own_services.replica()
        replica._in_memory = Transient()
        replica._callbacks = Callbacks(
            self._registry, self._resolver, replica._clock, replica._entropy
        )
        _require_rates(storage, replica.options)
        replica._is_running = False
        return replica

    # --- inside ---

    @asynccontextmanager
    async def _open(self, *, consumer: bool, barriers: Gate | None) -> AsyncGenerator[JobQueue]:
        _require_trio()
        if self._is_running:
            raise AlreadyRunning
        self._is_running = True
        try:
            async with self._singletons():
                tree = self._tree(consumer=consumer, barriers=barriers)
                queue = self._queue(tree)  # before its workers run: handlers may ask for it at once
                async with hosted(tree):
                    yield queue
        finally:
            self._is_running = False

    def _singletons(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._own_services is None else self._own_services.running()

    def _tree(self, *, consumer: bool, barriers: Gate | None) -> Tree:
        telemetry = Telemetry.create(*self._providers, clock=self._clock)
        if barriers is not None:
            barriers.begin()
        probe = Probe(barriers, telemetry)
        if self._listener is not None:
            probe.subscribe(self._listener)
        workplace = self._workplace() if consumer else None
        beside = (
            [] if telemetry is None else [Child("telemetry", partial(telemetry.run, self._tally))]
        )
        node = node_name(self.options.node_name, self._entropy)
        return Tree(
            node, self.storage, probe, self._clock, self.options, workplace, beside, self._in_memory
        )

    async def _tally(self) -> Tallied:
        return await self.storage.read(Tally())

    def _workplace(self) -> Workplace:
        return Workplace(
            self._registry,
            self._codec,
            self._calls,
            self._services,
            self.options.default_retry,
            self._callbacks.job,
            around_execution(self._middleware),
        )

    def _queue(self, tree: Tree) -> JobQueue:
        telemetry = tree.probe.observer
        hooks = on_enqueue(self._middleware)
        drafter = (HookedDrafter if hooks else Drafter)(
            self._registry,
            self._codec,
            self._calls,
            self._resolver,
            self._callbacks,
            self._clock,
            tree.probe,
            telemetry.carrier if isinstance(telemetry, Telemetry) else None,
        )
        if isinstance(drafter, HookedDrafter):
            drafter.hooks = hooks
        ears = WorkersEars(tree.workers, tree.resolver.note)

        async def work_until_idle() -> None:
            await self._work_until_idle(tree, ears, queue)

        queue = JobQueue(tree.desk, tree.waiters, drafter, ears, work_until_idle, tree.node)
        if tree.workers is not None:
            tree.workers.workplace.queue = queue
        return queue

    async def _work_until_idle(self, tree: Tree, ears: WorkersEars, queue: JobQueue) -> None:
        """Have everything due run: by the workers that are there, or by some hired for the while."""
        while ears.workers is not None:
            ears.workers.cron.wake()
            ears.workers.poller.wake()
            async with trio.open_nursery() as nursery:
                # Whoever has hired them may dismiss them; then it is our turn to hire.
                nursery.start_soon(_cancel_when, ears.left, nursery.cancel_scope)
                await _until_idle(ears.workers, tree)
                nursery.cancel_scope.cancel()
                return
        workers = ears.workers = tree.hire(self._workplace())
        workers.workplace.queue = queue
        budget = RestartBudget(tree.options.restart_limit, tree.options.restart_period)
        supervisor = Supervisor(budget, tree.probe, tree.clock)
        try:
            async with trio.open_nursery() as nursery:
                await supervisor.start(nursery, workers.children())
                nursery.start_soon(_cancel_when, supervisor.failed, nursery.cancel_scope)
                await _until_idle(workers, tree)
                await workers.come_down(supervisor, Drain())
                nursery.cancel_scope.cancel()
        finally:
            ears.dismiss()
        if supervisor.fault is not None:
            raise supervisor.fault


async def _until_idle(workers: Workers, tree: Tree) -> None:
    """Until nothing is due, and nothing will be that waits for what has ended."""
    while True:
        await tree.resolver.until_idle()
        await workers.until_idle()
        if tree.resolver.is_idle():
            return


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _require_rates(storage: Storage, options: Options) -> None:
    for key in ("queue_rates", "priority_ageing"):
        if getattr(options, key) and not storage.keeps_rates:
            raise NotSupported(
                f"the option {key!r}",
                type(storage).__name__,
                "leave the option out, or use another storage",
            )


def _require_trio() -> None:
    if not trio.lowlevel.in_trio_run():
        raise BackendError(
            "trio-gusto runs on Trio, and this is another event loop or none; "
            "start the program with trio.run(main), or anyio.run(main, backend='trio')"
        )
