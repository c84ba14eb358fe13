"""Goes through a program as Python would and finds what each expression is and does, without running anything."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace

from heliostat.convert.calls import Calls
from heliostat.convert.kinds import CONST, Event, Happening, Kind, Value, constant, joined
from heliostat.convert.source import Statement, shown
from heliostat.convert.vocabulary import ACCESSORS, BUNCH_ROWS, COUNTS, SCHEMA

_CARRIED = (Kind.ROWS, Kind.VALUE, Kind.ESTIMATOR)
"""What makes the list or mapping that it is put into something of its kind."""
_DEPTH = 8
"""How many calls of the program's own functions inside of each other are followed."""


class Interpreter(Calls):
    """What is known after each statement.

    Attributes:
        events: What happens, in order.
        kinds: What each expression is, by the identity of its node.
        variables: What each variable is at the end.
        history: The same before each statement, and at the end.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.kinds: dict[int, Value] = {}
        self.variables: dict[str, Value] = {}
        self.history: list[dict[str, Value]] = []
        self.index = 0
        self.depth = 0
        self.is_seeded = False
        self._in_masked = False

    def run(self, statements: Sequence[Statement]) -> None:
        """Go through statements in their order."""
        for self.index, statement in enumerate(statements):
            self.history.append(dict(self.variables))
            self.statement(statement.node)
        self.history.append(dict(self.variables))

    def statement(self, node: ast.stmt) -> None:
        """Go through one statement."""
        handler: Callable[[ast.stmt], None] = getattr(self, f"_do_{type(node).__name__}", self._do_others)
        handler(node)

    def value(self, node: ast.expr | None) -> Value:
        """What an expression is."""
        if node is None:
            return CONST
        handler: Callable[[ast.expr], Value] = getattr(self, f"_of_{type(node).__name__}", self._of_others)
        found = handler(node)
        self.kinds[id(node)] = found
        return found

    def happens(self, what: Happening, node: ast.AST, part: str = "all", text: str = "", value: Value = CONST) -> None:
        """Note what an expression does."""
        if what is Happening.FILTER and self._in_masked:
            return
        self.events.append(Event(what, node, self.index, part, text, value, self.depth > 0))

    # Statements

    def _do_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            path = alias.name if alias.asname else alias.name.partition(".")[0]
            self.variables[alias.asname or path] = Value(Kind.NAME, path)

    def _do_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self.variables[alias.asname or alias.name] = Value(
                Kind.NAME, f"{'.' * node.level}{node.module or ''}.{alias.name}"
            )

    def _do_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.variables[node.name] = Value(Kind.FUNCTION, node.name, node=node)

    def _do_Assign(self, node: ast.Assign) -> None:
        # `df.loc[mask, "a"] = df.loc[mask, "b"]` leaves no row out.
        self._in_masked = all(_is_masked(target) for target in node.targets)
        found = self.value(node.value)
        self._in_masked = False
        for target in node.targets:
            self.assign(target, found)

    def _do_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.assign(node.target, self.value(node.value))

    def _do_AugAssign(self, node: ast.AugAssign) -> None:
        self.assign(node.target, joined(self.value(node.target), self.value(node.value)))

    def _do_For(self, node: ast.For) -> None:
        over = self.value(node.iter)
        self.assign(node.target, over if over.kind not in (Kind.ROWS, Kind.GROUPS) else CONST)
        if over.kind in (Kind.ROWS, Kind.GROUPS) and not over.items:
            self.happens(
                Happening.UNKNOWN, node, over.part, f"goes through the rows one by one: `for ... in {shown(node.iter)}`"
            )
        for each in [*node.body, *node.orelse]:
            self.statement(each)

    def _do_If(self, node: ast.If) -> None:
        self.value(node.test)
        for each in [*node.body, *node.orelse]:
            self.statement(each)

    _do_While = _do_If

    def _do_With(self, node: ast.With) -> None:
        for item in node.items:
            found = self.value(item.context_expr)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, found)
        for each in node.body:
            self.statement(each)

    def _do_Try(self, node: ast.Try) -> None:
        handled = [each for handler in node.handlers for each in handler.body]
        for each in [*node.body, *handled, *node.orelse, *node.finalbody]:
            self.statement(each)

    def _do_Delete(self, node: ast.Delete) -> None:
        pass

    def _do_others(self, node: ast.stmt) -> None:
        for each in ast.iter_child_nodes(node):
            if isinstance(each, ast.expr):
                self.value(each)

    def assign(self, target: ast.expr, found: Value) -> None:
        """Give a value to what stands on the left."""
        if isinstance(target, ast.Name):
            self.variables[target.id] = found
        elif isinstance(target, ast.Tuple | ast.List):
            for position, each in enumerate(target.elts):
                self.assign(each, found.items[position] if position < len(found.items) else replace(found, items=()))
        elif isinstance(target, ast.Subscript | ast.Attribute):
            self._assign_inside(target, found)

    def _assign_inside(self, target: ast.Subscript | ast.Attribute, found: Value) -> None:
        before = self.value(target.value)
        name = target.value
        while isinstance(name, ast.Attribute | ast.Subscript):
            name = name.value
        if isinstance(target, ast.Subscript):
            self.value(target.slice)
        if isinstance(name, ast.Name) and before.kind is Kind.CONST and found.kind in _CARRIED:
            self.variables[name.id] = replace(found, items=())

    # Expressions

    def _of_Name(self, node: ast.Name) -> Value:
        return self.variables.get(node.id, CONST)

    def _of_Constant(self, node: ast.Constant) -> Value:
        return CONST

    def _of_Attribute(self, node: ast.Attribute) -> Value:
        of = self.value(node.value)
        if of.kind is Kind.NAME:
            return Value(Kind.NAME, f"{of.name}.{node.attr}")
        if of.kind is Kind.BUNCH:
            if node.attr in BUNCH_ROWS:
                self.happens(Happening.STRUCTURE, node, text=shown(node))
                return Value(Kind.ROWS, is_series=node.attr == "target")
            return CONST
        if of.kind is Kind.ESTIMATOR:
            return Value(Kind.VALUE) if node.attr.endswith("_") else CONST
        if of.kind is Kind.ROWS:
            if node.attr in SCHEMA:
                return CONST
            if node.attr in COUNTS:
                self.happens(Happening.AGGREGATE, node, of.part, shown(node))
                return Value(Kind.VALUE)
            if node.attr == "T":
                self.happens(Happening.UNKNOWN, node, of.part, f"turns rows into columns: `{shown(node)}`")
            return replace(of, is_series=node.attr not in ACCESSORS or of.is_series)
        return of

    def _of_Subscript(self, node: ast.Subscript) -> Value:
        of, key = self.value(node.value), self.value(node.slice)
        if of.kind is Kind.NAME:  # np.c_[a, b]
            return key
        if of.kind is Kind.BUNCH and constant(node.slice) in BUNCH_ROWS:
            self.happens(Happening.STRUCTURE, node, text=shown(node))
            return Value(Kind.ROWS)
        if of.kind is not Kind.ROWS or of.items:
            return (
                of.items[constant(node.slice)] if of.items and isinstance(constant(node.slice), int) else replace(of, items=())
            )
        return self._part_of_rows(node, of, key)

    def _part_of_rows(self, node: ast.Subscript, of: Value, key: Value) -> Value:
        """Columns of rows, or some of the rows."""
        by_place = isinstance(node.value, ast.Attribute) and node.value.attr in ("iloc", "loc")
        if isinstance(node.slice, ast.Tuple):
            rows = node.slice.elts[0]
            if not (isinstance(rows, ast.Slice) and rows.lower is None and rows.upper is None and rows.step is None):
                self.happens(Happening.FILTER, node, of.part, shown(node))
            return replace(of, is_series=isinstance(constant(node.slice.elts[-1]), str | int))
        if key.kind in (Kind.ROWS, Kind.VALUE) or isinstance(node.slice, ast.Slice) or by_place or of.is_series:
            self.happens(Happening.FILTER, node, of.part, shown(node))
            return of
        return replace(of, is_series=isinstance(node.slice, ast.Constant))

    def _of_Call(self, node: ast.Call) -> Value:
        return self.call(node)

    def _of_Compare(self, node: ast.Compare) -> Value:
        return joined(self.value(node.left), *map(self.value, node.comparators))

    def _of_Lambda(self, node: ast.Lambda) -> Value:
        return Value(Kind.FUNCTION, "lambda", node=node)

    def _of_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
        kept = dict(self.variables)
        for each in node.generators:
            over = self.value(each.iter)
            self.assign(each.target, over)
            for test in each.ifs:
                self.value(test)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        found = joined(*map(self.value, parts))
        self.variables = kept
        return found

    _of_SetComp = _of_GeneratorExp = _of_DictComp = _of_ListComp

    def _of_Tuple(self, node: ast.Tuple | ast.List) -> Value:
        items = tuple(map(self.value, node.elts))
        return replace(joined(*items), items=items if isinstance(node, ast.Tuple) else ())

    _of_List = _of_Tuple

    def _of_others(self, node: ast.expr) -> Value:
        return joined(*(self.value(each) for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)))

    # Functions of the program's own

    def inline(self, function: Value, arguments: Sequence[Value], named: dict[str, Value]) -> Value:
        """What a call of a function of the program gives, found by going through it with these arguments."""
        if self.depth >= _DEPTH:
            return joined(*arguments, *named.values())
        node, kept = function.node, dict(self.variables)
        names = [each.arg for each in node.args.args]
        self.variables |= dict(zip(names, arguments, strict=False)) | named
        self.depth += 1
        if isinstance(node, ast.Lambda):
            found = self.value(node.body)
        else:
            for each in node.body:
                self.statement(each)
            returns = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value is not None]
            values = [self.kinds.get(id(each)) or self.value(each) for each in returns]
            found = values[0] if len(values) == 1 else joined(*values)
        self.depth -= 1
        shared = {name for each in ast.walk(node) if isinstance(each, ast.Global) for name in each.names}
        self.variables = {**kept, **{name: value for name, value in self.variables.items() if name in shared}}
        return found

    def _do_Return(self, node: ast.Return) -> None:
        self.value(node.value)


def _is_masked(target: ast.expr) -> bool:
    """Whether it is some rows of a frame, as `df.loc[mask, "a"]`."""
    if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Attribute):
        return False
    return target.value.attr in ("loc", "iloc", "at") and isinstance(target.slice, ast.Tuple)
