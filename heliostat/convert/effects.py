"""Which names a statement defines, changes and uses, and which statements others need. Pure."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from heliostat.convert.source import Statement

_CHANGING: Final = frozenset({
    "fit", "fit_transform", "fit_predict", "partial_fit", "set_params", "append", "extend", "insert", "update",
    "pop", "remove",
    "clear", "sort", "reverse", "setdefault", "add", "discard", "seed", "shuffle", "add_step",
})  # fmt: skip
"""Methods that change what they are called on."""
_BUILTINS: Final = frozenset(dir(builtins))


@dataclass(frozen=True)
class Effects:
    """Names by what a statement does with them."""

    defines: frozenset[str]
    changes: frozenset[str]
    uses: frozenset[str]


def effects_of(node: ast.AST) -> Effects:
    """The effects of a statement, with those of everything inside of it."""
    visitor = _Visitor()
    visitor.visit(node)
    changes = visitor.changes - visitor.own
    return Effects(
        frozenset(visitor.defines), frozenset(changes), frozenset((visitor.uses | changes) - visitor.own - _BUILTINS)
    )


def table(nodes: Sequence[ast.stmt]) -> list[Effects]:
    """The effects of each statement; one that uses a function has that function's effects on what is outside of it too."""
    functions: dict[str, Effects] = {}
    found = []
    for node in nodes:
        own = effects_of(node)
        reached = _reached(own.uses, functions)
        changes = own.changes if isinstance(node, ast.FunctionDef) else own.changes.union(*(each.changes for each in reached))
        uses = own.uses.union(changes, *(each.uses for each in reached))
        found.append(Effects(own.defines, frozenset() if isinstance(node, ast.FunctionDef) else changes, uses))
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = own
    return found


def needed(statements: Sequence[Statement], wanted: Iterable[str], before: int) -> list[int]:
    """The places of the statements before the one at `before` that the values of `wanted` there depend on, in their order."""
    live, chosen = set(wanted), list[int]()
    effects = table([each.node for each in statements[:before]])
    for index in range(before - 1, -1, -1):
        found = effects[index]
        if not (found.defines | found.changes) & live:
            continue
        chosen.append(index)
        if _replaces(statements[index].node):
            live -= found.defines - found.changes
        live |= found.uses
    return chosen[::-1]


def _reached(names: Iterable[str], functions: Mapping[str, Effects]) -> list[Effects]:
    """The functions that some names lead to, directly or through each other."""
    waiting, seen = [name for name in names if name in functions], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [each for each in functions[name].uses if each in functions]
    return [functions[name] for name in sorted(seen)]


def base_name(node: ast.expr) -> str | None:
    """The variable that an expression such as `df.loc[a]["b"]` is of."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def is_in_place(call: ast.Call) -> bool:
    """Whether a call says `inplace=True`."""
    return any(
        each.arg == "inplace" and isinstance(each.value, ast.Constant) and each.value.value is True for each in call.keywords
    )


def _replaces(node: ast.stmt) -> bool:
    """Whether it always gives its names new values: what stands in an `if` or a loop may leave the old."""
    return isinstance(node, ast.Assign | ast.AnnAssign | ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)


class _Visitor(ast.NodeVisitor):
    def __init__(self) -> None:
        self.defines: set[str] = set()
        self.changes: set[str] = set()
        self.uses: set[str] = set()
        self.own: set[str] = set()
        """Names of functions' arguments and comprehensions, which are nobody else's."""

    def visit_Name(self, node: ast.Name) -> None:
        (self.uses if isinstance(node.ctx, ast.Load) else self.defines).add(node.id)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.changes.add(node.target.id)
        self.visit(node.target)
        self.visit(node.value)
        self.defines -= self.changes

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._changed(node)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._changed(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute) and (function.attr in _CHANGING or is_in_place(node)):
            name = base_name(function.value)
            if name is not None:
                self.changes.add(name)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.defines |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}

    visit_ImportFrom = visit_Import

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.defines.add(node.name)
        inner = _Visitor()
        for part in [*node.args.defaults, *node.decorator_list, *node.body]:
            inner.visit(part)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        own = {each.arg for each in arguments} | {each.arg for each in (node.args.vararg, node.args.kwarg) if each}
        shared = {name for each in ast.walk(node) if isinstance(each, ast.Global) for name in each.names}
        self.uses |= inner.uses - own - (inner.defines - shared) - inner.own
        self.changes |= (inner.changes - own - inner.defines) | (inner.defines & shared)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.defines.add(node.name)
        inner = _Visitor()
        for part in [*node.bases, *node.body]:
            inner.visit(part)
        self.uses |= inner.uses - inner.defines - inner.own

    def visit_Lambda(self, node: ast.Lambda) -> None:
        inner = _Visitor()
        inner.visit(node.body)
        self.uses |= inner.uses - {each.arg for each in node.args.args}
        for default in node.args.defaults:
            self.visit(default)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        inner = _Visitor()
        inner.generic_visit(node)
        self.uses |= inner.uses - inner.defines
        self.changes |= inner.changes - inner.defines

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp

    def _changed(self, node: ast.Subscript | ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Store | ast.Del):
            name = base_name(node)
            if name is not None:
                self.changes.add(name)
