"""Writes the pages that are made from the code, so that they cannot disagree with it.

Each entry of `PAGES` maps a page to the function that returns its text. With `--check` nothing is
written; the exit status tells whether every page is as its function would write it.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).parent

PAGES: Mapping[str, Callable[[], str]] = {}


def main(arguments: list[str]) -> int:
    check = arguments == ["--check"]
    if arguments and not check:
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    stale = 0
    for name, make in PAGES.items():
        page = HERE / name
        text = make()
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check:
            print(f"docs/{name} is not what the code says; run `make format`", file=sys.stderr)
        else:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, encoding="utf-8")
            print(f"docs/{name} written")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
