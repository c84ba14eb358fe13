"""What a training's driver does for MLflow while the workers train."""

from __future__ import annotations

import datetime as dt
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip("mlflow")

from heliostat.jobs import packaging

BOOSTED = "from heliostat.ml.frameworks.lightgbm.booster import Booster\nimport shared.numbers\nclass Model: pass\n"


def test_mlflow_has_looked_at_what_is_installed_before_the_model_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.utils import requirements_utils

    monkeypatch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
    packaging.prepare()
    known = requirements_utils._MODULES_TO_PACKAGES
    assert known is not None
    assert known["mlflow"]
    assert "mlflow.pyfunc" in sys.modules


def test_workers_that_are_started_again_prepare_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from heliostat.jobs import train

    prepared = list[str]()
    monkeypatch.setattr(train.os, "setpriority", lambda *_: None)
    monkeypatch.setattr(packaging, "prepare", lambda: prepared.append(threading.current_thread().name))
    preparing = train._Preparing()
    for _ in range(2):
        preparing.begin()
    preparing.finish()
    assert len(prepared) == 1
    assert prepared != [threading.current_thread().name]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a job, whose code is of `workloads` and of a top-level package beside it."""
    files = {
        "workloads/birds/trees.py": BOOSTED,
        "workloads/birds/plain.py": "import json\nimport numpy as np\nclass Model: pass\n",
        "workloads/birds/others.py": "from sklearn.linear_model import Ridge\nimport httpx\nclass Model: pass\n",
        "shared/numbers.py": "import psutil\nN = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


EVERY = {"mlflow", "numpy", "pandas", "pyarrow", "pydantic", "httpx"}


@pytest.mark.parametrize(
    ("predictors", "others"),
    [
        (["plain"], set()),
        (["trees"], {"lightgbm", "psutil"}),
        (["others"], {"scikit-learn"}),
        (["plain", "others"], {"scikit-learn"}),
    ],
    ids=lambda value: " and ".join(value) if isinstance(value, list) else "",
)
def test_a_model_asks_for_what_its_predictors_need_and_no_more(package: Path, predictors: list[str], others: set[str]) -> None:

    asked = packaging._requirements(package, [f"workloads.birds.{name}:Model" for name in predictors])
    assert {text.partition("==")[0] for text in asked} == EVERY | others
    assert all(text.partition("==")[2] for text in asked)


def test_a_baseline_that_the_library_has_is_no_code_of_the_workload(package: Path) -> None:
    from heliostat.ml.contracts import entry_point_of
    from heliostat.ml.tasks.baselines import Baseline

    asked = packaging._requirements(package, ["workloads.birds.others:Model", entry_point_of(Baseline)])
    assert {text.partition("==")[0] for text in asked} == EVERY | {"scikit-learn"}


def test_what_is_named_as_used_without_an_import_is_there() -> None:
    import heliostat

    top = Path(heliostat.__file__).parents[1]
    assert [name for name in packaging._BEHIND if not (top / name).is_file()] == []


def test_a_model_carries_all_code_of_its_job_and_the_library_s_part(package: Path, tmp_path_factory: Any) -> None:

    folder = tmp_path_factory.mktemp("code")
    paths = packaging._code(folder, package)
    assert {Path(path).relative_to(folder).as_posix() for path in paths} == {"heliostat", "shared", "workloads"}
    assert (folder / "shared/numbers.py").is_file()
    assert (folder / "heliostat/ml/frameworks/lightgbm/booster.py").is_file()
    assert not (folder / "heliostat/cli").exists()


def test_an_example_has_stand_ins_of_the_same_types_in_personal_columns() -> None:
    columns = {
        "email": pa.array(["ada@example.org"]), "code": pa.array(["x"]).dictionary_encode(), "age": pa.array([36], pa.int32()),
        "late": pa.array([True]), "born": pa.array([dt.date(1815, 12, 10)]), "seen": pa.array([1], pa.timestamp("us", "UTC")),
        "past": pa.array([["a", "b"]]), "income": pa.array([1.5]),
    }  # fmt: skip
    table = pa.table(columns)
    found = packaging.without_values(table, [*columns][:-1])
    assert found.schema == table.schema
    assert found.to_pylist() == [
        {
            "email": "**********", "code": "**********", "age": 0, "late": False, "born": dt.date(1970, 1, 1),
            "seen": dt.datetime(1970, 1, 1, tzinfo=dt.UTC), "past": [], "income": 1.5,
        }
    ]  # fmt: skip
    assert packaging.without_values(table, ()) is table


def test_lists_of_narrow_numbers_are_declared_as_wide_as_python_s_own_are() -> None:
    import pyarrow as pa
    from mlflow.models.utils import _enforce_schema

    from heliostat.jobs.packaging import _frame, _signature

    image = pa.list_(pa.list_(pa.float32(), 2), 2)
    table = pa.table(
        {"image": pa.array([[[0.5, 1.0], [2.0, 3.0]]], image), "counts": pa.array([[1, 2]], pa.list_(pa.int32()))}
    )
    _enforce_schema(_frame(table), _signature(table.schema, ("score",)).inputs)


def test_times_with_a_zone_are_an_example_that_mlflow_takes() -> None:
    from mlflow.models.utils import _enforce_schema

    moment = dt.datetime(2026, 2, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    table = pa.table({"at": pa.array([moment], pa.timestamp("us", "Europe/Paris")), "size": [1.0]})
    frame = packaging._frame(table)
    assert frame["at"].tolist() == [dt.datetime(2026, 2, 1)]
    inputs = packaging._signature(table.schema, ()).inputs
    assert list(_enforce_schema(frame, inputs)["at"]) == frame["at"].tolist()
