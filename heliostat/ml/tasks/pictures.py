"""Pictures of what a model got right and wrong, as SVG, for a run's report. Never on the way of a request."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from heliostat.ml.tasks.base import Array, Kind, Truth
from heliostat.spec.tasks import Multilabel

_INCHES: Final = (6.0, 4.5)
_MOST_POINTS: Final = 2_000
"""Of a curve or a cloud: more make no other picture, and a larger file."""
_MOST_CLASSES: Final = 30
"""More are no picture any more."""
_MOST_NUMBERED: Final = 12
_BINS: Final = 30
_STYLE: Any = {"svg.hashsalt": "heliostat", "svg.fonttype": "none", "axes.grid": True, "grid.alpha": 0.3, "font.size": 9}

Drawing = Callable[[Axes], None]


def pictures(kind: Kind[Any], truth: Truth, predictions: Any) -> dict[str, bytes]:
    """SVG by file name, of predictions in the form that metrics take; none for the task Free, or without rows.

    The same predictions make the same bytes.
    """
    drawer = _DRAWERS.get(kind.task.kind)
    if drawer is None or not len(truth.labels):
        return {}
    return {f"{name}.svg": _svg(name.replace("_", " "), draw) for name, draw in drawer(kind, truth, predictions)}


def _svg(title: str, draw: Drawing) -> bytes:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.subplots()
        axes.set_title(title)
        draw(axes)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _binary(kind: Kind[Any], truth: Truth, scores: Array) -> Iterator[tuple[str, Drawing]]:
    labels = truth.labels.astype(np.int64)
    yield "confusion_matrix", lambda axes: _confusion(axes, labels, (scores >= 0.5).astype(np.int64), ("0", "1"))
    yield "calibration", lambda axes: _calibration(axes, labels, scores)
    if labels.min() != labels.max():
        yield "roc", lambda axes: _curve(axes, "roc_curve", labels, scores)
        yield "precision_recall", lambda axes: _curve(axes, "precision_recall_curve", labels, scores)


def _multiclass(kind: Kind[Any], truth: Truth, found: Array) -> Iterator[tuple[str, Drawing]]:
    told, classes = found.argmax(axis=1), kind.task.columns
    if len(classes) <= _MOST_CLASSES:
        yield "confusion_matrix", lambda axes: _confusion(axes, truth.labels, told, classes)
    right = (told == truth.labels).astype(np.int64)
    yield "calibration", lambda axes: _calibration(axes, right, np.clip(found.max(axis=1), 0, 1))


def _multilabel(kind: Kind[Multilabel], truth: Truth, found: Array) -> Iterator[tuple[str, Drawing]]:
    names = kind.task.labels[:_MOST_CLASSES]

    def rates(axes: Axes) -> None:
        places = np.arange(len(names))
        axes.barh(places - 0.2, truth.labels.mean(axis=0)[: len(names)], 0.4, label="true")
        axes.barh(places + 0.2, found.mean(axis=0)[: len(names)], 0.4, label="predicted")
        axes.set_yticks(places, names)
        axes.set_xlabel("share of the rows")
        axes.legend()

    yield "label_shares", rates
    yield "calibration", lambda axes: _calibration(axes, truth.labels.ravel(), found.ravel())


def _number(kind: Kind[Any], truth: Truth, found: Array) -> Iterator[tuple[str, Drawing]]:
    rows = _some(len(found))

    def against(axes: Axes) -> None:
        ends = [min(truth.labels.min(), found.min()), max(truth.labels.max(), found.max())]
        axes.plot(ends, ends, linestyle="--", color="grey")
        axes.scatter(truth.labels[rows], found[rows], s=5, alpha=0.4)
        axes.set(xlabel="actual", ylabel="predicted")

    def residuals(axes: Axes) -> None:
        _histogram(axes, truth.labels - found)
        axes.set(xlabel="actual - predicted", ylabel="rows")

    def along(axes: Axes) -> None:
        axes.axhline(0, linestyle="--", color="grey")
        axes.scatter(found[rows], (truth.labels - found)[rows], s=5, alpha=0.4)
        axes.set(xlabel="predicted", ylabel="actual - predicted")

    yield "predicted_against_actual", against
    yield "residuals", residuals
    yield "residuals_by_prediction", along


def _quantiles(kind: Kind[Any], truth: Truth, found: Array) -> Iterator[tuple[str, Drawing]]:
    levels = np.asarray(kind.task.levels)

    def pinball(axes: Axes) -> None:
        losses = [kind.metric(f"mean_pinball_loss_{level:g}")(truth, found) for level in levels]
        axes.plot(levels, losses, marker="o")
        axes.set(xlabel="level", ylabel="mean pinball loss")

    def coverage(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], linestyle="--", color="grey")
        axes.plot(levels, (truth.labels[:, None] <= found).mean(axis=0), marker="o")
        axes.set(xlabel="level", ylabel="share of the labels below the quantile")

    yield "pinball_by_level", pinball
    yield "coverage_by_level", coverage


def _ranking(kind: Kind[Any], truth: Truth, found: Array) -> Iterator[tuple[str, Drawing]]:
    assert truth.groups is not None  # noqa: S101 - a ranking's truth has them
    order = np.lexsort((-found, truth.groups))
    starts = np.flatnonzero(np.diff(truth.groups[order], prepend=truth.groups[order][0] - 1))
    places = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))

    def by_rank(axes: Axes) -> None:
        counts = np.bincount(places)[:_BINS]
        axes.bar(np.arange(1, len(counts) + 1), np.bincount(places, truth.labels[order])[:_BINS] / counts)
        axes.set(xlabel="rank in the group", ylabel="mean relevance")

    yield "relevance_by_rank", by_rank


def _embedding(kind: Kind[Any], truth: Truth, found: Array) -> Iterator[tuple[str, Drawing]]:
    lengths = np.linalg.norm(truth.labels, axis=1) * np.linalg.norm(found, axis=1)
    products = (truth.labels * found).sum(axis=1)

    def similarity(axes: Axes) -> None:
        _histogram(axes, np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0))
        axes.set(xlabel="cosine similarity of prediction and label", ylabel="rows")

    yield "cosine_similarity", similarity


_DRAWERS: Final[Mapping[str, Callable[[Any, Truth, Any], Iterator[tuple[str, Drawing]]]]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "multilabel": _multilabel,
    "regression": _number,
    "forecasting": _number,
    "quantiles": _quantiles,
    "ranking": _ranking,
    "embedding": _embedding,
}


def _confusion(axes: Axes, labels: Array, told: Array, names: tuple[str, ...]) -> None:
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (labels, told), 1)
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), vmin=0, vmax=1, cmap="Blues")
    axes.grid(visible=False)
    places = range(len(names))
    axes.set_xticks(places, names, rotation=90 if len(names) > _MOST_NUMBERED else 0)
    axes.set_yticks(places, names)
    axes.set(xlabel="predicted", ylabel="actual")
    for row, column in np.ndindex(counts.shape) if len(names) <= _MOST_NUMBERED else ():
        axes.text(column, row, str(counts[row, column]), ha="center", va="center")


def _histogram(axes: Axes, values: Array) -> None:
    low, high = float(values.min()), float(values.max())
    least = 1e-6 * max(1.0, abs(low), abs(high))  # NumPy makes no bins of what rounding alone tells apart
    if high - low < least:
        low, high = low - least, high + least
    axes.hist(values, bins=_BINS, range=(low, high))


def _calibration(axes: Axes, labels: Array, scores: Array) -> None:
    from sklearn.calibration import calibration_curve

    actual, predicted = calibration_curve(labels, np.clip(scores, 0, 1), n_bins=10, strategy="quantile", pos_label=1)
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey")
    axes.plot(predicted, actual, marker="o")
    axes.set(xlabel="mean predicted probability", ylabel="share of the rows where it is so")


def _curve(axes: Axes, name: str, labels: Array, scores: Array) -> None:
    from sklearn import metrics

    first, second, _ = getattr(metrics, name)(labels, scores)
    down, up = ("false positive rate", "true positive rate") if name == "roc_curve" else ("recall", "precision")
    along, height = (first, second) if name == "roc_curve" else (second, first)
    rows = _some(len(along))
    axes.plot(along[rows], height[rows])
    axes.set(xlabel=down, ylabel=up, xlim=(0, 1), ylim=(0, 1.02))


def _some(count: int) -> Array:
    """Places that are spread over so many, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).astype(np.int64))
