"""The parameters that a tuned model was trained with are the ones that are recorded of it."""

from __future__ import annotations

from pathlib import Path

from heliostat.cli.operators.card_facts import _of_training
from heliostat.jobs import train
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.jobs import TrainSpecification
from heliostat.spec.training_report import TrainingReport, Trial
from heliostat.spec.tuning import Tuning, Uniform
from heliostat.spec.workload import Scaling
from heliostat.systems.objects import open_store

TRIALS = (Trial(parameters={"rate": 1.0}, value=0.5), Trial(parameters={"rate": 0.25}, value=0.9, chosen=True))


def specification(tuning: Tuning | None) -> TrainSpecification:
    return TrainSpecification(
        name="rides", digest="1" * 64, entry_point="w.t:train", code_digest="2" * 64, dataset_key="datasets/rides/3",
        dataset_digest="3" * 64, parameters={"rate": 1.0, "rounds": 7}, scaling=Scaling(workers=1), max_failures=0,
        tuning=tuning, store=StoreAddress(uri="file:///x"), tracking_uri="http://127.0.0.1", submission_id="s",
    )  # fmt: skip


def report(*trials: Trial) -> TrainingReport:
    return TrainingReport(name="rides", run_id="r", seconds=1, workers=(), metric="r2", trials=trials)


def test_what_a_tuning_searches_is_not_recorded_before_it_is_known() -> None:
    tuning = Tuning(metric="r2", space={"rate": Uniform(kind="uniform", low=0.0, high=1.0)})
    assert train.known_parameters(specification(tuning)) == {"rounds": 7, "workers": 1}
    assert train.known_parameters(specification(None)) == {"rate": 1.0, "rounds": 7, "workers": 1}
    assert report(*TRIALS).chosen == {"rate": 0.25}
    assert report().chosen == {}


def test_a_card_has_the_parameters_of_the_best_trial(tmp_path: Path) -> None:
    store = open_store(StoreAddress(uri=f"file://{tmp_path}"))
    store.put("r.json", report(*TRIALS).model_dump_json(by_alias=True).encode())
    training = {"parameters": {"rate": 1.0, "rounds": 7}, "reportUri": store.uri("r.json")}
    assert _of_training(training, store)["parameters"] == {"rate": 0.25, "rounds": 7}
    assert _of_training({"parameters": {"rate": 1.0}}, store)["parameters"] == {"rate": 1.0}
