"""Code packages: the same files are the same bytes, and what is packed is what was declared."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.code import code_digest
from heliostat.spec.training_resources import Code
from heliostat.systems.code_packages import fetch, job_env, upload
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import Directory, open_store


@pytest.fixture
def store(tmp_path):
    return open_store(StoreAddress(uri=f"file://{tmp_path}/objects"))


def code(root, content="x = 1\n"):
    (root / "workloads").mkdir(parents=True, exist_ok=True)
    (root / "workloads" / "a.py").write_text(content)
    return Code(root=str(root), files=("workloads/a.py",), digest=code_digest(root, ("workloads/a.py",)))


def test_a_package_holds_the_files_below_one_folder_which_ray_takes_away(tmp_path, store):
    declared = code(tmp_path / "one")
    assert upload(declared, store) == store.uri(f"code/{declared.digest}.zip")
    archive = zipfile.ZipFile(io.BytesIO(store.get(f"code/{declared.digest}.zip")))
    assert archive.namelist() == ["package/workloads/a.py"]
    assert archive.read("package/workloads/a.py") == b"x = 1\n"


def test_the_same_files_make_the_same_bytes_wherever_they_lie(tmp_path, store):
    upload(code(tmp_path / "one"), store)
    first = [store.get(info.key) for info in store.list("code/")]
    store.delete(next(store.list("code/")).key)
    upload(code(tmp_path / "two"), store)
    assert [store.get(info.key) for info in store.list("code/")] == first


def test_a_package_that_is_there_is_not_made_again(tmp_path, store):
    declared = code(tmp_path / "one")
    upload(declared, store)
    (tmp_path / "one" / "workloads" / "a.py").unlink()
    upload(declared, store)


def test_files_that_changed_or_went_since_are_an_error(tmp_path, store):
    declared = code(tmp_path / "one")
    code(tmp_path / "one", "x = 2\n")
    with pytest.raises(PermanentError, match="changed while this ran"):
        upload(declared, store)
    (tmp_path / "one" / "workloads" / "a.py").unlink()
    with pytest.raises(PermanentError, match=r"workloads/a.py of the code is no longer in"):
        upload(declared, store)
    assert not list(store.list("code/"))


def test_a_job_tells_nobody_of_what_it_does_and_a_variable_of_its_own_goes_before():
    told = job_env("file:///code.zip", {"MLFLOW_DISABLE_TELEMETRY": "false", "MINE": "1"})["env_vars"]
    assert (told["MLFLOW_DISABLE_TELEMETRY"], told["MINE"]) == ("false", "1")
    assert job_env("file:///code.zip")["env_vars"]["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_package_is_unpacked_on_a_node_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = Directory(tmp_path / "objects")
    (tmp_path / "objects/code").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "objects/code/abc.zip", "w") as archive:
        archive.writestr("package/workloads/own/checks.py", "X = 1")
    folder = fetch(store.uri("code/abc.zip"), store)
    assert folder == Path(tmp_path, f"heliostat-{os.getuid()}", "code", "abc")
    assert (folder / "workloads/own/checks.py").read_text() == "X = 1"
    (tmp_path / "objects/code/abc.zip").unlink()
    assert fetch(store.uri("code/abc.zip"), store) == folder
    assert [path.name for path in folder.parent.iterdir()] == ["abc"]
    with pytest.raises(PermanentError, match=r"code/other\.zip"):
        fetch(store.uri("code/other.zip"), store)
