"""Notebooks and scripts of the usual kinds: each becomes a workload that answers as it did, and asks what it must."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.convert import running
from heliostat.convert.source import ConversionError
from heliostat.spec import flow

pytest.importorskip("nbformat", reason="a notebook needs the extra convert: nbformat")
pytest.importorskip("IPython", reason="a notebook needs the extra convert: ipython")

ANSWERING = {
    "pipeline.ipynb": ["can there be others"],
    "pca.ipynb": [],
    "crosses.ipynb": ["get_dummies", "before they are split"],
    "split_in_the_middle.ipynb": ["median", "scaler.fit_transform", "groupby", "before they are split"],
    "magics.ipynb": ["cell 1, line 5", "!ls -l data"],
    "global_state.ipynb": ["MEANS, which is outside of it"],
    "out_of_order.ipynb": ["another order than they stand in: 1, 2, 5, 4, 3", "cell 6 did not run", "all rows"],
    "plots.py": [],
    "from_a_file.py": ["parcels.csv, a file of this machine"],
    "boosting.py": [],
}


def asked(converted) -> str:
    return "\n".join(f"{each.place or ''}: {each.text}" for each in converted.questions if each.is_open)


def said(converted) -> str:
    return "\n".join(f"{each.place or ''}: {each.text}" for each in converted.questions if not each.is_open)


@pytest.mark.parametrize("source", ANSWERING)
def test_a_converted_workload_answers_each_row_as_its_source_did(convert, source):
    converted = convert(source)
    assert (converted.recorded, converted.differences) == (20, [])


def test_a_model_of_xgboost_answers_as_its_source_did(convert):
    pytest.importorskip("xgboost", reason="XGBoost is not of the lock")
    converted = convert("gradients.py")
    assert (converted.recorded, converted.differences, asked(converted)) == (20, [], "")


@pytest.mark.parametrize(("source", "texts"), ANSWERING.items())
def test_what_could_not_be_decided_is_asked_with_its_place(convert, source, texts):
    questions = asked(convert(source))
    assert [text for text in texts if text not in questions] == []
    assert bool(texts) or not questions


def test_the_answers_of_a_workload_are_the_numbers_that_the_source_computes(convert):
    """Recorded apart from the converter: the notebook's own cells, run by hand."""
    recorded = json.loads(convert("pca.ipynb").files["tests/pca_answers.json"])["answers"]
    import numpy as np
    from sklearn.datasets import load_wine
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    wine = load_wine()
    train, test, labels, _ = train_test_split(wine.data, wine.target, test_size=0.3, random_state=1)
    scaler = StandardScaler()
    scaled = scaler.fit_transform(train)
    pca = PCA(n_components=5, random_state=0).fit(scaled)
    model = LogisticRegression(C=2, max_iter=1000).fit(pca.transform(scaled), labels)
    wanted = model.predict_proba(pca.transform(scaler.transform(test)))[:20]
    assert np.abs(np.array([each["probabilities"] for each in recorded]) - wanted).max() < 1e-9
    assert recorded[0]["request"]["alcohol"] == test[0, 0]


