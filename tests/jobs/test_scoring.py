"""A model is scored by the program that it names, in its own code; one from before models named it, by the one of then."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliostat.jobs import evaluate, packaging, scoring
from heliostat.ml.pyfunc import MODEL_FOLDER, RESULT_FILE
from heliostat.systems.errors import PermanentError

TABLE = pa.table({"size": [4.0, 6.0], "late": [0, 1]})
TOY = """
import numpy as np
from heliostat.ml.contracts import Columns

class Part:
    @classmethod
    def load(cls, directory):
        made = cls()
        made.share = float((directory / "share").read_text())
        return made

    def predict(self, columns):
        return np.asarray(columns["size"]) * self.share
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An MLflow model as a training logs it."""
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("mlflow.pyfunc")

    target = tmp_path / "model"
    monkeypatch.setattr(mlflow, "start_run", lambda **_: contextlib.nullcontext())

    def log_model(name: str, **given: Any) -> Any:
        mlflow.pyfunc.save_model(target, **given)
        return mlflow.models.Model.load(target).get_model_info()

    monkeypatch.setattr(mlflow.pyfunc, "log_model", log_model)
    trained, checkout = tmp_path / "trained", tmp_path / "checkout"
    (trained / MODEL_FOLDER).mkdir(parents=True)
    (trained / MODEL_FOLDER / "share").write_text("0.5")
    (trained / RESULT_FILE).write_text(json.dumps({"predictor": "workloads.toy:Part", "baseline": None}))
    (checkout / "workloads").mkdir(parents=True)
    (checkout / "workloads" / "__init__.py").write_text("")
    (checkout / "workloads" / "toy.py").write_text(TOY)
    monkeypatch.chdir(checkout)
    packaging.log_model("a-run", trained, "late", TABLE)
    (checkout / "workloads" / "toy.py").write_text("raise SystemExit('the checkout has changed since')")
    return target


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(TABLE.drop_columns(["late"]), path)
    return path


def test_a_model_is_scored_by_the_program_that_it_names(model: Path, rows: Path) -> None:
    assert scoring.program_of(model) == "heliostat.jobs.score"
    scores, baseline = evaluate.scored(model, rows, "a model")
    assert np.array_equal(scores, [2.0, 3.0])
    assert baseline is None


def test_a_model_that_names_no_program_is_scored_by_the_one_of_its_time(model: Path, rows: Path) -> None:
    code = model / "code" / "heliostat"
    (code / "jobs" / "score.py").rename(code / "ml" / "score.py")
    shutil.rmtree(code / "jobs")
    (code / "ml" / "jobs").mkdir()
    (code / "ml" / "score.py").rename(code / "ml" / "jobs" / "score.py")
    described = (model / "MLmodel").read_text()
    (model / "MLmodel").write_text(described.replace("metadata:\n  heliostat.score: heliostat.jobs.score\n", ""))
    assert (model / "MLmodel").read_text() != described
    scores, _ = evaluate.scored(model, rows, "an old model")
    assert np.array_equal(scores, [2.0, 3.0])


def test_a_program_that_fails_says_which_model_and_why(model: Path, rows: Path) -> None:
    next(model.glob("data/*/model/share")).write_text("half")
    with pytest.raises(PermanentError, match=r"scoring models:/a/1 failed:(.|\n)*could not convert string to float"):
        evaluate.scored(model, rows, "models:/a/1")


LARGE = pa.table({"size": np.arange(150_000) / 7})


def test_rows_are_predicted_in_parts_and_the_scores_are_those_of_all_at_once(model: Path, tmp_path: Path) -> None:
    toy = model / "code" / "workloads" / "toy.py"
    noted = tmp_path / "parts"
    noting = f"open({str(noted)!r}, 'a').write(f\"{{len(columns['size'])}}\\n\")"
    toy.write_text(toy.read_text().replace("        return np.asarray", f"        {noting}\n        return np.asarray"))
    path = tmp_path / "large.parquet"
    pq.write_table(LARGE, path)
    scores, _ = evaluate.scored(model, path, "a model")
    assert np.array_equal(scores, LARGE["size"].to_numpy() * 0.5)
    assert [int(each) for each in noted.read_text().split()] == [65_536, 65_536, 18_928]


def test_no_rows_have_no_scores(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    pq.write_table(LARGE.slice(0, 0), path)
    scores, _ = evaluate.scored(model, path, "a model")
    assert scores is None or len(scores) == 0


class Parts:
    """A test split that comes in parts of two rows."""

    def __init__(self, rows: int) -> None:
        self.whole = pa.table(
            {"size": np.arange(rows), "kind": ["a", "b"] * (rows // 2), "late": np.arange(rows) % 2, "other": np.zeros(rows)}
        )

    def batches(self, split: str) -> Any:
        yield from (self.whole.slice(start, 2) for start in range(0, self.whole.num_rows, 2))

    def table(self, split: str) -> pa.Table:
        return self.whole


@pytest.mark.parametrize("rows", [6, 0])
def test_of_a_split_in_parts_the_features_go_to_the_disk_and_what_is_measured_stays(tmp_path: Path, rows: int) -> None:
    path, split = tmp_path / "test.parquet", Parts(rows)
    kept = evaluate._split(split, path, "late", ("kind", "kind"))  # type: ignore[arg-type]
    assert kept.equals(split.whole.select(["late", "kind"]))
    assert pq.read_table(path).equals(split.whole.drop_columns(["late"]))
    with pytest.raises(PermanentError, match="the gate names the column 'colour'; the data has size, kind, late, other"):
        evaluate._split(split, path, "late", ("colour",))  # type: ignore[arg-type]
