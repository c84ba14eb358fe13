"""What tells a model the answer that it has to find: looked for in the data, before a training. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.data.codes import coded_texts
from heliostat.data.columns import as_numbers, is_number, is_text
from heliostat.data.schema import Schema

_ROWS: Final = 20_000
"""Rows that a column's knowledge of the label is measured on; more say the same."""
_FOLDS: Final = 5
_LEAVES: Final = 256
_EXAMPLES: Final = 10
_FAR: Final = 1e6
"""Standard deviations between two texts, and between a missing or infinite value and any other."""
Kind = Literal["knows the label", "after the event", "group in two splits", "near-duplicates"]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Leak:
    """One way in which the answer gets into the question."""

    kind: Kind
    columns: tuple[str, ...]
    text: str
    value: float
    """The score, or how many rows."""
    rows: tuple[Any, ...] = ()
    """Examples: row numbers, groups, or pairs of row numbers."""


def knows_label(table: pa.Table, label: str, columns: Iterable[str] | None = None, limit: float = 0.99) -> tuple[Leak, ...]:
    """The columns of which one alone predicts the label almost perfectly: by a small tree, on rows that it was not fitted on.

    `limit` is of ROC AUC where the label has at most 20 values (the classes' mean), and of R² where it is a number with more.
    A name that each row has for itself predicts nothing here. So does one that is missing where the label is known later: that
    is found, since the tree splits by what is missing. Rows whose label is missing, NaN or infinite are left out; what is
    found says how many.

    Raises:
        ValueError: a column is not there, or the label has fewer than two values that are finite.
    """
    names = [name for name in (table.column_names if columns is None else columns) if name != label]
    if missing := [name for name in (label, *names) if name not in table.column_names]:
        raise ValueError(f"columns are not there: {', '.join(map(repr, missing))}")
    labelled = table.filter(is_finite(table[label]))
    left = table.num_rows - labelled.num_rows
    without = f", without {left:,} rows whose label is missing, NaN or infinite" if left else ""
    table = labelled
    if table.num_rows > _ROWS:
        table = table.take(pa.array(np.sort(np.random.default_rng(0).choice(table.num_rows, _ROWS, replace=False))))
    truth, is_class = _truth(table[label], label)
    leaks = []
    for name in names:
        feature = _feature(table[name])
        if feature is None:
            continue
        score = _score(np.clip(feature, -1e30, 1e30), truth, is_class)  # the trees' float32 has no greater ones
        if score >= limit:
            measure = "ROC AUC" if is_class else "R²"
            text = f"the column {name!r} alone predicts {label!r} with {measure} {score:.3f} (limit {limit:g}){without}"
            leaks.append(Leak("knows the label", (name,), text, score))
    return tuple(leaks)


def after_event(
    table: pa.Table, event: str, schema: Schema | None = None, features: Sequence[str] | None = None
) -> tuple[Leak, ...]:
    """The features that are from after the event: times later than it, and what the schema knows only later. Where one of the
    two is a date, a later day (of UTC) is later.

    Args:
        table: the rows.
        event: the column with the time, or the day, at which the prediction is asked for.
        schema: whose `known_at_prediction` counts.
        features: the columns that a model is given; all by default.

    Raises:
        ValueError: the event's column is not there, or is no time.
    """
    if event not in table.column_names or not _is_time(table[event].type):
        text = "is not there, or is no timestamp or date: name the time at which predictions are asked for"
        raise ValueError(f"the column {event!r} {text}")
    names = [name for name in (table.column_names if features is None else features) if name != event]
    leaks = []
    for name in names:
        expected = schema.columns.get(name) if schema is not None else None
        if expected is not None and not expected.known_at_prediction and name != (schema.label if schema else None):
            text = (
                f"the column {name!r} is a feature, and the schema says that it is not known at prediction time: leave it out"
            )
            leaks.append(Leak("after the event", (name,), text, float(table.num_rows)))
        elif name in table.column_names and _is_time(table[name].type):
            leaks += _later(table, name, event)
    return tuple(leaks)


