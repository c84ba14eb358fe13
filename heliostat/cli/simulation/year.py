"""Month after month: what serves answers the month's rows, their labels come, the monitor looks, and a retraining is judged.

All of it lies in a folder that is an object store, as on a platform. A version takes over with the next month: how
rollouts shift traffic is tried on a platform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from heliostat.cli.simulation import rows as cut
from heliostat.cli.simulation import training
from heliostat.cli.simulation.declared import Declared
from heliostat.jobs import monitor
from heliostat.jobs.evaluate import measured
from heliostat.jobs.monitor_model import Answering
from heliostat.ml import datasets, pyfunc
from heliostat.ml.contracts import columns_of, load_entry_point
from heliostat.ml.ground_truth import prefix
from heliostat.ml.tasks.evaluation import Evaluation
from heliostat.monitoring.looking import WindowReport
from heliostat.monitoring.state import MonitorState, state_of
from heliostat.monitoring.windows import micros, numbers_of
from heliostat.provider.gate import Measurements, Verdict, judge
from heliostat.spec.judging import resolved_gate
from heliostat.spec.monitoring import MonitorSpecification, Refusal, refusals, states, window_key
from heliostat.spec.resources import StoreAddress
from heliostat.spec.watches import Calendar
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import Directory
from heliostat.systems.revisions import Revisions

_LOOKED_AFTER = timedelta(days=2)
"""After a month's end: its last labels are there."""


@dataclass(frozen=True)
class Version:
    """A model that served, or serves."""

    number: int
    folder: Path
    """As its training handed it back."""
    dataset_key: str
    digest: str
    until: str
    """The first month that it did not see."""


@dataclass(frozen=True)
class Month:
    """What a month brought."""

    name: str
    version: int
    rows: int
    figures: dict[str, float] = field(default_factory=dict)
    """Of the window, by aspect and subject; those without a slice."""
    began: tuple[str, ...] = ()
    """Alarms that began."""
    ended: tuple[str, ...] = ()
    retraining: str = ""
    """What was proposed, and what the gate said; empty where nothing asked for one."""


