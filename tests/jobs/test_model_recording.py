"""Contracts of models that MLflow really logged: their answers are those of MLflow's pyfunc, whoever gives them."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heliostat.cli.operators import contract_file
from heliostat.jobs import record as recording
from heliostat.ml.mlflow_models.contracts import as_json, made
from heliostat.ml.mlflow_models.described import model_in, read_yaml
from heliostat.serving.bodies import Bodies
from heliostat.spec.logged_models import Loader, LoggedModelError, Reads
from heliostat.spec.model_contracts import ModelContractError, contract_of
from heliostat.spec.recording import RecordingTask

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore")

NONE = ["mlflow"]
"""Requirements that are met: finding a model's own takes MLflow seconds."""
FLATS = pd.DataFrame(
    {
        "area": np.linspace(20, 200, 60), "rooms": np.arange(60) % 5 + 1, "city": ["Bonn", "Köln", "Aachen"] * 20,
        "note": ["nice view", "needs work"] * 30,
    }
)  # fmt: skip
RENT = FLATS.area * 12 + FLATS.rooms * 50


@pytest.fixture(scope="module")
def pipeline():
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = ColumnTransformer(
        [("n", StandardScaler(), ["area", "rooms"]), ("c", OneHotEncoder(), ["city"]), ("t", TfidfVectorizer(), "note")]
    )
    return Pipeline([("columns", columns), ("model", Ridge())]).fit(FLATS, RENT)


def saved(flavour, model, folder: Path, **more) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(mlflow, flavour).save_model(model, str(folder), pip_requirements=NONE, **more)
    return folder


def looked_at(folder: Path, contract=None):
    return recording.record(RecordingTask(folder=str(folder), name="models:/rents/1", contract=contract))


def answered_text(found) -> str:
    """The drafted file, with all questions answered."""
    text = contract_file.drafted("rents", "models:/rents/1", found)
    given = read_yaml(text, "contract.yaml", ValueError)
    given |= {"description": "The rent of a flat.", "ranges": "open", "task": found.task or "free"}
    for field in given["answer"].values():
        field["description"] = "Euro"
    import yaml

    return yaml.safe_dump(given, allow_unicode=True, sort_keys=False)


def served(folder: Path, found):
    """The contract and the loaded model that a replica would have."""
    contract = made(
        contract_of(read_yaml(answered_text(found), "contract.yaml", ValueError), "contract.yaml"), "contract.yaml"
    )
    return contract, contract.predictor.load(folder)


def asked(contract, predictor, body: bytes):
    rows, _ = Bodies(contract.row, 10).read(body)
    return [as_json(contract.respond(each)) for each in predictor.predict(contract.columns(rows)).tolist()]


def require_golden(contract, predictor) -> None:
    """Each golden request is answered as it was recorded."""
    assert contract.golden
    for golden in contract.golden:
        (answer,) = asked(contract, predictor, golden.body)
        assert golden.check(answer), (answer, golden.expected)


def test_a_pipeline_of_text_and_numbers_is_served_by_its_own_object(tmp_path, pipeline):
    folder = saved("sklearn", pipeline, tmp_path / "m", input_example=FLATS.head(3))
    found = looked_at(folder)
    assert (found.reads, found.loader, found.task) == (Reads.FRAME, Loader.NATIVE, "regression")
    assert list(found.draft["request"]) == ["area", "rooms", "city", "note"]
    expected = mlflow.pyfunc.load_model(str(folder)).predict(FLATS.head(3))
    assert [each["prediction"] for each in found.answers] == list(expected)
    contract, predictor = served(folder, found)
    require_golden(contract, predictor)
    assert "TODO" in contract_file.drafted("rents", "models:/rents/1", found)


