"""Month after month: what serves answers the month's rows, their labels come, the monitor looks, a retraining is judged, and
the version that is accepted is rolled out.

All of it lies in a folder that is an object store, as on a platform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from heliostat.cli.simulation import rollouts, training, versions
from heliostat.cli.simulation import rows as cut
from heliostat.cli.simulation.declared import Declared
from heliostat.cli.simulation.histories import history
from heliostat.cli.simulation.requests import Recorded
from heliostat.cli.simulation.rows import Happened
from heliostat.cli.simulation.versions import Model, Version
from heliostat.jobs import monitor
from heliostat.jobs.monitoring.model import Answering
from heliostat.ml import datasets, pyfunc
from heliostat.ml.combining import Combining
from heliostat.ml.ground_truth import prefix
from heliostat.ml.previous import Previous
from heliostat.monitoring.looking import WindowReport
from heliostat.monitoring.state import MonitorState, state_of
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.monitoring import (
    Acceptance,
    MonitorSpecification,
    Refusal,
    states,
    window_key,
)
from heliostat.spec.tasks import Multiclass
from heliostat.systems import gate_notes
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import Directory
from heliostat.systems.revisions import Revisions

_LOOKED_AFTER = timedelta(days=2)
"""After a month's end: its last labels are there."""
_JUDGED_AFTER = timedelta(minutes=30)
"""After a look that proposes one, a candidate is trained and judged."""
_STARTED_BEFORE = timedelta(hours=1)
"""The first version is up when the first month begins."""


@dataclass(frozen=True)
class Month:
    """What a month brought."""

    name: str
    version: int
    """What serves when the month is looked at."""
    rows: int
    answered: dict[str, int] = field(default_factory=dict)
    """How many rows each version answered, by its number."""
    figures: dict[str, float] = field(default_factory=dict)
    """Of the window, by aspect and subject; those without a slice."""
    began: tuple[str, ...] = ()
    """Alarms that began."""
    ended: tuple[str, ...] = ()
    rollout: tuple[str, ...] = ()
    """What became of rollouts, a line each, with its moment."""
    retraining: str = ""
    """What was proposed, and what the gate said; empty where nothing asked for one."""


