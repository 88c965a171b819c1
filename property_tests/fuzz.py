"""Garbage from a fuzzer that is led by what code it reaches: bytes, and not the draws of a strategy.

``python -m property_tests.fuzz cron --minutes 2``; ``all`` takes one after the other. Needs the extra
``fuzz``. What leads somewhere new is kept in a folder, and the next run begins with it.

The fuzzer is Atheris, https://github.com/google/atheris.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

EXPRESSIONS = (
    "*/5 9-17 * * MON-FRI",
    "0 0 12 LW JAN ?",
    "59 23 L * 5#3",
    "@daily",
    "H H(0-5) * * *",
)
VALUES = (
    '"2026-01-01T00:00:00+00:00"',
    '"PT1.5H"',
    '[1,2.5e3,null,true,"free"]',
    '{"name":"a","plan":"free","lines":[{"id":1}]}',
    '{"$type":"Order","customer":{"name":"a"}}',
    '"0190a3f0-0000-7000-8000-000000000000"',
)
CALLS = ("[[1],{}]", '[["a"],{"named":2}]', '{"args":[],"kwargs":{"value":1}}')
SETTINGS = (
    '{"concurrency":5,"lease":60}',
    '{"default_retry":{"exponential":{"base":1,"cap":60}}}',
    '{"retention":{"default":86400,"rules":[{"keep-for":60,"states":["failed"]}]}}',
    '{"queue_rates":{"mail":"5/s"}}',
)


def laws() -> Mapping[str, tuple[Callable[[bytes], object], Sequence[str]]]:
    """What is fuzzed, by name, and with what it begins; imported as late as this to be instrumented."""
    from property_tests import test_garbage_laws as law
    from property_tests.garbage import check_that_it_is_read_or_refused as check
    from property_tests.typed_values import Customer, Order, Plan, mapping, plain, row
    from trio_gusto import Options, OptionsError, ScheduleError
    from trio_gusto.model.cron.expression import parse
    from trio_gusto.serialization.codec import DecodeError

    kinds = [*plain, Customer | Order, Plan, mapping[str, int], row[int, str], list[float | None]]

    def text_of(data: bytes) -> str:
        return data.decode("utf-8", "surrogateescape")

    def wired(read: Callable[[Any], object]) -> Callable[[bytes], object]:
        def run(data: bytes) -> None:
            kind = kinds[(data[0] if data else 0) % len(kinds)]
            check(read, (kind, text_of(data[1:])), DecodeError)

        return run

    def options(data: bytes) -> None:
        try:
            mapping = json.loads(text_of(data))
        except (ValueError, RecursionError):
            return
        if isinstance(mapping, dict):
            check(Options.from_mapping, mapping, OptionsError)

    def cron(data: bytes) -> None:
        check(parse, text_of(data), ScheduleError)

    return {
        "cron": (cron, EXPRESSIONS),
        "value": (wired(law.read_value), VALUES),
        "call": (wired(law.read_call), CALLS),
        "result": (wired(law.read_result), VALUES),
        "options": (options, SETTINGS),
    }


def fuzz(name: str, minutes: float, seed: int, corpus: Path) -> None:
    """Fuzz one law for some minutes, and end the process; with 0 if it holds."""
    try:
        atheris: Any = importlib.import_module("atheris")  # an extra, on some systems only
    except ImportError:
        sys.exit("fuzzing needs atheris, which is not installed: pip install -e '.[dev,fuzz]'")
    with atheris.instrument_imports(include=["trio_gusto.model.cron", "trio_gusto.serialization"]):
        run, seeds = laws()[name]
    corpus.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(seeds):
        lead = "" if name in ("cron", "options") else chr(number)
        (corpus / f"begin-{number}").write_text(lead + text)
    own = [f"-max_total_time={60 * minutes:.0f}", f"-seed={seed}", "-max_len=512", "-timeout=10"]
    own += ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={corpus}/broken-"]
    sys.stdout.write(f"fuzzing {name}\n")
    sys.stdout.flush()
    atheris.Setup([name, *own, str(corpus)], run)
    atheris.Fuzz()


def main(arguments: Sequence[str]) -> int:
    """Fuzz one law, or each for its time. Returns 1 if one is broken."""
    names = ["cron", "value", "call", "result", "options"]
    parser = argparse.ArgumentParser(prog="python -m property_tests.fuzz", description=__doc__)
    parser.add_argument("law", choices=[*names, "all"])
    parser.add_argument("--minutes", type=float, default=1.0, help="for each law; default 1")
    parser.add_argument("--seed", type=int, default=1, help="a number; default 1")
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"), help="what led somewhere")
    asked = parser.parse_args(arguments)
    if asked.law != "all":
        fuzz(asked.law, asked.minutes, asked.seed, asked.corpus / asked.law)
    for name in names:  # a process each: the fuzzer ends its own
        command = [sys.executable, "-m", "property_tests.fuzz", name, "--seed", f"{asked.seed}"]
        command += ["--minutes", f"{asked.minutes}", "--corpus", str(asked.corpus)]
        if subprocess.run(command, check=False).returncode:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
