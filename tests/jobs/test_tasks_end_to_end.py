"""From a training in memory over the scoring program and the evaluation to the gate, for tasks of several kinds."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliostat.jobs import evaluate, packaging, score
from heliostat.ml import datasets, predictions, training
from heliostat.ml.arrays import ArrayModel
from heliostat.ml.contracts import columns_of
from heliostat.ml.in_memory import split_at_random
from heliostat.ml.in_memory import training as training_of
from heliostat.ml.pyfunc import Scorer, columns_in, load
from heliostat.ml.tasks.evaluation import Evaluation
from heliostat.provider import gate
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.jobs import EvaluateSpecification
from heliostat.spec.judging import resolved_gate
from heliostat.spec.parameters import JobParameters
from heliostat.spec.problem import CustomMetric, Problem
from heliostat.spec.tasks import Free, Multiclass, Regression
from heliostat.spec.workload import Gate, Slice
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

KINDS = ("setosa", "versicolor", "virginica")
IRIS = Multiclass(classes=KINDS)


class Centres(ArrayModel):
    """A probability for each class by the distance to its centre."""

    def predict(self, columns: Any) -> Any:
        rows = np.stack([np.asarray(columns["length"]), np.asarray(columns["width"])], axis=1)
        near = np.exp(-((rows[:, None, :] - self.arrays["centres"]) ** 2).sum(axis=2))
        return near / near.sum(axis=1, keepdims=True)


class Line(ArrayModel):
    def predict(self, columns: Any) -> Any:
        return self.arrays["slope"] * np.asarray(columns["x"]) + self.arrays["start"]


class Words(ArrayModel):
    """Text and an image for each row."""

    def predict(self, columns: Any) -> Any:
        rows = len(columns["x"])
        return {"text": [f"nº {value:g}" for value in columns["x"]], "image": np.zeros((rows, 2, 2), np.float32)}


class Settings(JobParameters):
    noise: float = 0.0


def flowers() -> pa.Table:
    from sklearn.datasets import load_iris

    found = load_iris()
    columns = {"length": found.data[:, 2], "width": found.data[:, 3], "site": ["north", "south", "west"] * 50}
    return pa.table({**columns, "kind": [KINDS[place] for place in found.target]})


def line() -> pa.Table:
    x = np.linspace(0, 10, 100)
    return pa.table({"x": x, "side": ["l", "r"] * 50, "y": 3 * x + 1 + np.random.default_rng(1).normal(0, 0.1, 100)})


def fit_centres(features: Any, labels: Any, parameters: Settings) -> Centres:
    centres = [features[labels == place].mean(axis=0) + parameters.noise for place in range(3)]
    return Centres({"centres": np.array(centres)})


def fit_line(features: Any, labels: Any, parameters: Settings) -> Line:
    slope, start = np.polyfit(features[:, 0], labels, 1)
    return Line({"slope": np.array(slope + parameters.noise), "start": np.array(start)})


def share_missed(labels: Any, found: Any) -> float:
    """A metric of one's own: how many are off by more than a tenth of the price."""
    return float((np.abs(found - labels) > 0.1 * np.abs(labels)).mean())


OWN = CustomMetric(name="share_missed", function=f"{__name__}:share_missed", higher_is_better=False)


class World:
    """A snapshot, and trainings of it whose models are judged as the provider and its jobs do."""

    def __init__(self, folder: Path, problem: Problem, table: pa.Table, label: str, fit: Any, names: tuple[str, ...]) -> None:
        self.folder, self.problem, self.label, self._fit, self._names = folder, problem, label, fit, names
        self.address = StoreAddress(uri=f"file://{folder}/objects")
        manifest = datasets.save(split_at_random(table, label), "toy", open_store(self.address), task=problem.task)
        self.key = f"datasets/toy/{manifest['digest']}"
        self.snapshot = datasets.Snapshot(self.key, self.address)

    def trained(self, name: str, noise: float = 0.0) -> Path:
        """An MLflow model's folder, as far as the scoring looks at it."""
        kept: list[Any] = []
        context = SimpleNamespace(
            rank=0, parameters={"noise": noise}, dataset=self.snapshot, problem=self.problem, finish=kept.append
        )
        names = self._names

        def transform(columns: Any) -> Any:
            return np.stack([np.asarray(columns[each]) for each in names], axis=1)

        training_of(self._fit, transform, Settings)(context)  # type: ignore[arg-type]
        folder = self.folder / name / "data" / "trained"
        folder.mkdir(parents=True)
        training.save_trained(kept[0], folder, 0.1, self.problem)
        return self.folder / name

    def scored(self, model: Path) -> tuple[Any, Any]:
        rows = self.folder / "rows.parquet"
        pq.write_table(self.snapshot.table("test").drop_columns([self.label]), rows)
        score.main(str(model), str(rows), str(model / "scores.npz"))
        return predictions.load(model / "scores.npz", "model"), predictions.load(model / "scores.npz", "baseline")

    def report(self, monkeypatch: pytest.MonkeyPatch, asked: Gate, candidate: Path, incumbent: Path | None) -> dict[str, Any]:
        found = {"models:/new": self.scored(candidate), "models:/toy/1": self.scored(incumbent) if incumbent else None}
        monkeypatch.setattr(evaluate, "_scores", lambda specification, uri, rows, folder: found[uri])
        specification = EvaluateSpecification(
            name="toy", candidate="models:/new", incumbent="models:/toy/1" if incumbent else None, dataset_key=self.key,
            dataset_digest="d" * 64, gate=resolved_gate(asked, self.problem), problem=self.problem, store=self.address,
            tracking_uri="http://nowhere", result_key="report.json",
        )  # fmt: skip
        evaluate.evaluate(EvaluateSpecification.model_validate_json(specification.model_dump_json(by_alias=True)))
        report: dict[str, Any] = json.loads(open_store(self.address).get("report.json"))
        return report

    def judged(self, monkeypatch: pytest.MonkeyPatch, asked: Gate, candidate: Path, incumbent: Path | None) -> gate.Verdict:
        report = self.report(monkeypatch, asked, candidate, incumbent)
        parts = [gate.figures_of(name, report[name], report["metric"]) for name in ("candidate", "baseline", "incumbent")]
        assert parts[0] is not None
        return gate.judge(resolved_gate(asked, self.problem), report["higherIsBetter"], parts[0], parts[1], parts[2])


