"""What calls do and give: of the libraries' functions and methods, and of the program's own."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

from heliostat.convert.kinds import CONST, Happening, Kind, Value, constant, joined, keyword
from heliostat.convert.source import shown
from heliostat.convert.vocabulary import BUILTINS, EVALUATING, METHODS, MODELS, NUMPY, PANDAS, PREDICTING, SHOWING, Meaning

_SPLIT = "sklearn.model_selection.train_test_split"
_WHY = {
    Meaning.ORDERED: "needs the rows before or behind a row, which a request does not have",
    Meaning.UNKNOWN: "is not known to be the same for one row as for many",
}


class Calls(ABC):
    """The part of an interpreter that knows calls."""

    variables: dict[str, Value]
    kinds: dict[int, Value]
    depth: int
    is_seeded: bool

    @abstractmethod
    def value(self, node: ast.expr | None) -> Value:
        """What an expression is."""

    @abstractmethod
    def happens(self, what: Happening, node: ast.AST, part: str = "all", text: str = "", value: Value = CONST) -> None:
        """Note what an expression does."""

    @abstractmethod
    def inline(self, function: Value, arguments: Sequence[Value], named: dict[str, Value]) -> Value:
        """What a call of a function of the program gives."""

    def call(self, node: ast.Call) -> Value:
        """What a call gives."""
        function = node.func
        receiver = self.value(function.value) if isinstance(function, ast.Attribute) else CONST
        arguments = [self.value(each) for each in node.args]
        named = {each.arg: self.value(each.value) for each in node.keywords if each.arg}
        named["**"] = joined(*(self.value(each.value) for each in node.keywords if not each.arg))
        if isinstance(function, ast.Attribute) and receiver.kind is not Kind.NAME:
            return self._method(node, function.attr, receiver, arguments, named)
        target = self.value(function)
        if target.kind is Kind.FUNCTION:
            return self.inline(target, arguments, named)
        if target.kind is Kind.NAME:
            return self._imported(node, target.name, arguments, named)
        if isinstance(function, ast.Name):
            return self._builtin(node, function.id, [*arguments, *named.values()])
        return joined(target, *arguments, *named.values())

    # Methods

    def _method(self, node: ast.Call, name: str, of: Value, arguments: list[Value], named: dict[str, Value]) -> Value:
        handlers: dict[Kind, Callable[..., Value]] = {
            Kind.ESTIMATOR: self._of_estimator,
            Kind.ROWS: self._of_rows,
            Kind.GROUPS: self._of_groups,
        }
        if of.kind in handlers:
            return handlers[of.kind](node, name, of, arguments, named)
        if of.name.startswith("numpy.random"):
            return self._random(node, [*arguments, *named.values()], seeded=True)
        found = joined(of, *arguments, *named.values())
        if name in ("fit", "fit_transform", "transform", "partial_fit") and found.kind is Kind.ROWS:
            self.happens(
                Happening.UNKNOWN, node, found.part, f"`{shown(node)}` fits or transforms, and what it is of is not known"
            )
        if of.kind is Kind.CONST and found.kind is Kind.ROWS and isinstance(node.func, ast.Attribute):
            base = node.func.value  # rows that go into a list
            if name in ("append", "extend", "update") and isinstance(base, ast.Name):
                self.variables[base.id] = replace(found, items=())
        return found

    def _of_estimator(self, node: ast.Call, name: str, of: Value, arguments: list[Value], named: dict[str, Value]) -> Value:
        rows = arguments[0] if arguments else next(iter(named.values()), CONST)
        if name == "fit":
            self.happens(Happening.FIT, node, rows.part, shown(node), of)
            return of
        if name in ("fit_transform", "transform"):
            self.happens(
                Happening.FIT_TRANSFORM if name == "fit_transform" else Happening.TRANSFORM, node, rows.part, shown(node), of
            )
            return Value(Kind.ROWS, part=rows.part)
        if name in PREDICTING or name == "fit_predict":
            self.happens(Happening.FIT if name == "fit_predict" else Happening.PREDICT, node, rows.part, shown(node), of)
            return Value(Kind.PREDICTION, part=rows.part)
        if name in ("set_params", "set_output"):
            return of
        if name == "inverse_transform":
            return joined(*arguments)
        return CONST

    def _of_rows(self, node: ast.Call, name: str, of: Value, arguments: list[Value], named: dict[str, Value]) -> Value:
        others = [*arguments, *named.values()]
        if name == "groupby":
            return Value(Kind.GROUPS, part=of.part)
        if name in ("apply", "map", "transform", "applymap", "pipe", "agg", "assign") and any(
            each.kind is Kind.FUNCTION for each in others
        ):
            return self._applied(node, name, of, others)
        meaning = self._meaning(node, name, of)
        found = replace(joined(of, *others), is_series=of.is_series, items=())
        if meaning is Meaning.ROWWISE:
            return found
        if meaning is Meaning.AGGREGATE:
            self.happens(Happening.AGGREGATE, node, of.part, shown(node))
            return Value(Kind.VALUE)
        if meaning is Meaning.FILTER:
            self.happens(Happening.FILTER, node, of.part, shown(node))
            return found
        if meaning is Meaning.STRUCTURE:
            self.happens(Happening.STRUCTURE, node, of.part, shown(node))
            return found
        self.happens(Happening.UNKNOWN, node, of.part, f"`.{name}()` {_WHY[meaning]}")
        return found

    def _meaning(self, node: ast.Call, name: str, of: Value) -> Meaning:
        meaning = METHODS.get(name, Meaning.UNKNOWN)
        axis = constant(keyword(node, "axis"))
        if axis is None and meaning is Meaning.AGGREGATE and name != "agg" and node.args:
            axis = constant(node.args[0]) if name not in ("quantile", "first", "last", "item") else None
        across = axis in (1, "columns", -1)
        if meaning is Meaning.AGGREGATE and across:
            return Meaning.ROWWISE
        if name == "dropna" and across:
            return Meaning.UNKNOWN
        if name == "drop" and not across and keyword(node, "columns") is None and len(node.args) < 2:
            return Meaning.FILTER
        if name == "fillna" and (keyword(node, "method") is not None):
            return Meaning.ORDERED
        return meaning

    def _applied(self, node: ast.Call, name: str, of: Value, others: list[Value]) -> Value:
        """Rows with a function over them: of each row, of each value, or of whole columns."""
        function = next(each for each in others if each.kind is Kind.FUNCTION)
        by_row = (
            constant(keyword(node, "axis")) in (1, "columns")
            or (of.is_series and name in ("apply", "map"))
            or name == "applymap"
        )
        given = CONST if by_row else replace(of, items=())
        # What is captured from outside is looked at either way: a frame in a lambda is all rows.
        self.inline(function, [given], {})
        return replace(joined(of, *[each for each in others if each.kind is not Kind.FUNCTION]), is_series=of.is_series)

    def _of_groups(self, node: ast.Call, name: str, of: Value, arguments: list[Value], named: dict[str, Value]) -> Value:
        if METHODS.get(name) is Meaning.AGGREGATE:
            self.happens(Happening.AGGREGATE, node, of.part, shown(node))
            return Value(Kind.VALUE)
        self.happens(Happening.UNKNOWN, node, of.part, f"`groupby(...).{name}()` {_WHY[Meaning.UNKNOWN]}")
        return Value(Kind.ROWS, part=of.part)

    # Functions of libraries

    def _imported(self, node: ast.Call, path: str, arguments: list[Value], named: dict[str, Value]) -> Value:
        top, _, rest = path.partition(".")
        others = [*arguments, *named.values()]
        if path == _SPLIT:
            return self._split(node, arguments)
        if path.startswith("sklearn.datasets."):
            return self._data_set(node, rest)
        if top in MODELS:
            return self._of_models(node, path, others)
        if top == "numpy":
            return self._of_numpy(node, rest, others)
        if top == "pandas":
            return self._of_pandas(node, rest, others)
        found = joined(*others)
        if found.kind in (Kind.ROWS, Kind.GROUPS) and top not in SHOWING:
            if METHODS.get(path.rpartition(".")[2]) is Meaning.AGGREGATE or top == "statistics":
                self.happens(Happening.AGGREGATE, node, found.part, shown(node))
                return Value(Kind.VALUE)
            if not path.startswith(("scipy.special.", "math.")):
                self.happens(Happening.UNKNOWN, node, found.part, f"`{path}` {_WHY[Meaning.UNKNOWN]}")
        if top == "random":
            self._random_function(node, path.removeprefix("random."), others)
        return found if top not in SHOWING else CONST

    def _split(self, node: ast.Call, arguments: list[Value]) -> Value:
        before = arguments[0].part if arguments else "all"
        held = {"all": ("train", "test"), "train": ("train", "validation"), "test": ("validation", "test")}
        self.happens(Happening.SPLIT, node, before, shown(node))
        if constant(keyword(node, "shuffle")) is not False and _is_unseeded(node):
            self.happens(Happening.UNSEEDED, node, text=shown(node))
        parts = held.get(before, ("train", "test"))
        items = [replace(each, kind=Kind.ROWS, part=part, items=()) for each in arguments for part in parts]
        return Value(Kind.ROWS, items=tuple(items))

    def _data_set(self, node: ast.Call, name: str) -> Value:
        self.happens(Happening.STRUCTURE, node, text=shown(node))
        if name.startswith("fetch_"):
            self.happens(Happening.NETWORK, node, text=shown(node))
        if name.startswith("make_"):
            if _is_unseeded(node):
                self.happens(Happening.UNSEEDED, node, text=shown(node))
            return Value(Kind.ROWS, items=(Value(Kind.ROWS), Value(Kind.ROWS, is_series=True)))
        if constant(keyword(node, "return_X_y")):
            return Value(Kind.ROWS, items=(Value(Kind.ROWS), Value(Kind.ROWS, is_series=True)))
        return Value(Kind.BUNCH)

    def _of_models(self, node: ast.Call, path: str, others: list[Value]) -> Value:
        name = path.rpartition(".")[2]
        if name[:1].isupper() or name.startswith("make_"):
            inner = joined(*[each for each in others if each.kind is Kind.ESTIMATOR])
            own = () if name.startswith("make_") or name == "Pipeline" else (path,)
            return Value(Kind.ESTIMATOR, path, classes=(*inner.classes, *own))
        found = joined(*others)
        if path.startswith(EVALUATING):
            return CONST
        if found.kind is Kind.ROWS:
            self.happens(Happening.UNKNOWN, node, found.part, f"`{path}` {_WHY[Meaning.UNKNOWN]}")
        return found

    def _of_numpy(self, node: ast.Call, name: str, others: list[Value]) -> Value:
        if name.startswith("random."):
            return self._random_function(node, name.removeprefix("random."), others)
        found = replace(joined(*others), items=())
        meaning = NUMPY.get(name, Meaning.UNKNOWN)
        axis = constant(keyword(node, "axis"))
        if name == "concatenate" and axis not in (1, -1):
            meaning = Meaning.STRUCTURE
        if meaning is Meaning.STRUCTURE and (found.kind is Kind.ROWS or name in ("loadtxt", "genfromtxt", "load", "fromfile")):
            self._reads(node, name in ("loadtxt", "genfromtxt", "load", "fromfile"))
            return replace(found, kind=Kind.ROWS)
        if found.kind is not Kind.ROWS or meaning is Meaning.ROWWISE:
            return found
        if meaning is Meaning.AGGREGATE:
            if axis in (1, -1):
                return found
            self.happens(Happening.AGGREGATE, node, found.part, shown(node))
            return Value(Kind.VALUE)
        self.happens(Happening.UNKNOWN, node, found.part, f"`numpy.{name}` {_WHY.get(meaning, _WHY[Meaning.UNKNOWN])}")
        return found

    def _random_function(self, node: ast.Call, name: str, others: list[Value]) -> Value:
        if name == "seed":
            self.is_seeded = bool(node.args)
            return CONST
        if name in ("default_rng", "RandomState", "Generator"):
            if not node.args and not node.keywords:
                self.happens(Happening.UNSEEDED, node, text=shown(node))
            return Value(Kind.CONST, "numpy.random.Generator")
        return self._random(node, others, seeded=False)

    def _random(self, node: ast.Call, others: list[Value], seeded: bool) -> Value:
        """Random numbers: data that the program makes itself."""
        if not seeded and not self.is_seeded:
            self.happens(Happening.UNSEEDED, node, text=shown(node))
        self.happens(Happening.STRUCTURE, node, text=shown(node))
        return Value(Kind.ROWS, is_series=True)

    def _of_pandas(self, node: ast.Call, name: str, others: list[Value]) -> Value:
        found = replace(joined(*others), items=(), is_series=name == "Series")
        if name.startswith("read_"):
            self._reads(node, is_file=True)
            return Value(Kind.ROWS)
        if name == "get_dummies" and found.kind is Kind.ROWS:
            self.happens(Happening.DUMMIES, node, found.part, shown(node))
            return found
        if name == "concat" and found.kind is Kind.ROWS:
            if constant(keyword(node, "axis")) not in (1, "columns"):
                self.happens(Happening.STRUCTURE, node, found.part, shown(node))
            return found
        if name in ("DataFrame", "Series", "date_range") and found.kind in (Kind.CONST, Kind.BUNCH):
            self.happens(Happening.STRUCTURE, node, text=shown(node))
            return Value(Kind.ROWS, is_series=name != "DataFrame")
        if found.kind is not Kind.ROWS:
            return found
        return self._function_of_rows(node, name, found, PANDAS.get(name, Meaning.UNKNOWN))

    def _function_of_rows(self, node: ast.Call, name: str, found: Value, meaning: Meaning) -> Value:
        bins = keyword(node, "bins") or (node.args[1] if len(node.args) > 1 else None)
        if name == "cut" and bins is not None and constant(bins) is None:
            return found
        if meaning is Meaning.AGGREGATE:
            self.happens(Happening.AGGREGATE, node, found.part, shown(node))
            return Value(Kind.VALUE)
        if meaning is Meaning.STRUCTURE:
            self.happens(Happening.STRUCTURE, node, found.part, shown(node))
        elif meaning is not Meaning.ROWWISE:
            self.happens(Happening.UNKNOWN, node, found.part, f"`pandas.{name}` {_WHY[Meaning.UNKNOWN]}")
        return found

    def _reads(self, node: ast.Call, is_file: bool) -> None:
        self.happens(Happening.STRUCTURE, node, text=shown(node))
        if is_file:
            self.happens(Happening.FILE, node, text=shown(node))

    def _builtin(self, node: ast.Call, name: str, others: list[Value]) -> Value:
        found = replace(joined(*others), items=())
        if name == "print" or found.kind is not Kind.ROWS:
            return found if name != "print" else CONST
        meaning = BUILTINS.get(name, Meaning.UNKNOWN)
        if meaning is Meaning.AGGREGATE:
            self.happens(Happening.AGGREGATE, node, found.part, shown(node))
            return Value(Kind.VALUE)
        if meaning is Meaning.UNKNOWN:
            self.happens(
                Happening.UNKNOWN, node, found.part, f"`{name}` {_WHY[Meaning.UNKNOWN]}: the program does not define it"
            )
        return found


def _is_unseeded(call: ast.Call) -> bool:
    """Whether a call chooses at random, and says no seed."""
    seed = keyword(call, "random_state")
    return constant(seed) is None and not isinstance(seed, ast.Name | ast.Attribute | ast.Subscript)
