"""Laws of what jobs say of themselves, whatever they do meanwhile and whatever the storage does.

- What a job said last is stored when it has ended: its progress, and the end of its log.
- What is seen of its progress before was said, in this order.
- Nothing else is seen: no job shows what another has said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from trio.testing import MockClock

from property_tests.broken.reports import PROMISES
from property_tests.report_agreement import ReportAgreement
from trio_gusto import Gusto, MemoryStorage, Options, Retry, current_job, fixed
from trio_gusto.actors.reports import Reports
from trio_gusto.model.errors import GustoError
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.storage.report_messages import Report
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import Fault, FaultyStorage, VirtualClock

steps = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 100)),
    st.tuples(st.just("log"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0])),
    st.tuples(st.just("fail"), st.just(0)),
)
scripts = st.lists(st.lists(steps, max_size=8), min_size=1, max_size=6)
faults = st.lists(
    st.builds(
        Fault,
        nth=st.integers(2, 12),
        after_commit=st.booleans(),
        delay=st.sampled_from([0.0, 0.7]),
    ),
    max_size=3,
)


class Watched(MemoryStorage):
    """Remembers the progress that was stored, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[bytes, list[float]] = defaultdict(list)

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        replies = await super().apply(writes)
        for write in writes:
            if isinstance(write, Report):
                for saying in write.sayings:
                    if saying.progress is not None:
                        self.seen[saying.job_id].append(saying.progress.percent)
        return replies


def check_reports(
    jobs: list[list[tuple[str, Any]]], trouble: list[Fault], enough: int, entries: int
) -> None:
    """Run jobs that follow their scripts, and check the laws."""
    watched = Watched()
    options = Options(
        concurrency=2,
        progress_flush_interval=1,
        progress_flush_batch_size=enough,
        max_log_entries=entries,
    )
    app = Gusto(FaultyStorage(watched, trouble), options=options, clock=VirtualClock())
    said: dict[bytes, list[float]] = defaultdict(list)
    logged: dict[bytes, list[str]] = defaultdict(list)

    @app.job(retry=fixed(2), max_attempts=20)
    async def play(number: int) -> None:
        context = current_job()
        mine = context.id.bytes
        for verb, value in jobs[number]:
            match verb:
                case "say":
                    # No two are alike, so that it is known which was meant.
                    percent = value * 0.9 + len(said[mine]) / 1000
                    said[mine].append(percent)
                    context.progress(percent, f"{number}")
                case "log":
                    logged[mine].append(f"{number}: {value}")
                    context.log(logged[mine][-1])
                case "wait":
                    await trio.sleep(value)
                case _:
                    if context.attempt == 1:
                        raise Retry(after=2)

    async def enqueue_all(queue: Any) -> list[Any]:
        refs: list[Any] = []
        for number in range(len(jobs)):
            while True:
                try:
                    refs.append(await queue.enqueue(play, number))
                except GustoError:
                    continue  # a fault of the storage; perhaps it is stored all the same
                break
        return refs

    async def main() -> None:
        with trio.fail_after(10_000):
            async with app.running() as queue:
                refs = await enqueue_all(queue)
                for ref in refs:
                    job = await ref.wait()
                    mine = ref.id.bytes
                    last = said[mine][-1] if said[mine] else None
                    found = None if job.progress is None else job.progress.percent
                    assert found == last, "the last progress was lost"
                    assert is_subsequence(watched.seen[mine], said[mine])
                    log = await queue.logs(ref)
                    kept = [entry.message for entry in log]
                    assert kept == logged[mine][-entries:], "the end of the log was lost"
                    assert log.dropped + len(kept) == len(logged[mine])

    trio.run(main, clock=MockClock(autojump_threshold=0))


def is_subsequence(seen: list[float], said: list[float]) -> bool:
    """Whether what was seen was said in this order; once more is allowed, when a reply was lost."""
    rest = iter(said)
    last: float | None = None
    for percent in seen:
        if percent != last and percent not in rest:
            return False
        last = percent
    return True


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@given(jobs=scripts, trouble=faults, enough=st.integers(1, 12), entries=st.integers(1, 5))
def test_what_a_job_says_last_is_never_lost(
    jobs: list[list[tuple[str, Any]]], trouble: list[Fault], enough: int, entries: int
) -> None:
    check_reports(jobs, trouble, enough, entries)


# --- planted faults -----------------------------------------------------------------------------------


class LeavesItToTheReporter(Reports):
    def go_before(self) -> None:
        pass


class LetsOutcomesOvertake(Reports):
    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, (lambda: None) if name == "on_first" else value)


class WritesWhatWasSaidFirst(Reports):
    def progress(self, lease: Any, percent: float, message: str) -> None:
        words = self.pending.get(lease)
        if words is None or words.progress is None:
            super().progress(lease, percent, message)


class TakesTheWordsOfTheRunningOnly(Reports):
    def take(self, *, everything: bool) -> Report:
        return super().take(everything=False) if not everything else self._of_the_running()

    def _of_the_running(self) -> Report:
        ended = {lease: words for lease, words in self.pending.items() if lease.over}
        report = super().take(everything=True)
        gone = {lease.claimed.request.id for lease in ended}
        report.sayings = [one for one in report.sayings if one.job_id not in gone]
        return report


PLANTED = (
    LeavesItToTheReporter,
    LetsOutcomesOvertake,
    WritesWhatWasSaidFirst,
    TakesTheWordsOfTheRunningOnly,
)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_the_law_catches(planted: type[Reports], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_gusto.actors.tree.Reports", planted)

    @settings(max_examples=1000, derandomize=True, database=None, phases=[Phase.generate])
    @given(jobs=scripts, enough=st.integers(1, 12), entries=st.integers(1, 5))
    def search(jobs: list[list[tuple[str, Any]]], enough: int, entries: int) -> None:
        check_reports(jobs, [], enough, entries)

    with pytest.raises((AssertionError, BaseExceptionGroup)):
        search()


@pytest.mark.parametrize("broken", [broken for broken, _ in PROMISES], ids=lambda b: b.__name__)
def test_the_machine_that_compares_storages_catches(broken: type[MemoryStorage]) -> None:
    class Caught(ReportAgreement):
        def make_storage(self, path: Path) -> Storage:
            return broken()

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Caught,
            settings=settings(
                max_examples=2000,
                stateful_step_count=40,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
            ),
        )