class Simulation:
    """A workload's time, simulated in `folder`, which is empty.

    Args:
        asked: The workload.
        folder: The object store.
        column: When a row happened; None: the first column of times.
        approve_after: How long a rollout waits until somebody approves; None: nobody does.
        tell: Who is told what it is at.
        arrived: When a row that is ingested came; None: as its source says.
    """

    def __init__(
        self,
        asked: Declared,
        folder: Path,
        column: str | None,
        approve_after: timedelta | None,
        tell: Callable[[str], None],
        arrived: str | None = None,
    ) -> None:
        self._asked, self._approve_after, self._tell = asked, approve_after, tell
        self.address = StoreAddress(uri=folder.absolute().as_uri())
        self._store = Directory(folder)
        tell("reading the data")
        self._history = history(asked, self.address, column, arrived, tell)
        self._label, self._happened = self._history.label, self._history.happened
        self._versions: dict[str, Version] = {}
        """Those that were declared, by digest."""
        self._trained_before = 0
        """Trainings, those that were refused among them."""

    def run(self, first: int, last: int, trained_months: int) -> Iterator[Month]:
        """The months after the first ones, which the first version is trained on.

        Raises:
            PermanentError: there are no rows, or they cannot be trained on.
        """
        begin = first + trained_months
        if not self._happened.between(first, begin - 1).rows.num_rows:
            raise PermanentError(
                f"nothing happened in {cut.name_of(first)} to {cut.name_of(begin - 1)}: {self._happened.told}"
            )
        self._since, self._happened = cut.start_of(first), self._happened.between(first, last)
        self._tell(f"training version 1 on {cut.name_of(first)} to {cut.name_of(begin - 1)}")
        task = self._asked.problem.task
        classes = task.classes if isinstance(task, Multiclass) else ()
        recorded = Recorded(self._happened, self._label, classes)
        starts = cut.start_of(begin) - _STARTED_BEFORE
        self._rollouts = rollouts.Rollouts(self.address, self._asked.name, recorded, starts, self._approve_after)
        self._roll_out(self._trained(begin, starts))
        self._rollouts.run_to(cut.start_of(begin))
        if (error := self._rollouts.problem) is not None:
            raise PermanentError(f"the first version does not come to serve: {error}")
        self._look(begin)
        for month in cut.months(begin, last):
            yield self._month(month)

    def _month(self, month: int) -> Month:
        asked = self._happened.between(month, month)
        before, told = self._state(), len(self._rollouts.events)
        self._rollouts.run_to(cut.start_of(month + 1) + _LOOKED_AFTER)
        answered = self._log(month, asked)
        self._tell(f"looking at {cut.name_of(month)}")
        serving, retraining = self._serving, ""
        state = self._look(month + 1)
        if state.proposal is not None and state.proposal != before.proposal:
            retraining = self._judged(month + 1, state)
            state = self._look(month + 1, later=timedelta(hours=1))
        return Month(
            name=cut.name_of(month),
            version=serving.number,
            rows=asked.rows.num_rows,
            answered=answered,
            figures=_figures(self._report(month)),
            began=tuple(sorted(_open(state) - _open(before))),
            ended=tuple(sorted(_open(before) - _open(state))),
            rollout=self._rollouts.story(told),
            retraining=retraining,
        )

    @property
    def _serving(self) -> Version:
        return self._versions[self._rollouts.serving]

    def _trained(self, month: int, now: datetime, before: Previous | Combining | None = None) -> Version:
        """A version of what happened before a month begins, as far as it is known now, and of the version `before`."""
        self._trained_before += 1
        asked, number = self._asked, self._trained_before
        tables = self._history.known(now, self._since, cut.start_of(month))
        manifest = datasets.save(tables, asked.name, self._store, task=asked.problem.task)
        key = f"datasets/{asked.name}/{manifest['digest']}"
        folder = self._store.root / "versions" / str(number)
        training.train(asked.train, asked.parameters, datasets.Snapshot(key, self.address), asked.problem, folder, before)
        return Version(number, folder, key, manifest["digest"])

    def _roll_out(self, version: Version) -> None:
        desired = versions.desired(self._asked, version, self.address)
        self._versions[desired.version.digest] = version
        model = Model(self._asked, version)
        self._rollouts.begin(rollouts.Answering(desired, model.answers, model.golden_failure))

    def _log(self, month: int, happened: Happened) -> dict[str, int]:
        """Have each row answered by the version that the ledger says it went to; how many each answered."""
        digests = self._rollouts.answered_by(happened.at, np.random.default_rng(month))
        name, field, counted = cut.name_of(month), self._asked.monitor.field, {}
        ids = cut.ids_of(happened.rows.num_rows, month)
        day = cut.start_of(month + 1) - timedelta(days=1)
        for digest, version in self._versions.items():
            here = digests == digest
            asked = happened.where(here)
            if not asked.rows.num_rows:
                continue
            answering = self._answering(version, month)
            answers = answering.answers(asked.rows)
            mine = ids.filter(pa.array(here))
            content = cut.logged(asked, mine, answering.inputs, answers, field, version.label)
            key = f"predictions/{self._asked.name}/date={day:%Y-%m-%d}/{name}-{version.number}.parquet"
            self._store.put(key, content)
            counted[str(version.number)] = asked.rows.num_rows
        if happened.rows.num_rows:
            truth = cut.labelled(happened, ids, self._label)
            self._store.put(f"{prefix(self._asked.name)}{name}.parquet", truth)
        return counted

    def _answering(self, version: Version, month: int) -> Answering:
        return Answering(self._specification(version, month), version.folder / pyfunc.MODEL_FOLDER)

    def _specification(self, serving: Version, month: int, later: timedelta = timedelta()) -> MonitorSpecification:
        asked = self._asked
        return MonitorSpecification(
            name=asked.name,
            contract=asked.contract,
            code_digest="0" * 64,
            model_uri=f"models:/{asked.name}/{serving.number}",
            dataset_key=serving.dataset_key,
            dataset_digest=serving.dataset_digest,
            problem=asked.problem,
            monitor=asked.monitor,
            transformed=asked.transformed,
            store=self.address,
            tracking_uri="",
            at=(cut.start_of(month) + _LOOKED_AFTER + later).timestamp(),
        )

    def _look(self, month: int, later: timedelta = timedelta()) -> MonitorState:
        serving = self._serving
        monitor.watch_with(self._specification(serving, month, later), self._answering(serving, month))
        return self._state()

    def _state(self) -> MonitorState:
        return state_of(Revisions(self._store, states(self._asked.name)).newest()[1])

    def _report(self, month: int) -> WindowReport | None:
        key = window_key(self._asked.name, cut.name_of(month))
        return WindowReport.model_validate_json(self._store.get(key)) if self._store.exists(key) else None

    def _judged(self, month: int, state: MonitorState) -> str:
        """Train on all that is known, have the gate judge it, and begin to roll out what it accepts."""
        assert state.proposal is not None  # noqa: S101 - whoever calls has looked
        self._tell(f"training version {self._trained_before + 1} on what is known by {cut.name_of(month)}")
        before = versions.before(self._asked, self._serving, self.address)
        candidate = self._trained(month, cut.start_of(month) + _LOOKED_AFTER, before)
        verdict = versions.verdict(self._asked, candidate, self._serving, self.address, self._label)
        reasons = "; ".join(state.proposal.reasons)
        judged = cut.start_of(month) + _LOOKED_AFTER + _JUDGED_AFTER
        self._rollouts.run_to(judged)
        at = judged.timestamp()
        if verdict.accepted:
            version = f"models:/{self._asked.name}/{candidate.number}"
            told = Acceptance(at=at, version=version, summary=verdict.summary, by_group=verdict.by_group)
            gate_notes.note(self._store, self._asked.name, cut.name_of(month), told)
            self._roll_out(candidate)
            together = versions.together(candidate)
            return f"proposed: {reasons}; {together}accepted as version {candidate.number}: {verdict.summary}"
        refusal = Refusal(at=at, candidate=f"version {candidate.number}", reasons=verdict.reasons, by_group=verdict.by_group)
        gate_notes.note(self._store, self._asked.name, cut.name_of(month), refusal)
        return f"proposed: {reasons}; {versions.together(candidate)}refused: {'; '.join(verdict.reasons)}"


def _open(state: MonitorState) -> set[str]:
    return {alarm.key for alarm in state.open_alarms}


def _figures(report: WindowReport | None) -> dict[str, float]:
    found = report.findings if report is not None else ()
    return {
        f"{each.aspect}/{each.subject}": each.value for each in found if each.value is not None and "[" not in each.subject
    }
