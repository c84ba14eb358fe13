"""A model that answers together with models before it: how much each counts, and which of them stay."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

import heliostat
from heliostat.cli.simulation.training import train
from heliostat.ml import pyfunc
from heliostat.ml.arrays import ArrayModel
from heliostat.ml.combining import Combining
from heliostat.ml.datasets import Snapshot, Tables, save
from heliostat.ml.ensembles import ENSEMBLE_FILE, EnsemblePredictor, load_model
from heliostat.ml.previous import Previous
from heliostat.ml.training import Context, Trained
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.ensembles import Combined, Ensemble, no_mean_of
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary, Embedding, Free, Ranking, Regression
from heliostat.spec.workload import Training
from heliostat.systems.objects import open_store

X = np.arange(8.0)


class Line(ArrayModel):
    def predict(self, columns: Any) -> Any:
        return np.asarray(columns["x"]) * float(self.arrays["slope"])


class Doubled(Line):
    def predict(self, columns: Any) -> Any:
        return 2 * super().predict(columns)


class Wide(ArrayModel):
    def predict(self, columns: Any) -> Any:
        return np.outer(np.asarray(columns["x"]), self.arrays["slopes"])


def fit(context: Context) -> None:
    """The slope that the parameters say."""
    model = Line({"slope": np.array(context.parameters["slope"])})
    context.finish(Trained(model.save, Line, {"r2": -9.0}))


class World:
    """Trainings of lines, one after another, each judged on `y = x`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = StoreAddress(uri=f"file://{folder}")
        table = pa.table({"x": X, "y": X})
        digest = save(Tables(table, table, table, "y"), "lines", open_store(self._store), task=Regression())["digest"]
        self.data, self.digest = Snapshot(f"datasets/lines/{digest}", self._store), digest
        self.trained = 0

    def train(self, slope: float, before: Previous | None = None, **ensemble: Any) -> Previous:
        self.trained += 1
        folder, uri = self._folder / f"version-{self.trained}", f"models:/lines/{self.trained}"
        asked = Ensemble(model=before.uri, **ensemble) if before is not None else None
        combining = Combining(asked, before) if asked is not None and before is not None else None
        train(f"{__name__}:fit", {"slope": slope}, self.data, Problem(task=Regression()), folder, combining)
        return Previous(uri, folder / "model", pyfunc.load(folder)[0], self.data, self.digest)

    def result(self, version: Previous) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((version.folder.parent / "result.json").read_text())
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def slope_of(version: Previous) -> float:
    """What the files in the version's folder answer to 1."""
    model = load_model(Line, version.folder)
    return float(model.predict({"x": np.array([1.0])})[0])


def members(version: Previous, world: World) -> list[tuple[str, float]]:
    return [(each.model, round(each.share, 4)) for each in Combined.model_validate(world.result(version)["combined"]).members]


def test_the_answers_are_the_mean_by_the_share_that_is_declared(world: World) -> None:
    old = world.train(3.0)
    new = world.train(1.0, old, share=0.25)
    assert slope_of(new) == pytest.approx(0.75 * 1.0 + 0.25 * 3.0)
    assert members(new, world) == [("", 0.75), ("models:/lines/1", 0.25)]


def test_by_default_the_share_is_what_does_best_on_the_validation_split(world: World) -> None:
    old = world.train(0.6)
    new = world.train(1.2, old)
    assert slope_of(new) == pytest.approx(1.0, abs=0.02), "two thirds of the new model and a third of the old one"
    told = Combined.model_validate(world.result(new)["combined"])
    assert told.metric == "r2" and told.alone < 0.96 < told.together
    assert told.text.startswith("it answers as 65% its own model and 35% models:/lines/1: r2 0.99")


def test_the_metrics_of_the_training_are_those_of_what_will_answer(world: World) -> None:
    new = world.train(1.2, world.train(0.6))
    result = world.result(new)
    assert result["metrics"]["r2"] == result["combined"]["together"] > 0.99
    assert result["knowledge"]["before"] == "models:/lines/1" and result["knowledge"]["afterOnOld"] > 0.99


def test_older_answers_that_help_nothing_leave_the_new_model_alone(world: World) -> None:
    new = world.train(1.0, world.train(5.0))
    assert slope_of(new) == 1.0 and not (new.folder / ENSEMBLE_FILE).exists()
    told = Combined.model_validate(world.result(new)["combined"])
    assert told.text == "the older answers were of no help: its model answers alone, r2 1.0000"


def test_the_new_model_always_counts_for_something(world: World) -> None:
    new = world.train(7.0, world.train(1.0))
    assert members(new, world)[0] == ("", 0.05)


