"""A model of others is watched: its labels are names, its first answers are what later ones are held against."""

from __future__ import annotations

import datetime as dt
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from heliostat.jobs import monitor
from heliostat.ml.ground_truth import Label, record
from heliostat.ml.mlflow_models import contracts
from heliostat.monitoring import intervals
from heliostat.monitoring.looking import WindowReport
from heliostat.monitoring.state import MonitorState, state_of
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.findings import State
from heliostat.spec.model_contracts import contract_of
from heliostat.spec.monitoring import MonitorSpecification, reference_top, states, window_key
from heliostat.spec.monitors import Monitor
from heliostat.spec.monitors_of_others import problem_of
from heliostat.systems.objects import open_store
from heliostat.systems.revisions import Revisions

MONDAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
KINDS = ("duck", "goose", "swan")
CONTRACT = """
title: birds
description: What kind of bird it is.
task: multiclass
ranges: given
reads: frame
loader: pyfunc
request:
  weight: {type: double, minimum: 0}
  seen: {type: datetime}
answer:
  kind: {type: string, choices: [duck, goose, swan]}
examples: [{weight: 1.0, seen: "2026-03-02T00:00:00"}]
recorded: {model: "models:/others/3", digest: DIGEST}
golden:
- {name: one, request: {weight: 1.0, seen: "2026-03-02T00:00:00"}, answer: {kind: duck}}
""".replace("DIGEST", "d" * 64)


class World:
    """Birds that a model of others tells apart, which is right in nine of ten."""

    def __init__(self, folder: Path) -> None:
        self.address = StoreAddress(uri=f"file://{folder}/store")
        self.store = open_store(self.address)
        self.contract = contract_of(yaml.safe_load(CONTRACT), "contract.yaml")

    def log(self, day: dt.datetime, shares: tuple[float, ...] = (0.5, 0.3, 0.2), heavier: float = 1.0, wrong: float = 0.1,
            version: str = "3-abcdef12", rows: int = 600) -> None:  # fmt: skip
        draw = np.random.default_rng(day.day)
        answers = draw.choice(KINDS, rows, p=shares)
        ids = [f"{version[0]}-{day:%m%d}-{number}" for number in range(rows)]
        times = pa.array([day + DAY * number / rows for number in range(rows)], pa.timestamp("us", "UTC"))
        columns = {"request_id": ids, "row": pa.array([0] * rows, pa.int32()), "time": times, "version": [version] * rows}
        inputs = {"input_weight": draw.gamma(2, heavier, rows), "input_seen": times}
        buffer = io.BytesIO()
        pq.write_table(pa.table({**columns, "prediction_kind": answers, **inputs}), buffer)
        self.store.put(f"predictions/birds/date={day:%Y-%m-%d}/{version}.parquet", buffer.getvalue())
        truth = np.where(draw.random(rows) < wrong, draw.choice(KINDS, rows), answers)
        record(self.address, "birds", [Label(each, str(kind)) for each, kind in zip(ids, truth, strict=True)])

    def look(self, now: dt.datetime, model: str = "models:/others/3", **declared: Any) -> MonitorState:
        watched = Monitor.model_validate(
            {"field": "kind", "labelsWithinSeconds": 20 * 86_400, "referenceRows": 1_000, **declared}
        )
        monitor.watch(
            MonitorSpecification(
                name="birds",
                contract="heliostat.ml.mlflow_models.contracts:birds_of_others",
                code_digest="c" * 64,
                model_uri=model,
                problem=problem_of(self.contract, "kind"),
                monitor=watched,
                store=self.address,
                tracking_uri="http://mlflow",
                at=now.timestamp(),
            )
        )
        return state_of(Revisions(self.store, states("birds")).newest()[1])

    def report(self, window: str) -> WindowReport:
        return WindowReport.model_validate_json(self.store.get(window_key("birds", window)))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    folder = tmp_path / "checkout" / "workloads" / "birds_of_others"
    folder.mkdir(parents=True)
    (folder / "contract.yaml").write_text(CONTRACT)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "checkout"), *sys.path])
    monkeypatch.setattr(intervals, "_DRAWS", 30)
    contracts._contract_at.cache_clear()
    return World(tmp_path)