def groups_in_two(splits: Mapping[str, pa.Table], column: str) -> tuple[Leak, ...]:
    """The groups of which rows are in two splits: for each pair of splits, with how many rows of the second."""
    groups = {name: table[column].cast(pa.string()).drop_null() for name, table in splits.items()}
    leaks = []
    for first, second in combinations(groups, 2):
        shared = pc.is_in(groups[second], groups[first].unique())
        rows = int(pc.sum(shared).as_py() or 0)
        if rows:
            examples = groups[second].filter(shared).unique()
            text = (
                f"{len(examples):,} groups of {column!r} are in {first} and in {second}, there with {rows:,} rows "
                f"({', '.join(map(repr, examples[:3].to_pylist()))}): split by group"
            )
            leaks.append(Leak("group in two splits", (column,), text, float(rows), tuple(examples[:_EXAMPLES].to_pylist())))
    return tuple(leaks)


def near_duplicates(splits: Mapping[str, pa.Table], columns: Sequence[str], tolerance: float = 1e-3) -> tuple[Leak, ...]:
    """Rows of one split that are in another almost as they are: each number within `tolerance` standard deviations, and each
    text the same. Missing is like missing. Columns that name a row, or its time, do not belong into `columns`.

    Each different row of the later split is looked up in a k-d tree of the different ones of the earlier: time n log n, and
    8 bytes for each value.

    Raises:
        ValueError: no columns are named, or one has neither numbers nor texts.
    """
    if not columns:
        raise ValueError("no columns are named to compare rows by: name the features at least")
    from scipy.spatial import KDTree

    points = {name: _different(rows) for name, rows in _points(splits, columns).items()}
    leaks = []
    for first, second in combinations(splits, 2):
        (known, firsts, _), (asked, _, of_row) = points[first], points[second]
        if not len(known) or not len(asked):
            continue
        tree = KDTree(known, balanced_tree=False)
        nearest, places = tree.query(asked, p=np.inf, distance_upper_bound=np.nextafter(tolerance, np.inf))
        apart = nearest[of_row]
        rows = np.flatnonzero(np.isfinite(apart))
        if len(rows):
            pairs = tuple((int(firsts[places[of_row[row]]]), int(row)) for row in rows[:_EXAMPLES])
            text = (
                f"{len(rows):,} of {len(apart):,} rows of {second} are in {first} too, in {len(columns)} columns within "
                f"{tolerance:g} standard deviations (rows {pairs[0][0]} and {pairs[0][1]}): keep each in one split"
            )
            leaks.append(Leak("near-duplicates", tuple(columns), text, float(len(rows)), pairs))
    return tuple(leaks)


def _later(table: pa.Table, name: str, event: str) -> list[Leak]:
    by_day = pa.types.is_date(table[name].type) or pa.types.is_date(table[event].type)
    later = pc.greater(_moments(table[name], by_day), _moments(table[event], by_day)).fill_null(False).to_numpy()
    rows = np.flatnonzero(later)
    if not len(rows):
        return []
    text = (
        f"the column {name!r} is later than {event!r} in {len(rows):,} of {table.num_rows:,} rows: it is from after the event"
    )
    return [Leak("after the event", (name,), text, float(len(rows)), tuple(rows[:_EXAMPLES].tolist()))]


