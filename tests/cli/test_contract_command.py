"""`heliostat contract`: from a model's address to a file that people review and a preview holds to."""

import os
import subprocess
import sys

import pytest
import yaml

from heliostat.layout import workload_names

COLUMNS = '[{"type": "double", "name": "area", "required": true}]'


def command(folder, *arguments, code=0):
    names = ("PULUMI_", "HELIOSTAT_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    run = [sys.executable, "-m", "heliostat.cli.main", "--engine", "embedded", *arguments]
    ran = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    root = tmp_path_factory.mktemp("others") / "mine"
    command(root.parent, "new", "mine")
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of one's own, in a file that MLflow runs: nothing is trained."""
    import mlflow
    import pandas as pd

    place = tmp_path_factory.mktemp("models")
    (place / "code.py").write_text(
        "import mlflow\n\n\nclass Rent(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return model_input['area'].to_numpy() * 12\n\n\nmlflow.models.set_model(Rent())\n"
    )
    example = pd.DataFrame({"area": [50.0, 60.0]})
    mlflow.pyfunc.save_model(
        str(place / "rent"), python_model=str(place / "code.py"), input_example=example, pip_requirements=["mlflow"]
    )
    return f"file://{place}/rent"


def test_a_model_is_served_by_two_commands_and_a_review(repository, model):
    made = command(repository, "contract", "rents", "--model", model)
    assert "Created workloads/rents/contract.yaml\nChanged configs/Pulumi.local.yaml" in made.stdout
    assert "questions are open" in made.stderr and "answer.prediction.description" in made.stderr
    config = yaml.safe_load((repository / "configs/Pulumi.local.yaml").read_text())
    assert config["config"]["heliostat:workloads"]["rents"] == {"mlflow": model}
    assert workload_names(repository / "workloads") == ["rents", "tumours"]
    told = command(repository, "preview", code=1).stdout
    assert "workloads/rents/contract.yaml:5:" in told and "description: is still to be answered" in told

    file = repository / "workloads/rents/contract.yaml"
    given = yaml.safe_load(file.read_text())
    given |= {"description": "The rent of a flat.", "task": "regression", "ranges": "open"}
    given["answer"] = {"rent": {"type": "double", "description": "Euro a month"}}
    file.write_text("# mine\n" + yaml.safe_dump(given, sort_keys=False))
    assert "Changed workloads/rents/contract.yaml" in command(repository, "contract", "rents").stdout
    text = file.read_text()
    assert text.startswith("# mine\n")
    assert [each["answer"] for each in yaml.safe_load(text)["golden"]] == [{"rent": 600.0}, {"rent": 720.0}]
    previewed = command(repository, "preview").stdout
    assert (
        "heliostat:index:ExternalModel rents create" in previewed and "heliostat:index:Application rents create" in previewed
    )
    assert (repository / "configs/model-contract.schema.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("tumours", "--model", "models:/x/1"), "has code of its own"),
        (("flats",), "nothing says which model 'flats' is"),
        (("flats", "--model", "models:/flats"), "names no model: write models:/NAME/VERSION"),
        (("flats", "--model", "models:/flats/1"), "Bring it up with `heliostat up"),
        (("flats", "--model", "file:///nowhere/at/all"), "there is nothing at file:///nowhere/at/all"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(repository, arguments, told):
    ran = subprocess.run(
        [sys.executable, "-m", "heliostat.cli.main", "--engine", "embedded", "contract", *arguments],
        cwd=repository, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode and told.split("`")[0] in ran.stderr + ran.stdout, ran.stderr + ran.stdout
    assert not (repository / "workloads/flats").exists()