def test_members_of_an_ensemble_stay_as_themselves_and_those_that_count_least_go(world: World) -> None:
    first = world.train(1.0)
    second = world.train(2.0, first, share=0.2)
    third = world.train(4.0, second, share=0.5)
    assert members(third, world) == [("", 0.5), ("models:/lines/2", 0.4), ("models:/lines/1", 0.1)]
    assert slope_of(third) == pytest.approx(0.5 * 4 + 0.4 * 2 + 0.1 * 1)
    fourth = world.train(8.0, third, share=0.5)
    whole = 0.5 + 0.4
    kept = [("models:/lines/3", round(0.5 * 0.5 / whole, 4)), ("models:/lines/2", round(0.5 * 0.4 / whole, 4))]
    assert members(fourth, world) == [("", 0.5), *kept], "three at most by default"
    assert slope_of(fourth) == pytest.approx(0.5 * 8 + 0.5 * (0.5 * 4 + 0.4 * 2) / whole)
    assert len([*(fourth.folder / "members").iterdir()]) == 3


def test_a_training_reads_the_validation_split_once_and_loads_no_model_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = world.train(2.0, world.train(1.0), share=0.2)
    loaded, read, load, table = list[Path](), list[str](), Line.load.__func__, Snapshot.table  # type: ignore[attr-defined]
    monkeypatch.setattr(Line, "load", classmethod(lambda kind, folder: loaded.append(folder) or load(kind, folder)))
    monkeypatch.setattr(Snapshot, "table", lambda self, split, *more: read.append(split) or table(self, split, *more))
    fourth = world.train(4.0, third, share=0.5)
    assert read == ["validation"], "for the share and for what was kept, of data that are the same"
    afterwards = [fourth.folder / "members" / str(number) for number in range(3)]
    assert loaded == [fourth.folder, *afterwards], "what was trained, once; the others when the world loads the new version"


def test_an_older_model_of_another_class_answers_as_the_new_class_has_it(world: World) -> None:
    old = world.train(3.0)
    plain = world.train(1.0, old, share=0.5)
    found = world.train(1.0, replace(old, predictor=Doubled.load(old.folder)), share=0.5)
    assert world.result(found)["metrics"] == world.result(plain)["metrics"]


def test_an_ensemble_has_no_one_model_to_continue_from(world: World) -> None:
    together = world.train(1.0, world.train(3.0), share=0.5)
    with pytest.raises(ValueError, match="models:/lines/2 is an ensemble of a model of its own and of models:/lines/1"):
        together.require_one_model()
    world.train(2.0).require_one_model()


def test_models_that_answer_in_other_shapes_are_told(tmp_path: Path) -> None:
    wide, narrow = Wide({"slopes": np.ones(2)}), Line({"slope": np.array(1.0)})
    with pytest.raises(ValueError, match=r"in the shapes \(8,\) and \(8, 2\): they have no mean"):
        EnsemblePredictor([(0.5, narrow), (0.5, wide)]).predict({"x": X})


def test_a_folder_of_one_model_is_loaded_as_it_is(tmp_path: Path) -> None:
    Line({"slope": np.array(2.0)}).save(tmp_path)
    assert isinstance(load_model(Line, tmp_path), Line)


@pytest.mark.parametrize("task", [Ranking(group="query"), Embedding(dimensions=4), Free()], ids=lambda task: task.kind)
def test_tasks_whose_answers_have_no_mean_say_why(task: Any) -> None:
    assert f"training.ensemble has no meaning for the task {task.kind}: " in no_mean_of(Problem(task=task))


def test_other_tasks_have_one() -> None:
    assert no_mean_of(Problem(task=Binary())) == no_mean_of(Problem()) == no_mean_of(None) == ""


def test_a_training_goes_on_from_an_older_model_or_answers_together_with_it() -> None:
    with pytest.raises(ValidationError, match="leave one of them out"):
        Training.model_validate({"continueFrom": "models:/a/1", "ensemble": {"model": "models:/a/1"}})
    declared = Training.model_validate({"continueFrom": "models:/a/1", "ensemble": {"share": 0.3}})
    assert declared.combined_with is None, "no model is named yet"


def test_whatever_loads_a_model_by_its_contract_takes_an_ensemble_as_well() -> None:
    library = Path(heliostat.__file__).parent
    loads = [path.relative_to(library).as_posix() for path in library.rglob("*.py") if "predictor.load(" in path.read_text()]
    assert not loads, "these would find the files of one model where there are several: `load_model` knows both"
