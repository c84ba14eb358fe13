"""The program's own lines as lines of a workload: what they fit goes through a `State`, and rows are left out
elsewhere. Pure."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from heliostat.convert.analysis import receiver_of
from heliostat.convert.effects import base_name, effects_of, is_in_place
from heliostat.convert.kinds import Event, Happening, Kind
from heliostat.convert.plan import Plan
from heliostat.convert.source import Statement

STATE: Final = "state"
_T = TypeVar("_T")


class Rewriter:
    """Rewrites statements of the path from the rows to the features. What it does not have to change stays as it was written.

    Attributes:
        names: The names under which something is kept, in their order.
    """

    def __init__(self, plan: Plan, parameters: Mapping[int, str] | None = None, for_labels: bool = False) -> None:
        """`parameters`: what stands in the place of some constants, by the identity of their nodes; `for_labels`: of a split,
        the labels are what goes on, and not the features."""
        self._plan = plan
        self._events: dict[int, list[Event]] = {}
        for event in plan.seen.events:
            self._events.setdefault(id(event.node), []).append(event)
        self._parameters = dict(parameters or {})
        self._stateful = stateful_functions(plan)
        places, ends = (plan.label_path, plan.labels) if for_labels else (plan.path, plan.features)
        self._used = set(effects_of(ends).uses).union(
            *(effects_of(node).uses for node in plan.nodes(places) if not _is_split(node))
        )
        self._counts: Counter[str] = Counter()
        self.names: list[str] = []

    def only_parameters(self) -> None:
        """From here on, leave everything but the parameters as it is: for lines that run in a training alone."""
        self._is_plain = True

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """A function of the program; with the state as its first argument, where it fits something."""
        changed = self._rebuilt(node)
        if node.name in self._stateful:
            changed.args.args.insert(0, ast.arg(STATE))
        return changed

    def statement(self, index: int, used_later: Iterable[str] = ()) -> list[ast.stmt]:
        """A statement of the path. `used_later`: names that statements behind it use."""
        statement = self._plan.program.statements[index]
        node = statement.node
        split = self._event(node, Happening.SPLIT, inside=True)
        if split is not None:
            return self._split(node, split)
        if self._is_plain:
            return [self._rebuilt(node)]
        if self._is_dropped(node):
            return []
        fitted = self._fitted(node)
        if fitted is not None:
            return [fitted]
        self._target = _assigned(node)
        result: list[ast.stmt] = [self._rebuilt(node)]
        for event in self._inside(node, Happening.FIT_TRANSFORM):
            receiver = event.node.func.value
            if isinstance(receiver, ast.Name) and receiver.id in set(used_later):
                result.append(_assign(receiver.id, _call("fitted", _text(self._kept[id(event.node)]))))
        return result

    def expression(self, node: ast.expr) -> ast.expr:
        """An expression, such as the features that a model is fitted on."""
        self._target = ""
        return self._rebuilt(node)

    # Whole statements

    def _split(self, node: Any, split: Event) -> list[ast.stmt]:
        """The rows of a training come in alone: the names of its part are those of what was split."""
        targets = node.targets[0]
        found: list[ast.stmt] = []
        for position, target in enumerate(targets.elts):
            is_kept = isinstance(target, ast.Name) and not position % 2 and position // 2 < len(split.node.args)
            if is_kept and target.id in self._used:
                found.append(_assign(target.id, self._rebuilt(split.node.args[position // 2])))
        return found

    def _is_dropped(self, node: ast.stmt) -> bool:
        """Whether a statement does nothing but leave rows out in place."""
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            return False
        return is_in_place(node.value) and self._event(node.value, Happening.FILTER) is not None

    def _fitted(self, node: ast.stmt) -> ast.stmt | None:
        """`scaler.fit(rows)`, whether or not it is assigned."""
        value = node.value if isinstance(node, ast.Expr | ast.Assign) else None
        if value is None or self._event(value, Happening.FIT) is None:
            return None
        call = cast("ast.Call", value)
        receiver = receiver_of(call)
        name = _assigned(node) or (receiver.id if isinstance(receiver, ast.Name) else "")
        fitted = self._fit_call("fit", call, name)
        return _assign(name or self.names[-1], fitted)

    # Expressions

    _target: str = ""
    _is_plain = False
    _kept: dict[int, str] = {}

    def _rebuilt(self, node: _T) -> _T:
        found = self._special(node) if isinstance(node, ast.AST) else None
        if found is not None:
            return found  # type: ignore[no-any-return]
        if isinstance(node, list):
            return [each for item in node for each in self._flat(item)]  # type: ignore[return-value]
        if not isinstance(node, ast.AST):
            return node
        fields = {name: self._rebuilt(value) for name, value in ast.iter_fields(node)}
        return ast.copy_location(type(node)(**fields), node)

    def _flat(self, item: Any) -> list[Any]:
        """A statement inside of another, or anything else in a list."""
        if isinstance(item, ast.stmt):
            if self._is_plain:
                return [self._rebuilt(item)]
            if self._is_dropped(item):
                return []
            fitted = self._fitted(item)
            if fitted is not None:
                return [fitted]
            outer, self._target = self._target, _assigned(item)
            found = [self._rebuilt(item)]
            self._target = outer
            return found
        return [self._rebuilt(item)]

    def _special(self, node: ast.AST) -> Any:
        """What stands in the place of an expression; None where it stays."""
        if id(node) in self._parameters:
            return ast.parse(self._parameters[id(node)], mode="eval").body
        if self._is_plain:
            return None
        if isinstance(node, ast.expr) and self._is_value(node):
            name = self._name(self._target or _described(node))
            return _call("value", _text(name), ast.Lambda(ast.arguments([], [], None, [], [], None, []), self._plain(node)))
        if self._event(node, Happening.FILTER) is not None:
            return self._rebuilt(_unfiltered(node))
        if not isinstance(node, ast.Call):
            return None
        if self._event(node, Happening.FIT_TRANSFORM) is not None:
            receiver = node.func.value  # type: ignore[attr-defined]
            return self._fit_call("fit_transform", node, receiver.id if isinstance(receiver, ast.Name) else "")
        if self._event(node, Happening.DUMMIES) is not None:
            rest = [self._rebuilt(each) for each in node.keywords]
            return _call("get_dummies", _text(self._name("dummies")), *map(self._rebuilt, node.args), keywords=rest)
        if isinstance(node.func, ast.Name) and node.func.id in self._stateful:
            arguments = [ast.Name(STATE, ast.Load()), *map(self._rebuilt, node.args)]
            return ast.Call(node.func, arguments, [self._rebuilt(each) for each in node.keywords])
        return None

    def _fit_call(self, method: str, call: ast.Call, name: str) -> ast.Call:
        receiver = call.func.value  # type: ignore[attr-defined]
        name = self._name(name or _snake(_class_name(receiver)))
        self._kept = {**self._kept, id(call): name}
        rest = [self._rebuilt(each) for each in call.keywords]
        return _call(method, _text(name), self._rebuilt(receiver), *map(self._rebuilt, call.args), keywords=rest)

    def _plain(self, node: ast.expr) -> Any:
        """An expression of all rows, which is computed in the training alone: what is in it stays as it is."""
        outer, self._is_plain = self._is_plain, True
        found = self._rebuilt(node)
        self._is_plain = outer
        return found

    def _is_value(self, node: ast.expr) -> bool:
        """Whether something of all rows is computed here, and not only used."""
        found = self._plan.seen.kinds.get(id(node))
        if found is None or found.kind is not Kind.VALUE or isinstance(getattr(node, "ctx", None), ast.Store):
            return False
        return any(self._event(each, Happening.AGGREGATE) is not None for each in ast.walk(node))

    def _name(self, wished: str) -> str:
        """A name to keep something under, that nothing else has."""
        self._counts[wished] += 1
        name = wished if self._counts[wished] == 1 else f"{wished}_at_{self._counts[wished]}"
        self.names.append(name)
        return name

    def _event(self, node: ast.AST, what: Happening, inside: bool = False) -> Event | None:
        if inside:
            return next(iter(self._inside(node, what)), None)
        return next((each for each in self._events.get(id(node), ()) if each.what is what), None)

    def _inside(self, node: ast.AST, what: Happening) -> Iterator[Event]:
        for each in ast.walk(node):
            found = self._event(each, what)
            if found is not None:
                yield found


def _is_split(node: ast.stmt) -> bool:
    names = [each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in ast.walk(node)]
    return "train_test_split" in names


def source_of(nodes: Sequence[ast.stmt], statement: Statement) -> list[str]:
    """The lines of what became of a statement: as it was written, where nothing was changed."""
    if len(nodes) == 1 and ast.dump(nodes[0]) == ast.dump(statement.node) and not isinstance(statement.node, ast.FunctionDef):
        return statement.text.splitlines()
    return [line for node in nodes for line in ast.unparse(ast.fix_missing_locations(node)).splitlines()]


def stateful_functions(plan: Plan) -> set[str]:
    """The functions of the program that fit something, directly or through each other."""
    fitting = {Happening.AGGREGATE, Happening.FIT, Happening.FIT_TRANSFORM, Happening.DUMMIES}
    marked = {
        id(each.node) for each in plan.seen.events if each.what in fitting and each.in_function and each.index in plan.path
    }
    functions = {each.node.name: each.node for each in plan.program.statements if isinstance(each.node, ast.FunctionDef)}
    found = {name for name, node in functions.items() if any(id(each) in marked for each in ast.walk(node))}
    while more := {name for name, node in functions.items() if name not in found and effects_of(node).uses & found}:
        found |= more
    return found


def _unfiltered(node: ast.AST) -> ast.AST:
    """The rows that some were left out of."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.value
    if isinstance(node, ast.Subscript):
        of = node.value.value if isinstance(node.value, ast.Attribute) and node.value.attr in ("loc", "iloc") else node.value
        if isinstance(node.slice, ast.Tuple):
            everything = ast.Slice(None, None, None)
            return ast.Subscript(node.value, ast.Tuple([everything, *node.slice.elts[1:]], ast.Load()), ast.Load())
        return of
    return node


def _assigned(node: ast.stmt) -> str:
    """The one variable that a statement assigns to; empty where it is none, or several."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def _described(node: ast.expr) -> str:
    """A name for a value of all rows: `df["age"].median()` as `age_median`."""
    method = next((each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)), "value")
    columns = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    column = columns[0] if columns else (base_name(node) or "")
    name = re.sub(r"\W+", "_", f"{column}_{method}").strip("_").lower()
    return name if name and not name[0].isdigit() else f"value_{name}"


def _class_name(node: ast.expr) -> str:
    while isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else "estimator"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _assign(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _text(text: str) -> ast.Constant:
    return ast.Constant(text)


def _call(method: str, *arguments: Any, keywords: list[ast.keyword] | None = None) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(STATE, ast.Load()), method, ast.Load()), list(arguments), keywords or [])
