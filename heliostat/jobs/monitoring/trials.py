"""What is tried on a window's rows with the model itself: both paths, inputs that are moved, and loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.jobs.monitoring.log import MODEL_PREDICTION, PREDICTION
from heliostat.jobs.monitoring.model import Answers, as_column
from heliostat.jobs.monitoring.stand_ins import StandIns, other_values
from heliostat.jobs.monitoring.transformed import transformed_findings
from heliostat.ml.contracts import columns_of
from heliostat.ml.datasets import Snapshot
from heliostat.monitoring.feedback import Feedback, feedback, with_trends
from heliostat.monitoring.fragility import fragility
from heliostat.monitoring.judging import Judge
from heliostat.monitoring.logged import predictions_of, says_version
from heliostat.monitoring.skew import skew
from heliostat.monitoring.state import number_of
from heliostat.spec.findings import Aspect, Finding
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.spec.tasks import Binary
from heliostat.spec.watches import FeedbackWatch, FragilityWatch, SkewWatch
from heliostat.systems.errors import PermanentError

_SKEW_ROWS: Final = 2_000
_HALF: Final = 0.5
_NO_MORE_THAN_ROUNDING: Final = 1e-9

Found = tuple[Any, list[Finding]]


def trials(
    specification: MonitorSpecification,
    answering: Answers,
    rows: pa.Table | None,
    judge: Judge,
    before: Callable[[], Sequence[Feedback]] = tuple,
) -> tuple[dict[str, Any], list[Finding]]:
    """The reports of a window that the model itself, or the order of its rows, is needed for; by the report's fields.

    `before` has what was found of loops in the windows before, the oldest first.
    """
    monitor, trial = specification.monitor, _Trial(specification, answering, rows, judge)
    found: dict[str, Any] = {}
    findings: list[Finding] = []
    if monitor.skew is not None:
        found["skew"], told = trial.skew(monitor.skew)
        findings += told
    if monitor.fragility is not None:
        found["fragility"], told = trial.fragility(monitor.fragility)
        findings += told
    if monitor.feedback is not None:
        found["feedback"], told = trial.feedback(monitor.feedback, before())
        findings += told
    return found, findings


class _Trial:
    """One window of one model. What cannot be tried is unknown, with the reason, and costs no other part of the report."""

    def __init__(self, specification: MonitorSpecification, answering: Answers, rows: pa.Table | None, judge: Judge) -> None:
        self._specification, self._answering, self._judge = specification, answering, judge
        self._rows = rows if rows is not None else pa.table({})
        self._task = specification.problem.task
        self._stand_ins = StandIns(answering.described)

    def skew(self, watch: SkewWatch) -> Found:
        """The same rows through both paths, up to the prediction."""
        rows = _some(self._of_the_version(), _SKEW_ROWS)
        if not rows.num_rows:
            return None, [self._judge.unknown(Aspect.SKEW, "schema", "the window has no row of the version that serves")]
        try:
            own, columns, again = self._both_paths(rows)
            one = _features(columns_of(own), self._answering.answers(own))
            served = {name: columns[name] for name in columns}
            found = skew(one, _features(served, self._logged(rows)), watch.relative_tolerance)
            if found.differs(PREDICTION) and (needed := self._answer_needs(own)):
                found = skew(one, _features(served, again), watch.relative_tolerance).with_note(PREDICTION, _not_clear(needed))
        except (PermanentError, pa.ArrowException) as error:
            return None, [self._judge.unknown(Aspect.SKEW, "schema", str(error))]
        expected = transformed_findings(self._specification, columns, rows.num_rows, self._judge, watch)
        return found, [*self._judge.skew(found, watch), *expected]

    def _both_paths(self, rows: pa.Table) -> tuple[pa.Table, Mapping[str, Any], pa.Array]:
        """Rows as a training has them, and what the contract makes of and answers to the same; something stands in for what is
        personal, and for what was truncated as well where the contract takes no such value."""
        inputs = self._inputs(rows)
        try:
            return self._on_both(self._stand_ins.put(inputs, whole=False))
        except (PermanentError, pa.ArrowException):
            if not self._stand_ins.names(inputs):
                raise
            return self._on_both(self._stand_ins.put(inputs, whole=True))

    def _on_both(self, inputs: pa.Table) -> tuple[pa.Table, Mapping[str, Any], pa.Array]:
        own = self._as_trained(inputs)
        sent = [{name: value for name, value in row.items() if value is not None} for row in inputs.to_pylist()]
        return own, *self._answering.served(sent)

    def _answer_needs(self, own: pa.Table) -> list[str]:
        """The personal inputs that answers follow: with others of the test split the model answers otherwise."""
        first = _features({}, self._answering.answers(own))
        known = next(self._snapshot.batches("test", rows=own.num_rows))
        needed = []
        for name in self._stand_ins.names(own):
            other = _features({}, self._answering.answers(other_values(own, name, known)))
            if skew(first, other, _NO_MORE_THAN_ROUNDING).differs(PREDICTION):
                needed.append(name)
        return needed

    def fragility(self, watch: FragilityWatch) -> Found:
        """How far predictions move when inputs do."""
        rows = _some(self._rows, watch.rows)
        if not rows.num_rows:
            return None, [self._judge.unknown(Aspect.FRAGILITY, "inputs", "the window has no rows")]
        is_probability = isinstance(self._task, Binary)
        try:
            own = self._as_trained(self._stand_ins.put(self._inputs(rows), whole=False))
            found = fragility(self._predict, own, watch.epsilons, _HALF if is_probability else None)
        except (PermanentError, pa.ArrowException) as error:
            return None, [self._judge.unknown(Aspect.FRAGILITY, "inputs", str(error))]
        return found, [self._judge.fragility(found, watch)]

    def feedback(self, watch: FeedbackWatch, before: Sequence[Feedback]) -> Found:
        """Whether answers move later inputs."""
        needed = (watch.key, *watch.columns, *filter(None, [watch.holdout]))
        lacking = [name for name in needed if name not in self._rows.column_names]
        if lacking:
            text = f"the window's rows have no {', '.join(lacking)}"
            return None, [self._judge.unknown(Aspect.FEEDBACK, watch.key, text)]
        found = feedback(self._rows, self._numbers(self._rows[PREDICTION]), watch.key, watch.columns, watch.holdout)
        found = with_trends(found, before)
        return found, self._judge.feedback(found, watch)

    def _predict(self, rows: pa.Table) -> NDArray[np.float64]:
        return self._numbers(self._answering.answers(rows))

    def _numbers(self, column: Any) -> NDArray[np.float64]:
        """One number a row: of several the first."""
        found = predictions_of(column, self._task)
        return found if found.ndim == 1 else found[:, 0]

    def _of_the_version(self) -> pa.Table:
        """The rows that the version answered which serves: another one may answer otherwise."""
        if "version" not in self._rows.column_names:
            return self._rows
        number = number_of(self._specification.model_uri)
        return self._rows.filter(pa.array(says_version(self._rows["version"], number)))

    def _logged(self, rows: pa.Table) -> pa.Array:
        """What the model answered, before the steps behind it."""
        column = rows[PREDICTION]
        if MODEL_PREDICTION in rows.column_names:
            column = pc.coalesce(rows[MODEL_PREDICTION], column)
        return column.combine_chunks()

    def _inputs(self, rows: pa.Table) -> pa.Table:
        return rows.select([name for name in self._answering.inputs if name in rows.column_names])

    @property
    def _snapshot(self) -> Snapshot:
        return Snapshot(self._specification.dataset_key, self._specification.store)

    def _as_trained(self, inputs: pa.Table) -> pa.Table:
        """Inputs with the types that the training data have."""
        schema = next(self._snapshot.batches("test", rows=1)).schema
        fields = [schema.field(name) if name in schema.names else inputs.schema.field(name) for name in inputs.column_names]
        columns = [inputs[each.name].cast(each.type, safe=False) for each in fields]
        return pa.table(columns, schema=pa.schema(fields))


def _not_clear(names: Sequence[str]) -> str:
    return (
        f"the model needs {', '.join(names)}, which the log does not have in clear: what the replica answered cannot be made "
        "again, and both paths' answers to the same stand-ins are held against each other"
    )


def _features(columns: Mapping[str, Any], answers: pa.Array) -> pa.Table:
    """The predictor's columns and what came of them, as a table to be compared."""
    found = {name: as_column(values) for name, values in columns.items()}
    return pa.table({**found, PREDICTION: answers})


def _some(rows: pa.Table, most: int) -> pa.Table:
    """At most so many rows, drawn evenly; the same ones each time."""
    if rows.num_rows <= most:
        return rows
    return rows.take(pa.array(np.sort(np.random.default_rng(0).choice(rows.num_rows, most, replace=False))))