def of(state: MonitorState, key: str) -> Any:
    return state.findings[f"birds/{key}"]


def test_its_first_answers_are_the_reference_and_until_then_it_is_said_what_is_awaited(world: World) -> None:
    world.log(MONDAY)
    asked: dict[str, Any] = {"drift": {}, "predictionDrift": {}}
    early = world.look(MONDAY + DAY * 1.2, **asked)
    assert "version 3 has answered 600 of the 1,000 rows that later ones are held against" in of(early, "drift/reference").text
    assert of(early, "prediction-drift/reference").state is State.UNKNOWN
    assert [*world.store.list("monitors/birds/references/")] == []
    world.log(MONDAY + DAY)
    ready = world.look(MONDAY + DAY * 2.2, **asked)
    assert of(ready, "drift/reference").state is State.OK
    assert of(ready, "drift/weight").state is of(ready, "prediction-drift/class").state is State.OK
    kept = {info.key for info in world.store.list(reference_top("birds", ready.reference))}
    world.log(MONDAY + 2 * DAY, shares=(0.1, 0.3, 0.6), heavier=3.0)
    later = world.look(MONDAY + DAY * 3.2, **asked)
    assert of(later, "drift/weight").state is of(later, "prediction-drift/class").state is State.BREACH
    assert {info.key for info in world.store.list("monitors/birds/references/")} == kept, "it is made once"
    [shares] = world.report("2026-03-04").prediction_drift.columns
    assert (shares.name, shares.status) == ("class", "drifted") and shares.adjusted_p < 1e-6
    assert any("times go on" in text for text in later.problems)


def test_another_version_has_first_answers_of_its_own(world: World) -> None:
    for number in range(2):
        world.log(MONDAY + number * DAY)
    first = world.look(MONDAY + DAY * 2.2, predictionDrift={})
    world.log(MONDAY + 2 * DAY, version="4-12345678", shares=(0.1, 0.3, 0.6))
    state = world.look(MONDAY + DAY * 3.2, "models:/others/4", predictionDrift={})
    assert "version 4 has answered 600 of" in of(state, "prediction-drift/reference").text
    assert state.reference != first.reference


def test_quality_of_classes_that_are_names_is_judged_by_a_limit(world: World) -> None:
    world.log(MONDAY)
    asked = {"quality": [{"metric": "accuracy", "limit": 0.8, "minRows": 100, "slices": ["weight"]},
                         {"metric": "f1_macro", "limit": 0.5, "minRows": 100},
                         {"metric": "log_loss", "limit": 1.0, "minRows": 100}]}  # fmt: skip
    good = world.look(MONDAY + DAY * 1.2, **asked)
    assert of(good, "quality/accuracy").state is of(good, "quality/f1_macro").state is State.OK
    assert of(good, "quality/log_loss").state is State.UNKNOWN
    assert "each answer is of one class with certainty" in of(good, "quality/log_loss").text
    world.log(MONDAY + DAY, wrong=0.9)
    bad = world.look(MONDAY + DAY * 2.2, **asked)
    assert of(bad, "quality/accuracy").state is State.BREACH
    assert 0.3 < of(bad, "quality/accuracy").value < 0.5


def test_the_mean_of_classes_without_probabilities_is_none_and_said_so(world: World) -> None:
    world.log(MONDAY)
    state = world.look(MONDAY + DAY * 1.2, bias={"minRows": 100})
    assert of(state, "prediction-bias/ratio").state is State.UNKNOWN
    assert "name a class without its probability" in of(state, "prediction-bias/ratio").text