def test_the_tests_that_come_with_a_workload_pass(convert, tmp_path):
    converted = convert("split_in_the_middle.ipynb")
    running.write(converted.files, tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout[-3000:]


def test_what_is_converted_is_clean(convert, tmp_path):
    for source in ANSWERING:
        running.write(convert(source).files, tmp_path)
    (tmp_path / "pyproject.toml").write_text(
        (Path(__file__).parents[2] / "heliostat/scaffold/repository/pyproject.toml").read_text()
    )
    ruff = Path(sys.executable).with_name("ruff")
    for arguments in (["check"], ["format", "--check"]):
        ran = subprocess.run([ruff, *arguments, "."], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout


@pytest.mark.long
def test_what_is_converted_has_types_that_hold(convert, tmp_path):
    """In one run over all of them: mypy takes its time to read the libraries."""
    for source in ANSWERING:
        running.write(convert(source).files, tmp_path)
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\ncheck_untyped_defs = true\nexplicit_package_bases = true\n"
        "[mypy-pandas.*,sklearn.*,seaborn.*,matplotlib.*,skops.*,pytest.*]\nignore_missing_imports = true\n"
    )
    mypy = Path(sys.executable).with_name("mypy")
    ran = subprocess.run([mypy, "workloads", "tests"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-5000:]


def test_a_flow_has_the_steps_in_their_order_and_the_interface_that_was_chosen(convert):
    files = convert("pca.ipynb", interface="both").files
    read = flow.read(files["workloads/pca/flow.yaml"], "flow.yaml")
    assert [step.name for step in read.steps] == ["load", "split", "fit"]
    assert read.interface == flow.Interface.BOTH


def test_features_are_one_function_that_training_and_serving_import(convert):
    files = convert("split_in_the_middle.ipynb").files
    below = "workloads/split_in_the_middle"
    assert "features" in files[f"{below}/predictor.py"]
    assert "before_split" in files[f"{below}/train.py"]
    assert "state.value('wind_median'" in files[f"{below}/features.py"].replace('"', "'")


def test_arguments_of_the_estimator_are_parameters_with_their_ranges(convert):
    parameters = convert("pipeline.ipynb").files["workloads/pipeline/parameters.py"]
    assert "C: Annotated[float, Field(gt=0)] = 0.5" in parameters
    assert "parameters.C" in convert("pipeline.ipynb").files["workloads/pipeline/train.py"]


def test_installed_packages_become_requirements_and_shell_lines_questions(convert):
    converted = convert("magics.ipynb")
    assert "became a requirement: scikit-learn, pandas" in said(converted)
    assert "matplotlib inline" in said(converted)
    assert "scikit-learn==" in converted.files["workloads/magics/requirements.txt"]
    assert "this is no magic" not in asked(converted) + said(converted)


def test_what_the_source_computes_of_an_answer_is_what_clients_are_told(convert):
    assert "np.expm1(np.array([score]))" in convert("crosses.ipynb").files["workloads/crosses/contract.py"]
    assert "> 0.3" in convert("from_a_file.py").files["workloads/from_a_file/contract.py"]


def test_plots_and_figures_are_left_out_and_said(convert):
    converted = convert("plots.py")
    assert "plt" not in "".join(text for path, text in converted.files.items() if path.startswith("workloads"))
    assert "left out (plots, figures, output)" in said(converted)


def test_a_notebook_that_does_not_run_is_refused_with_cell_and_line(convert):
    with pytest.raises(ConversionError, match="cell 2, line 2: KeyError: 'misspelt'"):
        convert("does_not_run.ipynb")


def test_a_notebook_with_nothing_to_serve_is_refused(convert):
    with pytest.raises(ConversionError, match=r"there is nothing to serve.*PCA.*only transforms"):
        convert("nothing_to_serve.ipynb")


def test_without_a_run_the_contract_waits_for_answers_and_nothing_is_recorded(convert):
    converted = convert("pca.ipynb", name="unrun", run=False)
    assert "raise NotImplementedError" in converted.files["workloads/unrun/contract.py"]
    assert "no answers are recorded" in asked(converted)
    assert not any(path.endswith("_answers.json") for path in converted.files)


def test_rows_that_depend_on_others_are_asked_for(convert, script):
    converted = convert(
        script(
            "import numpy as np\nimport pandas as pd\nfrom sklearn.linear_model import LinearRegression\n"
            "rng = np.random.default_rng(0)\ndf = pd.DataFrame({'a': rng.normal(size=60), 'b': rng.normal(size=60)})\n"
            "df['before'] = df['a'].shift(1).fillna(0)\nmodel = LinearRegression()\nmodel.fit(df[['a', 'before']], df['b'])\n"
        ),
        name="shifted",
    )
    assert "line 6: `.shift()` needs the rows before or behind a row" in asked(converted)
    assert converted.differences


def test_a_split_without_a_seed_is_asked_for(convert, script):
    converted = convert(
        script(
            "from sklearn.datasets import load_iris\nfrom sklearn.linear_model import LogisticRegression\n"
            "from sklearn.model_selection import train_test_split\nX, y = load_iris(return_X_y=True)\n"
            "X_train, X_test, y_train, y_test = train_test_split(X, y)\n"
            "model = LogisticRegression(max_iter=300).fit(X_train, y_train)\n"
        ),
        name="unseeded",
        run=False,
    )
    assert "line 5: `train_test_split(X, y)` gives something else each time" in asked(converted)


def test_a_cell_that_is_no_python_is_told_with_its_place(convert, script):
    with pytest.raises(ConversionError, match="line 2: "):
        convert(script("x = 1\nif x\n"))
