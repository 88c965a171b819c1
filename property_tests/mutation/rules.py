"""Mutants that mean the same as the code by a rule, so that nobody has to record them one by one.

A rule is asked of survivors only, and it has to be certain: what it lets pass, no test can tell.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import zip_longest

_SQL = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|AND|OR|NOT|TRUE|NULL|ORDER BY|VALUES|SET|CREATE|DROP|PRAGMA|BEGIN"
    r"|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|ATTACH|JOIN|UNION ALL)\b"
)
_QUOTED = re.compile(r"'(?:[^']|'')*'")


def is_the_same(original: str, mutated: str) -> bool:
    """Whether a mutated function means the same as the original one, by one of the rules.

    - Types that only a type checker reads: the first argument of ``cast``.
    - A case that only a type checker asks for: ``case _: assert_never(...)``.
    - SQL in other letters: its keywords and names are the same in either case, what is in quotes is not.
    """
    one, other = (_WithoutNever().visit(ast.parse(code)) for code in (original, mutated))
    for was, becomes, within in _differences(one, other, None):
        if isinstance(within, ast.Call) and _is_cast(within) and was is within.args[0]:
            continue
        if _is_same_sql(was, becomes):
            continue
        return False
    return True


class _WithoutNever(ast.NodeTransformer):
    """Takes cases away that a type checker has proved that nothing comes to."""

    def visit_Match(self, node: ast.Match) -> ast.AST:
        node.cases = [case for case in node.cases if not _is_never(case)]
        return self.generic_visit(node)


def _is_never(case: ast.match_case) -> bool:
    is_all = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
    match case.body:
        case [ast.Expr(ast.Call(ast.Name("assert_never")))]:
            return is_all and case.guard is None
        case _:
            return False


def _differences(
    was: ast.AST | None, becomes: ast.AST | None, within: ast.AST | None
) -> Iterator[tuple[ast.AST | None, ast.AST | None, ast.AST | None]]:
    """The nodes that differ, the outermost of each, and what they are in."""
    if type(was) is not type(becomes) or was is None or becomes is None:
        yield was, becomes, within
        return
    ours, theirs = list(ast.iter_child_nodes(was)), list(ast.iter_child_nodes(becomes))
    if _own(was) != _own(becomes) or len(ours) != len(theirs):
        yield was, becomes, within
        return
    for one, other in zip_longest(ours, theirs):
        yield from _differences(one, other, was)


def _own(node: ast.AST) -> list[object]:
    """What a node says besides the nodes in it."""
    return [
        value
        for _, value in ast.iter_fields(node)
        if not isinstance(value, ast.AST | list)
        or (isinstance(value, list) and not any(isinstance(each, ast.AST) for each in value))
    ]


def _is_cast(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "cast" and len(call.args) == 2


def _is_same_sql(was: ast.AST | None, becomes: ast.AST | None) -> bool:
    if not (isinstance(was, ast.Constant) and isinstance(becomes, ast.Constant)):
        return False
    one, other = was.value, becomes.value
    if not (isinstance(one, str) and isinstance(other, str) and _SQL.search(one)):
        return False
    return _QUOTED.findall(one) == _QUOTED.findall(other) and one.casefold() == other.casefold()