def test_numbers_alone_go_to_the_model_as_an_array_without_a_warning(tmp_path):
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    numbers = FLATS[["area", "rooms"]]
    model = make_pipeline(StandardScaler(), Ridge()).fit(numbers, RENT)
    folder = saved("sklearn", model, tmp_path / "m", input_example=numbers.head(2))
    found = looked_at(folder)
    assert (found.reads, found.loader) == (Reads.ARRAY, Loader.NATIVE)
    contract, predictor = served(folder, found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_golden(contract, predictor)


def test_a_transformer_of_somebody_s_own_gets_the_frame_that_it_was_made_for(tmp_path):
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    numbers = FLATS[["area", "rooms"]]
    model = make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(numbers, RENT)
    folder = saved("sklearn", model, tmp_path / "m", input_example=numbers.head(2), serialization_format="cloudpickle")
    assert looked_at(folder).reads is Reads.FRAME


@pytest.mark.parametrize("kind", ["booster", "estimator"])
def test_lightgbm_answers_itself(tmp_path, kind):
    lightgbm = pytest.importorskip("lightgbm")
    numbers = FLATS[["area", "rooms"]]
    estimator = lightgbm.LGBMRegressor(n_estimators=5, min_child_samples=2, verbose=-1).fit(numbers, RENT)
    model = estimator.booster_ if kind == "booster" else estimator
    folder = saved("lightgbm", model, tmp_path / "m", input_example=numbers.head(2))
    found = looked_at(folder)
    assert (found.reads, found.loader, found.task) == (Reads.ARRAY, Loader.NATIVE, "regression")
    require_golden(*served(folder, found))


@pytest.mark.parametrize("kind", ["booster", "estimator"])
def test_xgboost_answers_itself(tmp_path, kind):
    xgboost = pytest.importorskip("xgboost")
    numbers = FLATS[["area", "rooms"]]
    estimator = xgboost.XGBRegressor(n_estimators=5).fit(numbers, RENT)
    model = estimator.get_booster() if kind == "booster" else estimator
    folder = saved("xgboost", model, tmp_path / "m", input_example=numbers.head(2), model_format="json")
    found = looked_at(folder)
    assert (found.reads, found.loader, found.task) == (Reads.ARRAY, Loader.NATIVE, "regression")
    require_golden(*served(folder, found))


def test_onnx_answers_itself(tmp_path):
    pytest.importorskip("onnxruntime")
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn.linear_model import Ridge

    numbers = FLATS[["area", "rooms"]].to_numpy("float32")
    converted = skl2onnx.to_onnx(Ridge().fit(numbers, RENT), numbers[:1])
    bare = saved("onnx", converted, tmp_path / "bare", input_example=numbers[:2])
    with pytest.raises(LoggedModelError, match="has no signature"):  # MLflow infers none for this flavour
        looked_at(bare)
    answers = {"variable": np.zeros((2, 1), "float32")}
    signature = mlflow.models.infer_signature(numbers[:2], answers)
    folder = saved("onnx", converted, tmp_path / "m", input_example=numbers[:2], signature=signature)
    found = looked_at(folder)
    assert (found.reads, found.loader) == (Reads.TENSOR, Loader.NATIVE)
    require_golden(*served(folder, found))


class Doubled(mlflow.pyfunc.PythonModel):
    """A model of one's own, with a parameter, and two named outputs."""

    def predict(self, context, model_input, params=None):
        scale = (params or {}).get("scale", 2.0)
        return pd.DataFrame({"value": model_input["area"] * scale, "city": model_input["city"].str.upper()})


def test_a_pyfunc_of_one_s_own_answers_by_pyfunc_with_its_parameters(tmp_path):
    example = (FLATS[["area", "city"]].head(2), {"scale": 2.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=Doubled(), input_example=example, pip_requirements=NONE)
    found = looked_at(tmp_path / "m")
    assert (found.reads, found.loader, found.task) == (Reads.FRAME, Loader.PYFUNC, "")
    assert found.draft["request"]["scale"]["default"] == 2.0
    contract, predictor = served(tmp_path / "m", found)
    require_golden(contract, predictor)
    assert asked(contract, predictor, b'{"area": 1.5, "city": "Bonn", "scale": 10}') == [{"value": 15.0, "city": "BONN"}]


def test_a_classifier_s_classes_are_told_where_its_answer_is_asked_about(tmp_path):
    from sklearn.linear_model import LogisticRegression

    numbers = FLATS[["area", "rooms"]].to_numpy()
    model = LogisticRegression().fit(numbers, np.where(RENT > 1500, "dear", "cheap"))
    folder = saved("sklearn", model, tmp_path / "m", input_example=numbers[:2])
    found = looked_at(folder)
    assert (found.reads, found.task) == (Reads.TENSOR, "binary")
    assert "one of cheap, dear" in found.draft["answer"]["prediction"]["description"]
    require_golden(*served(folder, found))


def test_a_model_without_a_signature_is_refused_with_what_to_do(tmp_path, pipeline):
    folder = saved("sklearn", pipeline, tmp_path / "m")
    with pytest.raises(LoggedModelError, match=r"has no signature.*input_example="):
        looked_at(folder)


def test_a_signature_that_lies_about_the_answer_is_refused_with_both(tmp_path):
    """What MLflow infers by itself of a model that is asked for probabilities: the labels of `predict`."""
    from sklearn.linear_model import LogisticRegression

    numbers = FLATS[["area", "rooms"]].to_numpy()
    model = LogisticRegression().fit(numbers, np.where(RENT > 1500, "dear", "cheap"))
    folder = saved("sklearn", model, tmp_path / "m", input_example=numbers[:2], pyfunc_predict_fn="predict_proba")
    with pytest.raises(LoggedModelError, match="tells another answer than the model gives"):
        looked_at(folder)
    right = mlflow.models.infer_signature(numbers, model.predict_proba(numbers))
    whole = saved(
        "sklearn", model, tmp_path / "n", input_example=numbers[:2], signature=right, pyfunc_predict_fn="predict_proba"
    )
    found = looked_at(whole)
    assert found.draft["answer"]["prediction"]["shape"] == [2]
    require_golden(*served(whole, found))


def test_a_signature_that_lies_about_the_columns_is_refused(tmp_path, pipeline):
    lying = mlflow.models.infer_signature(FLATS[["area", "rooms"]], RENT)
    folder = saved("sklearn", pipeline, tmp_path / "m", signature=lying)
    example = FLATS[["area", "rooms"]].head(1)
    example.to_json(folder / "input_example.json", orient="split", index=False)
    described = (folder / "MLmodel").read_text()
    told = "saved_input_example_info:\n  artifact_path: input_example.json\n  pandas_orient: split\n  type: dataframe\n"
    (folder / "MLmodel").write_text(described + told)
    with pytest.raises(LoggedModelError, match="does not answer its own input example"):
        looked_at(folder)


def test_a_flavour_whose_library_is_absent_is_told_by_name(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function: {loader_module: no_such_library, python_version: 3.11.7}\n"
        'signature:\n  inputs: \'[{"type": "double", "name": "area", "required": true}]\'\n'
    )
    (folder / "input.json").write_text('{"columns": ["area"], "data": [[1.0]]}')
    with (folder / "MLmodel").open("a") as file:
        file.write("saved_input_example_info: {artifact_path: input.json, pandas_orient: split, type: dataframe}\n")
    with pytest.raises(recording.flavours.NotLoadableError, match=r"needs the package no_such_library.*pip_requirements"):
        looked_at(folder)


def test_a_folder_that_holds_no_model_is_told(tmp_path):
    with pytest.raises(LoggedModelError, match="holds no MLmodel"):
        looked_at(tmp_path)


def test_without_an_input_example_rows_are_asked_for_and_recorded_once_they_are_given(tmp_path, pipeline):
    folder = saved(
        "sklearn", pipeline, tmp_path / "m", signature=mlflow.models.infer_signature(FLATS, pipeline.predict(FLATS))
    )
    found = looked_at(folder)
    assert found.open and not found.answers
    text = contract_file.drafted("rents", "models:/rents/1", found)
    assert "examples.0.area" in contract_file.open_questions(text) and "golden" in contract_file.open_questions(text)
    with pytest.raises(ModelContractError, match=r"examples\.0\.area: is still to be answered"):
        contract_file.recordable(text, "contract.yaml")
    for name, value in {"area": 50, "rooms": 2, "city": "Bonn", "note": "nice view"}.items():
        text = text.replace(f"{name}: 'TODO: a value that makes sense'", f"{name}: {value}")
    again = looked_at(folder, contract_file.recordable(text, "contract.yaml"))
    written = contract_file.recorded(text, "models:/rents/1", again)
    assert "golden" not in contract_file.open_questions(written) and "description" in contract_file.open_questions(written)
    expected = mlflow.pyfunc.load_model(str(folder)).predict(
        pd.DataFrame([{"area": 50.0, "rooms": 2, "city": "Bonn", "note": "nice view"}])
    )
    golden = read_yaml(written, "contract.yaml", ValueError)["golden"]
    assert math.isclose(golden[0]["answer"]["prediction"], expected[0], rel_tol=1e-12)


def test_a_contract_keeps_what_people_wrote_when_other_answers_are_recorded(tmp_path, pipeline):
    folder = saved("sklearn", pipeline, tmp_path / "m", input_example=FLATS.head(2))
    found = looked_at(folder)
    text = answered_text(found).replace("ranges: open", "# looked at in May\nranges: open  # all of Germany")
    later = looked_at(folder, contract_file.recordable(text, "contract.yaml"))
    written = contract_file.recorded(text, "models:/rents/2", later)
    assert "# looked at in May" in written and "# all of Germany" in written
    assert read_yaml(written, "contract.yaml", ValueError)["recorded"]["model"] == "models:/rents/2"


def test_a_later_model_that_does_not_fit_a_contract_is_not_recorded(tmp_path, pipeline):
    folder = saved("sklearn", pipeline, tmp_path / "m", input_example=FLATS.head(2))
    kept = contract_file.recordable(answered_text(looked_at(folder)), "contract.yaml")
    del kept["request"]["note"]
    kept["examples"] = [{key: value for key, value in row.items() if key != "note"} for row in kept["examples"]]
    with pytest.raises(LoggedModelError, match="the model has the column 'note'"):
        looked_at(folder, kept)


def test_a_model_whose_requirements_are_not_met_is_not_loaded(tmp_path, pipeline):
    folder = saved("sklearn", pipeline, tmp_path / "m", input_example=FLATS.head(2))
    contract, _ = served(folder, looked_at(folder))
    (folder / "requirements.txt").write_text("mlflow\nscikit-learn==0.1\n")
    with pytest.raises(ValueError, match=r"requirements are not met here: scikit-learn==0.1 \(here "):
        contract.predictor.load(folder)
    assert model_in(folder, "m").requirements == ("mlflow", "scikit-learn==0.1")
