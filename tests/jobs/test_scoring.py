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
from heliostat.jobs.personal_texts import quoting_none_of
from heliostat.ml.datasets import Tables, save
from heliostat.ml.pyfunc import MODEL_FOLDER, RESULT_FILE
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.jobs import EvaluateSpecification
from heliostat.spec.workload import Gate
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

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


def test_a_program_that_fails_and_says_much_is_told_of_in_whole_lines(model: Path, rows: Path) -> None:
    toy = model / "code" / "workloads" / "toy.py"
    lines = "\n".join(f"ada.lovelace-{number:04}@example.org" for number in range(400))
    toy.write_text(
        toy.read_text().replace("        return np.asarray", f"        raise ValueError({lines!r})\n        return np")
    )
    with pytest.raises(PermanentError) as raised:
        evaluate.scored(model, rows, "models:/a/1")
    told = str(raised.value).splitlines()[1:]
    assert told[-1] == "ada.lovelace-0399@example.org" and {len(each) for each in told} == {29}


def test_an_evaluation_that_fails_quotes_no_rows_of_personal_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    email = "ada.lovelace@example.org"
    address = StoreAddress(uri=f"file://{tmp_path}/objects")
    table = pa.table({"email": [email, "b@example.org"] * 5, "late": [0.0, 1.0] * 5})
    data = Tables(train=table, validation=table, test=table, label="late")

    def scores(specification: EvaluateSpecification, model_uri: str, rows: Path, folder: Path) -> Any:
        raise PermanentError(f"scoring {model_uri} failed:\nValueError: who is {pq.read_table(rows)['email'][0]}?")

    def told(personal: list[str]) -> str:
        made = save(data, f"people-{len(personal)}", open_store(address), more={"personal": personal})
        specification = EvaluateSpecification(
            name="people", candidate="models:/m-1", incumbent=None, dataset_key=made["uri"].partition("/objects/")[2],
            dataset_digest=made["digest"], gate=Gate(), store=address, tracking_uri="", result_key="evaluations/e.json",
        )  # fmt: skip
        with pytest.raises(PermanentError) as raised:
            evaluate.evaluate(specification)
        return str(raised.value)

    monkeypatch.setattr(evaluate, "_scores", scores)
    assert told(["email", "name"]).endswith("who is <personal>?") and told([]).endswith(f"who is {email}?")


def test_other_errors_are_told_with_their_lines_and_without_words_where_the_rows_cannot_be_read() -> None:
    table = pa.table({"email": ["ada.lovelace@example.org"] * 4, "late": [0.0, 1.0] * 2})
    with pytest.raises(PermanentError) as raised, quoting_none_of(["email"], lambda names: [table.select(names)]):
        pa.array(table["email"].to_pylist(), pa.int64())
    assert "Could not convert '<personal>' with type str" in str(raised.value) and "in test_other" in str(raised.value)
    with pytest.raises(PermanentError) as raised, quoting_none_of(["gone"], lambda names: [table.select(names)]):
        pa.array(table["email"].to_pylist(), pa.int64())
    assert "ada" not in str(raised.value) and "ArrowInvalid, raised here" in str(raised.value)


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
