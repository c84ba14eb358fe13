"""The workload `tumours`: its data, its model and its contract."""

from pathlib import Path

from heliostat.ml.datasets import check
from heliostat.ml.in_memory import examples, measured
from heliostat.testing import assert_contract, assert_workload

from workloads.tumours.contract import CONTRACT
from workloads.tumours.dataset import snapshot
from workloads.tumours.features import LABEL, transform
from workloads.tumours.parameters import Training
from workloads.tumours.predictor import Model
from workloads.tumours.train import fit

TABLES = snapshot({})
MODEL = fit(*examples(TABLES.train, LABEL, transform), Training())


def test_the_data_can_be_a_snapshot() -> None:
    check(TABLES)


def test_a_model_is_better_than_chance_on_rows_that_it_never_saw() -> None:
    assert measured(MODEL, TABLES.test, LABEL)["roc_auc"] > 0.9


def test_a_saved_model_keeps_the_contract_and_answers_as_before(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    saved, columns = Model.load(tmp_path), CONTRACT.columns(CONTRACT.examples)
    assert_contract(CONTRACT, saved)
    assert saved.predict(columns).tolist() == MODEL.predict(columns).tolist()


def test_the_code_has_no_mistake_that_the_preview_would_tell() -> None:
    assert_workload("workloads.tumours")
