"""A model's own environment: what differs from what is installed, as one zip, made once."""

import io
import zipfile

import pytest

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.environments import changed, conflicts, differences, needed, unreadable
from heliostat.spec.logged_models import Loader, parsed
from heliostat.systems import model_environments
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

HERE = {"numpy": "2.1.0", "scikit-learn": "1.7.0"}.get


def test_requirements_that_are_met_make_no_difference():
    assert differences(["numpy==2.1.0", "scikit_learn>=1.5", "numpy; python_version < '3'"], HERE) == []


def test_each_requirement_that_is_not_met_is_told_with_what_is_here():
    told = [str(each) for each in differences(["numpy==1.26.4", "scikit-learn==1.7.0", "xgboost==3.0"], HERE)]
    assert told == ["numpy==1.26.4 (here 2.1.0)", "xgboost==3.0 (here not at all)"]


def test_only_what_differs_is_part_of_an_environment():
    assert changed(["scikit-learn==1.6.0", "numpy==2.1.0", "joblib==1.0"], HERE) == ("joblib==1.0", "scikit-learn==1.6.0")


def test_what_a_replica_runs_with_is_not_changed_to_what_it_does_not_run_with():
    wanted = [
        ("pydantic<3,>=2.12", "heliostat"),
        ("numpy>=1.20; extra == 'serve'", "ray"),
        ("numpy>=9; extra == 'llm'", "ray"),
    ]
    assert list(conflicts(["pydantic==1.10", "numpy==1.26"], wanted)) == [
        "pydantic==1.10, and heliostat, which replicas run, needs pydantic<3,>=2.12"
    ]


def test_lines_that_name_no_package_are_told():
    assert unreadable(["numpy==1", "-r more.txt", "./a.whl", "name @ https://example.org/a.whl"]) == ["-r more.txt", "./a.whl"]


def test_mlflow_is_left_out_where_another_library_answers():
    flavours = {"python_function": {"loader_module": "mlflow.sklearn"}, "sklearn": {}}
    model = parsed("m", {"flavors": flavours}, "mlflow==3\nscikit-learn==1.7.0  # pinned\n\n# a comment\n")
    assert needed(model, Loader.NATIVE) == ("scikit-learn==1.7.0",)
    assert needed(model, Loader.PYFUNC) == ("mlflow==3", "scikit-learn==1.7.0")


def wheel(folder, version):
    """A package of one module."""
    path = folder / f"tinything-{version}-py3-none-any.whl"
    info = f"tinything-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinything.py", f"VERSION = '{version}'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tinything\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_an_environment_is_one_zip_that_ray_unpacks_and_is_made_once(tmp_path):
    store = open_store(StoreAddress(uri=f"file://{tmp_path}/objects"))
    package = str(wheel(tmp_path, "1.0"))
    environment = model_environments.upload([package], store)
    content = store.get(environment.uri.removeprefix(store.uri("")).lstrip("/"))
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert "package/tinything.py" in names and "package/tinything-1.0.dist-info/METADATA" in names
    wheel(tmp_path, "1.0").unlink()
    assert model_environments.upload([package], store) == environment == model_environments.named([package], store)


def test_a_package_that_cannot_be_had_is_told_with_what_uv_says(tmp_path):
    with pytest.raises(PermanentError, match="cannot be met"):
        model_environments.install([str(tmp_path / "missing-1.0-py3-none-any.whl")], tmp_path / "place")