class Simulation:
    """A workload's time, simulated in `folder`, which is empty."""

    def __init__(self, asked: Declared, folder: Path, column: str | None, tell: Callable[[str], None]) -> None:
        self._asked, self._tell = asked, tell
        self.address = StoreAddress(uri=folder.absolute().as_uri())
        self._store = Directory(folder)
        tell("reading the data")
        data: Any = load_entry_point(asked.dataset)(asked.data_parameters)
        if not isinstance(data, datasets.Tables):
            raise PermanentError(f"{asked.dataset} returns parts: only data that memory holds can be simulated")
        self._label = data.label
        self._rows = pa.concat_tables([data.train, data.validation, data.test])
        self._column = cut.time_column(self._rows, column)
        self._trained_before = 0
        """Trainings, those that were refused among them."""

    def run(self, first: int, last: int, trained_months: int) -> Iterator[Month]:
        """The months after the first ones, which the first version is trained on.

        Raises:
            PermanentError: there are no rows, or they cannot be trained on.
        """
        begin = first + trained_months
        self._rows = self._rows.filter(pa.array(self._in(first, last)))
        self._tell(f"training version 1 on {cut.name_of(first)} to {cut.name_of(begin - 1)}")
        serving = self._trained(begin)
        self._look(serving, begin)
        for month in cut.months(begin, last):
            found, candidate = self._month(serving, month)
            serving = candidate or serving
            yield found

    def _in(self, first: int, last: int) -> Any:
        times, there = micros(self._rows[self._column])
        months = numbers_of(times, Calendar.MONTH)
        return there & (months >= first) & (months <= last)

    def _month(self, serving: Version, month: int) -> tuple[Month, Version | None]:
        table = cut.of_month(self._rows, self._column, month)
        before = self._state()
        if table.num_rows:
            self._log(serving, month, table)
        self._tell(f"looking at {cut.name_of(month)}")
        state = self._look(serving, month + 1)
        candidate, retraining = None, ""
        if state.proposal is not None and before.proposal is None:
            candidate, retraining = self._judged(serving, month + 1, state)
            if candidate is None:
                state = self._look(serving, month + 1, later=timedelta(hours=1))
        report = self._report(month)
        return Month(
            name=cut.name_of(month),
            version=serving.number,
            rows=table.num_rows,
            figures=_figures(report),
            began=tuple(sorted(_open(state) - _open(before))),
            ended=tuple(sorted(_open(before) - _open(state))),
            retraining=retraining,
        ), candidate

    def _trained(self, month: int) -> Version:
        """A version of what is known when a month begins."""
        self._trained_before += 1
        asked, number = self._asked, self._trained_before
        tables = cut.until(self._rows, self._column, month, self._label)
        manifest = datasets.save(tables, asked.name, self._store, task=asked.problem.task)
        key = f"datasets/{asked.name}/{manifest['digest']}"
        folder = self._store.root / "versions" / str(number)
        snapshot = datasets.Snapshot(key, self.address)
        training.train(asked.train, asked.parameters, snapshot, asked.problem, folder)
        return Version(number, folder, key, manifest["digest"], cut.name_of(month))

    def _log(self, serving: Version, month: int, table: pa.Table) -> None:
        specification = self._specification(serving, month)
        answering = Answering(specification, serving.folder / pyfunc.MODEL_FOLDER)
        answers = answering.answers(table)
        field, label = self._asked.monitor.field, f"{serving.number}-simulated"
        content = cut.logged(table, self._column, answering.inputs, answers, field, label)
        last = cut.start_of(month + 1) - timedelta(days=1)
        self._store.put(f"predictions/{self._asked.name}/date={last:%Y-%m-%d}/{cut.name_of(month)}.parquet", content)
        truth = cut.labelled(table, self._column, self._label)
        self._store.put(f"{prefix(self._asked.name)}{cut.name_of(month)}.parquet", truth)

    def _specification(self, serving: Version, month: int, later: timedelta = timedelta()) -> MonitorSpecification:
        asked = self._asked
        return MonitorSpecification(
            name=asked.name,
            contract=asked.contract,
            code_digest="0" * 64,
            model_uri=f"models:/{asked.name}/{serving.number}",
            dataset_key=serving.dataset_key,
            dataset_digest=serving.digest,
            problem=asked.problem,
            monitor=asked.monitor,
            store=self.address,
            tracking_uri="",
            at=(cut.start_of(month) + _LOOKED_AFTER + later).timestamp(),
        )

    def _look(self, serving: Version, month: int, later: timedelta = timedelta()) -> MonitorState:
        specification = self._specification(serving, month, later)
        monitor.watch_with(specification, Answering(specification, serving.folder / pyfunc.MODEL_FOLDER))
        return self._state()

    def _state(self) -> MonitorState:
        return state_of(Revisions(self._store, states(self._asked.name)).newest()[1])

    def _report(self, month: int) -> WindowReport | None:
        key = window_key(self._asked.name, cut.name_of(month))
        return WindowReport.model_validate_json(self._store.get(key)) if self._store.exists(key) else None

    def _judged(self, serving: Version, month: int, state: MonitorState) -> tuple[Version | None, str]:
        """Train on all that is known, and have the gate judge it."""
        assert state.proposal is not None  # noqa: S101 - whoever calls has looked
        self._tell(f"training version {self._trained_before + 1} on what is known by {cut.name_of(month)}")
        candidate = self._trained(month)
        verdict = self._verdict(candidate, serving)
        reasons = "; ".join(state.proposal.reasons)
        if verdict.accepted:
            return candidate, f"proposed: {reasons}; accepted: {verdict.summary}"
        at = (cut.start_of(month) + _LOOKED_AFTER + timedelta(minutes=30)).timestamp()
        refusal = Refusal(at=at, candidate=f"version {candidate.number}", reasons=verdict.reasons)
        key = f"{refusals(self._asked.name)}{cut.name_of(month)}.json"
        self._store.put(key, refusal.model_dump_json().encode())
        return None, f"proposed: {reasons}; refused: {'; '.join(verdict.reasons)}"

    def _verdict(self, candidate: Version, serving: Version) -> Verdict:
        """The gate's, on the candidate's test split."""
        problem = self._asked.problem
        gate = resolved_gate(self._asked.spec.gate, problem)
        table = datasets.Snapshot(candidate.dataset_key, self.address).table("test")
        evaluation = Evaluation(problem, table, self._label)
        columns = columns_of(table.drop_columns([self._label]))

        def figures(name: str, predictor: Any) -> Measurements | None:
            if predictor is None:
                return None
            found = measured(evaluation, gate, gate.metric, predictor.predict(columns))
            slices = {
                column: {value: float(entry["value"]) for value, entry in values.items()}
                for column, values in found["slices"].items()
            }
            return Measurements(name, float(found["overall"][gate.metric or ""]), slices)

        ours, baseline = pyfunc.load(candidate.folder)
        theirs, _ = pyfunc.load(serving.folder)
        found = figures(f"version {candidate.number}", ours)
        assert found is not None  # noqa: S101 - a training hands a model back
        better = problem.higher_is_better(gate.metric or "")
        return judge(gate, better, found, figures("the baseline", baseline), figures(f"version {serving.number}", theirs))


def _open(state: MonitorState) -> set[str]:
    return {alarm.key for alarm in state.open_alarms}


def _figures(report: WindowReport | None) -> dict[str, float]:
    found = report.findings if report is not None else ()
    return {
        f"{each.aspect}/{each.subject}": each.value for each in found if each.value is not None and "[" not in each.subject
    }