def is_finite(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which values are there and are no NaN and not infinite."""
    return pc.is_finite(column).fill_null(False) if pa.types.is_floating(column.type) else pc.is_valid(column)


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _moments(times: pa.ChunkedArray, by_day: bool) -> pa.ChunkedArray:
    """Times of UTC without a zone, or their days."""
    if pa.types.is_date(times.type):
        return times.cast(pa.date32())
    plain = times.cast(pa.timestamp(times.type.unit))
    return pc.floor_temporal(plain, unit="day").cast(pa.date32()) if by_day else plain


def _truth(label: pa.ChunkedArray, name: str) -> tuple[NDArray[Any], bool]:
    values = label.combine_chunks()
    distinct = len(values.unique())
    if distinct < 2:
        raise ValueError(f"the label {name!r} has {distinct} values in {len(values):,} rows: two are needed")
    if is_number(label.type) and distinct > 20:
        return np.asarray(as_numbers(label).to_numpy(), np.float64), False
    return coded_texts(label).codes, True


def _feature(column: pa.ChunkedArray) -> Numbers | None:
    """A column as numbers, NaN where it is missing; texts by their place in the order of the first rows they are in."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    column = column.cast(kind) if pa.types.is_dictionary(column.type) else column
    if is_number(kind):
        return np.asarray(as_numbers(column).fill_null(np.nan).to_numpy(), np.float64)
    if is_text(kind):
        codes = coded_texts(column).codes
        return np.where(codes < 0, np.nan, codes)
    return None


def _score(feature: Numbers, truth: NDArray[Any], is_class: bool) -> float:
    from sklearn.metrics import r2_score, roc_auc_score
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if not is_class:
        tree = DecisionTreeRegressor(max_leaf_nodes=_LEAVES, min_samples_leaf=5, random_state=0)
        folds = KFold(_FOLDS, shuffle=True, random_state=0)
        return float(r2_score(truth, cross_val_predict(tree, feature[:, None], truth, cv=folds)))
    classes, counts = np.unique(truth, return_counts=True)
    frequent = np.isin(truth, classes[counts >= _FOLDS])
    if len(np.unique(truth[frequent])) < 2:
        return 0.0
    feature, truth = feature[frequent], truth[frequent]
    tree = DecisionTreeClassifier(max_leaf_nodes=_LEAVES, min_samples_leaf=5, random_state=0)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    chances = cross_val_predict(tree, feature[:, None], truth, cv=folds, method="predict_proba")
    if chances.shape[1] == 2:
        return float(roc_auc_score(truth, chances[:, 1]))
    return float(roc_auc_score(truth, chances, multi_class="ovr"))


def _points(splits: Mapping[str, pa.Table], columns: Sequence[str]) -> dict[str, Numbers]:
    """Each row as a point: standardised numbers, and texts by their number, far from each other."""
    together = pa.concat_tables([table.select(columns) for table in splits.values()], promote_options="permissive")
    standardised = []
    for name in columns:
        values, kind = _feature(together[name]), together[name].type
        if values is None:
            raise ValueError(f"the column {name!r} of type {kind} has no distance: leave it out")
        values = _standardised(values) if is_number(kind) else values * _FAR
        standardised.append(np.nan_to_num(values, nan=-_FAR))
    points, first = np.column_stack(standardised), 0
    found: dict[str, Numbers] = {}
    for name, table in splits.items():
        found[name] = points[first : first + table.num_rows]
        first += table.num_rows
    return found


def _different(points: Numbers) -> tuple[Numbers, NDArray[np.int64], NDArray[np.int64]]:
    """The different points, the first row of each, and for each row which of them it is.

    A k-d tree cannot tell like points apart: each would be held to all of them, which takes the square of their number.
    """
    whole = np.ascontiguousarray(points).view(np.dtype((np.void, points.itemsize * points.shape[1]))).ravel()
    _, firsts, of_row = np.unique(whole, return_index=True, return_inverse=True)
    return points[firsts], firsts, of_row.reshape(-1)


def _standardised(values: Numbers) -> Numbers:
    """Numbers in standard deviations of the finite ones; infinite ones are far from these, and from each other."""
    finite = np.isfinite(values)
    if finite.any():
        greatest = float(np.abs(values[finite]).max()) or 1.0
        scaled = values / greatest  # whose squares cannot overflow
        deviation = float(scaled[finite].std())
        values = (scaled - scaled[finite].mean()) / deviation if deviation else scaled
    return np.nan_to_num(values, nan=np.nan, posinf=2 * _FAR, neginf=-2 * _FAR)
