"""The page on audits names every invariant, with the words of the code."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

from trio_gusto.model.audit import findings

ROOT = Path(__file__).parents[2]


def test_the_page_has_every_invariant() -> None:
    page = (ROOT / "docs/how-to/audit-a-database.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", page, re.MULTILINE))
    tree = ast.parse(Path(findings.__file__).read_text(encoding="utf-8"))
    (invariants,) = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Invariant"
    ]
    said = {
        ast.literal_eval(one.value): " ".join(ast.literal_eval(words.value).split())
        for one, words in pairwise(invariants.body)
        if isinstance(one, ast.Assign) and isinstance(words, ast.Expr)
    }
    assert said.keys() == {str(one.value) for one in findings.Invariant}
    assert shown == {name: text.replace("``", "`") for name, text in said.items()}
