"""The workload `tumours`: its data, its model and its contract."""

from pathlib import Path

from heliostat.ml.datasets import check
from heliostat.ml.in_memory import examples, measured
from heliostat.ml.inspection import inspected
from heliostat.spec.inspection import Asked, InspectionTask, Role

from workloads.tumours.contract import CONTRACT
from workloads.tumours.dataset import snapshot
from workloads.tumours.features import LABEL, transform
from workloads.tumours.parameters import Training
from workloads.tumours.predictor import Model
from workloads.tumours.train import fit

PACKAGE = "workloads.tumours"
TABLES = snapshot({})
MODEL = fit(*examples(TABLES.train, LABEL, transform), Training())


def test_the_data_can_be_a_snapshot() -> None:
    check(TABLES)


def test_a_model_is_better_than_chance_on_rows_that_it_never_saw() -> None:
    assert measured(MODEL, TABLES.test, LABEL)["roc_auc"] > 0.9


def test_a_saved_model_answers_the_contract_s_examples_as_before(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    columns = CONTRACT.columns(CONTRACT.examples)
    scores = Model.load(tmp_path).predict(columns).tolist()
    assert scores == MODEL.predict(columns).tolist()
    assert all(CONTRACT.respond(score) for score in scores)


def test_the_code_has_no_mistake_that_the_preview_would_tell() -> None:
    roles = {"dataset:snapshot": Role.DATASET, "train:train": Role.TRAINING, "contract:CONTRACT": Role.CONTRACT}
    asked = tuple(Asked(entry_point=f"{PACKAGE}.{name}", role=role) for name, role in roles.items())
    assert inspected(InspectionTask(asked=asked)).mistakes == ()
