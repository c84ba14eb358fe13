"""An MLflow model as a source of a conversion."""

from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from heliostat.convert.converting import Options
from heliostat.convert.mlflow_run import convert_run, is_run
from heliostat.convert.source import ConversionError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    import mlflow.sklearn

    data = load_iris(as_frame=True)
    rows = data.data.rename(columns=lambda name: name.replace(" (cm)", ""))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.7, max_iter=300))
    model.fit(rows, data.target_names[data.target])
    folder = tmp_path_factory.mktemp("run") / "artifacts/model"
    mlflow.sklearn.save_model(
        model, folder, serialization_format="skops", input_example=rows.head(2), pip_requirements=["scikit-learn"]
    )
    return folder.parent.parent


def test_a_run_s_model_becomes_training_predictor_and_contract_and_its_data_is_asked(logged):
    converted = convert_run(
        str(logged), Options("flowers", config=ROOT / "heliostat/scaffold/repository/pyproject.toml"), None
    )
    train, contract = (converted.files[f"workloads/flowers/{name}.py"] for name in ("train", "contract"))
    assert "LogisticRegression(C=0.7, max_iter=300)" in train
    assert "sepal_length: float" in contract
    assert "5.1" in contract
    assert "'virginica'" in converted.files["workloads/flowers/features.py"].replace('"', "'")
    assert "scikit-learn" in converted.files["workloads/flowers/requirements.txt"]
    questions = "\n".join(each.text for each in converted.questions if each.is_open)
    assert "where do the rows come from" in questions
    assert "no answers are recorded" in questions
    assert "raise NotImplementedError" in converted.files["workloads/flowers/dataset.py"]


def test_what_is_no_model_of_scikit_learn_or_a_pickle_is_refused(tmp_path):
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {loader_module: x}}\n")
    with pytest.raises(ConversionError, match="has the flavours python_function"):
        convert_run(str(tmp_path), Options("x"), None)
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle}}\n")
    with pytest.raises(ConversionError, match="is a pickle"):
        convert_run(str(tmp_path), Options("x"), None)


def test_a_model_without_a_signature_is_refused(tmp_path):
    import skops.io

    skops.io.dump(RandomForestClassifier(), tmp_path / "model.skops")
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {pickled_model: model.skops, serialization_format: skops}}\n")
    with pytest.raises(ConversionError, match="has no signature"):
        convert_run(str(tmp_path), Options("x"), None)


def test_a_run_on_a_server_needs_the_server(tmp_path):
    assert is_run("runs:/abc")
    with pytest.raises(ConversionError, match="--tracking-uri"):
        convert_run("runs:/abc", Options("x"), None)
    with pytest.raises(ConversionError, match="holds none"):
        convert_run(str(tmp_path), Options("x"), None)
