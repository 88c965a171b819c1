"""What is logged while a job runs comes into its log as it was meant."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import TracebackType

import pytest

from trio_gusto import JobLogHandler
from trio_gusto.actors import log_handler
from trio_gusto.actors.joblog import LOGGER, JobLogger, write_down

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def record(
    message: str = "at %d", *args: object, name: str = "lib", exc_info: ExcInfo | None = None
) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "", 1, message, args, exc_info)


class Notes(list[tuple[str, str]]):
    """A job's log."""

    def take(self, level: str, text: str) -> None:
        self.append((level, text))


def test_a_record_is_written_with_its_level_and_text() -> None:
    notes = Notes()
    write_down(record("at %d", 7), notes.take)
    assert notes == [("warning", "at 7")]


def test_a_record_whose_arguments_do_not_fit_says_so() -> None:
    notes = Notes()
    write_down(record("at %d", "x"), notes.take)
    assert notes == [("warning", "'at %d' (its arguments do not fit: TypeError)")]


@pytest.mark.parametrize("is_there", [True, False])
def test_an_exception_is_written_below_the_text_if_there_is_one(is_there: bool) -> None:
    notes = Notes()
    made = record("broken", exc_info=(None, None, None))
    if is_there:
        try:
            raise ValueError("no")
        except ValueError:
            made.exc_info = sys.exc_info()
    write_down(made, notes.take)
    ((_, text),) = notes
    if is_there:
        assert text.startswith("broken\nTraceback (most recent call last):\n")
        assert text.endswith("ValueError: no")
    else:
        assert text == "broken"
    assert made.exc_text is None, "what others format is theirs"


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_job_s_logger_writes_to_both_logs(
    caplog: pytest.LogCaptureFixture, is_kept: bool
) -> None:
    notes = Notes()
    logger = JobLogger(notes.take if is_kept else None)
    logger.debug("too fine")
    logger.info("at %d", 7)
    assert notes == ([("info", "at 7")] if is_kept else [])
    assert caplog.record_tuples == [(LOGGER, logging.INFO, "at 7")]


def test_a_job_s_logger_is_heard_by_handlers_of_its_name() -> None:
    heard: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    handler = Handler()
    logging.getLogger(LOGGER).addHandler(handler)
    try:
        JobLogger(None).info("at %d", 7)
    finally:
        logging.getLogger(LOGGER).removeHandler(handler)
    assert heard == ["at 7"]


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], Notes]:
    """Has a job run here, or not."""

    def run(is_there: bool) -> Notes:
        notes = Notes()
        monkeypatch.setattr(log_handler, "job_log", lambda: notes.take if is_there else None)
        return notes

    return run


@pytest.mark.parametrize(
    ("is_there", "name", "expected"),
    [
        (True, "lib", [("warning", "at 7")]),
        (True, LOGGER, []),
        (False, "lib", []),
    ],
)
def test_a_handler_writes_what_others_log_while_a_job_runs(
    running: Callable[[bool], Notes], is_there: bool, name: str, expected: list[object]
) -> None:
    notes = running(is_there)
    JobLogHandler().emit(record("at %d", 7, name=name))
    assert notes == expected


def test_a_record_that_two_handlers_hear_is_written_once(
    running: Callable[[bool], Notes],
) -> None:
    notes, made = running(True), record("at %d", 7)
    JobLogHandler().emit(made)
    JobLogHandler().emit(made)
    assert len(notes) == 1


def test_a_handler_leaves_out_what_is_below_its_level() -> None:
    assert JobLogHandler(logging.ERROR).level == logging.ERROR
    assert JobLogHandler().level == logging.NOTSET