@pytest.fixture
def iris(tmp_path: Path) -> World:
    return World(tmp_path, Problem(task=IRIS), flowers(), "kind", fit_centres, ("length", "width"))


@pytest.fixture
def prices(tmp_path: Path) -> World:
    return World(tmp_path, Problem(task=Regression(), metrics=(OWN,)), line(), "y", fit_line, ("x",))


def test_a_multiclass_model_passes_the_gate_and_a_worse_one_is_refused_with_its_figures(
    iris: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, poor = iris.trained("good"), iris.trained("poor", noise=2.0)
    asked = Gate(slices=(Slice(column="site", min_rows=2, margin=0.5),))
    assert iris.judged(monkeypatch, asked, good, None).summary.startswith("accuracy 1.0000, baseline 0.")
    assert iris.judged(monkeypatch, asked, good, good).accepted
    refused = iris.judged(monkeypatch, asked, poor, good)
    assert not refused.accepted
    assert "accuracy is" in refused.reasons[0]
    assert any(each.slice.startswith("site ") for each in refused.comparisons)
    assert any(each.with_baseline for each in refused.comparisons), "the task's own baseline was fitted beside"


def test_a_regression_is_judged_by_any_of_its_metrics_or_by_one_of_its_own(
    prices: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, poor = prices.trained("good"), prices.trained("poor", noise=1.0)
    for metric in (None, "rmse", "mean_absolute_percentage_error", "share_missed"):
        asked = Gate(metric=metric, slices=(Slice(column="side", min_rows=1),))
        assert prices.judged(monkeypatch, asked, good, poor).accepted, metric
        assert not prices.judged(monkeypatch, asked, poor, good).accepted, metric
    report = prices.report(monkeypatch, Gate(), good, poor)
    assert (report["task"], report["metric"], report["higherIsBetter"]) == ("regression", "r2", True)
    assert {"share_missed", "root_mean_squared_error"} <= report["candidate"]["overall"].keys()
    assert report["baseline"]["overall"]["mean_absolute_error"] > report["candidate"]["overall"]["mean_absolute_error"]


def test_a_snapshot_tells_its_label_by_the_task_and_by_another_where_that_is_declared_later(iris: World) -> None:
    store = open_store(iris.address)
    told = json.loads(store.get(f"{iris.key}/statistics.json"))["train"]
    assert told["label"]["counts"] == told["classBalance"]
    assert told["label"]["unmet"] == {}
    tables = split_at_random(flowers(), "kind")
    before = store.get(f"{iris.key}/train.parquet")
    again = datasets.save(tables, "toy", store, task=Free())
    assert again["digest"] in iris.key, "the values name a snapshot, and no task does"
    assert json.loads(store.get(f"{iris.key}/statistics.json"))["test"]["label"] == {"kind": "free", "unmet": {}}
    assert store.get(f"{iris.key}/train.parquet") == before
    with pytest.raises(PermanentError, match=r"is 'virginica', none of the task's classes setosa, versicolor \(declare them"):
        datasets.save(tables, "toy", store, task=Multiclass(classes=KINDS[:2]))


def test_what_serves_and_was_made_for_another_task_is_no_measure(iris: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good = iris.trained("good")
    shares, baseline = iris.scored(good)
    found = {"models:/new": (shares, baseline), "models:/toy/1": (shares[:, :2], None)}
    monkeypatch.setattr(World, "scored", lambda self, model: found["models:/new" if model == good else "models:/toy/1"])
    report = iris.report(monkeypatch, Gate(), good, Path("old"))
    assert report["incumbent"] is None
    assert report["incomparable"].startswith("models:/toy/1 is of another task: there are (30, 2) scores for 30 rows")
    assert report["baseline"]["overall"]
    assert not iris.report(monkeypatch, Gate(), good, None)["incomparable"]


def test_mlflow_is_told_the_task_s_columns_and_finds_them(iris: World) -> None:
    folder = iris.trained("good") / "data" / "trained"
    inputs = iris.snapshot.table("test").drop_columns(["kind"])
    frame = Scorer(load(folder)[0], columns_in(folder)).predict(inputs.to_pandas())
    assert list(frame.columns) == list(KINDS)
    assert np.allclose(frame.sum(axis=1), 1)
    pytest.importorskip("mlflow")
    signature = packaging._signature(inputs.schema, columns_in(folder))
    assert signature.outputs.input_names() == list(KINDS)
    assert packaging._signature(inputs.schema, ()).outputs is None


def test_text_and_arrays_of_any_shape_go_from_a_free_model_through_the_scoring_to_a_metric_of_one_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = CustomMetric(name="right", function=f"{__name__}:share_right", higher_is_better=True)
    world = World(tmp_path, Problem(task=Free(), metrics=(own,)), worded(), "told", lambda *_: Words({}), ("x",))
    model = world.trained("words")
    found, baseline = world.scored(model)
    assert baseline is None
    assert found["image"].shape == (20, 2, 2)
    columns = columns_of(world.snapshot.table("test"))
    assert found["text"] == [f"nº {value:g}" for value in columns["x"]]
    assert world.judged(monkeypatch, Gate(), model, None).summary == "right 1.0000"
    frame = Scorer(load(model / "data" / "trained")[0], ()).predict(world.snapshot.table("test").to_pandas())
    assert list(frame.columns) == ["text", "image"]


def worded() -> pa.Table:
    return pa.table({"x": np.arange(100.0), "told": [f"nº {value}" for value in range(100)]})


def share_right(labels: Any, found: Any) -> float:
    return float(np.mean([label == text for label, text in zip(labels, found["text"], strict=True)]))


def test_without_any_metric_every_candidate_passes_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, Problem(task=Free()), worded(), "told", lambda *_: Words({}), ("x",))
    report = world.report(monkeypatch, Gate(), world.trained("words"), None)
    assert (report["metric"], report["candidate"]["overall"]) == (None, {})
    assert gate.unjudged().accepted


def test_a_baseline_that_shall_be_beaten_and_is_not_there_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, Problem(), line(), "y", fit_line, ("x",))
    with pytest.raises(PermanentError, match=r"asks for 0\.1 more than the baseline, and the training saved none"):
        world.report(monkeypatch, Gate(metric="r2", beat_baseline_by=0.1), world.trained("good"), None)


def test_a_metric_that_the_test_split_is_not_good_for_is_refused_with_the_reason(prices: World) -> None:
    table = pa.table({"y": [2.0, 2.0], "x": [1.0, 2.0]})
    evaluation = Evaluation(prices.problem, table, "y")
    with pytest.raises(
        PermanentError, match="r2 is not defined on the 2 labels of the test split, for all 2 labels are alike"
    ):
        evaluate.measured(evaluation, Gate(metric="r2"), "r2", np.array([1.0, 2.0]))


class Attached:
    """A registry that takes pictures, or does not."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails
        self.files: dict[str, bytes] = {}

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *_: object) -> None: ...

    def attach(self, run_id: str, files: dict[str, bytes], below: str) -> None:
        if self.fails:
            raise PermanentError("no room")
        self.files |= {f"{run_id}/{below}/{name}": content for name, content in files.items()}


@pytest.mark.parametrize("fails", [False, True])
def test_pictures_lie_beside_the_model_and_no_measurement_fails_for_want_of_one(
    prices: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: bool
) -> None:
    registry = Attached(fails)
    monkeypatch.setattr(evaluate, "Registry", lambda uri: registry)
    found, _ = prices.scored(prices.trained("good"))
    evaluation = Evaluation(prices.problem, prices.snapshot.table("test"), "y")
    told = SimpleNamespace(run_id="r1", tracking_uri="http://nowhere")
    evaluate._draw(told, evaluation, found, is_personal=False)  # type: ignore[arg-type]
    assert ("r1/evaluation/residuals.svg" in registry.files) is not fails
    assert ("no pictures of the evaluation: PermanentError: no room" in capsys.readouterr().out) is fails
    evaluate._draw(told, evaluation, found, is_personal=True)  # type: ignore[arg-type]
    out = capsys.readouterr().out
    assert "no room" not in out, "an error may quote a row"
    assert ("no pictures of the evaluation: PermanentError" in out) is fails
