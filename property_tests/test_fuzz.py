"""What the fuzzer is given can fail; the fuzzer itself runs with `make fuzz`."""

from __future__ import annotations

import pytest

from property_tests import fuzz

LAWS = fuzz.laws()


@pytest.mark.parametrize("name", LAWS)
def test_what_it_begins_with_is_read_or_refused(name: str) -> None:
    run, seeds = LAWS[name]
    for kind in range(64):
        for text in seeds:
            lead = "" if name in ("cron", "options") else chr(kind)
            run((lead + text).encode())
    run(b"")
    run(b"\xff\xfe")


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("cron", "trio_gusto.model.cron.expression.parse"),
        ("value", "property_tests.test_garbage_laws.read_value"),
        ("call", "property_tests.test_garbage_laws.read_call"),
        ("options", "trio_gusto.Options.from_mapping"),
    ],
)
def test_another_error_is_found(name: str, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: object) -> None:
        raise KeyError

    monkeypatch.setattr(reader, read)
    run, seeds = fuzz.laws()[name]
    with pytest.raises(AssertionError, match="garbage is read or is"):
        run(seeds[0].encode())
