"""Library packages: what a version was declared with is what its replicas run."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import heliostat
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.code import library_of
from heliostat.systems import library_packages
from heliostat.systems.code_packages import runtime_env
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(StoreAddress(uri=f"file://{tmp_path}/objects"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small library in the place of this one; it is compiled."""
    package = tmp_path / "site" / "heliostat"
    for name, text in {"__init__.py": "", "ml/__init__.py": "", "ml/a.py": "A = 1\n", "cli/b.py": "", "top.py": ""}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-m", "compileall", "-q", package], check=True, env=environment)
    monkeypatch.setattr("heliostat.__file__", str(package / "__init__.py"))
    library_packages._digest.cache_clear()
    yield package
    library_packages._digest.cache_clear()


def unpacked(store: ObjectStore, folder: Path) -> Path:
    """Where `heliostat` lies once Ray has taken the package."""
    (found,) = store.list("library/")
    with zipfile.ZipFile(io.BytesIO(store.get(found.key))) as archive:
        archive.extractall(folder)
    return folder / "package"


def test_a_package_holds_what_runs_in_a_cluster_and_is_named_by_what_is_in_it(installed: Path, store: ObjectStore) -> None:
    runtime = library_packages.upload(store)
    names = ("__init__.py", "ml/__init__.py", "ml/a.py", "top.py")
    assert library_packages.files() == tuple(f"heliostat/{name}" for name in names)
    assert runtime == library_packages.runtime(store)
    assert runtime.library_uri == store.uri(f"library/{runtime.library_digest}.zip")
    (installed / "cli/b.py").write_text("changed")
    library_packages._digest.cache_clear()
    assert library_packages.runtime(store) == runtime
    (installed / "ml/a.py").write_text("A = 2\n")
    library_packages._digest.cache_clear()
    assert library_packages.runtime(store).library_digest != runtime.library_digest


def test_a_package_that_is_there_is_not_made_again(installed: Path, store: ObjectStore, monkeypatch: Any) -> None:
    library_packages.upload(store)
    monkeypatch.setattr(library_packages, "_pack", lambda: pytest.fail("it was made again"))
    library_packages.upload(store)


def test_a_library_that_changes_while_it_is_packed_is_an_error(installed: Path, store: ObjectStore) -> None:
    library_packages.runtime(store)
    (installed / "ml/a.py").write_text("A = 2\n")
    with pytest.raises(PermanentError, match="changed while this ran"):
        library_packages.upload(store)
    assert not list(store.list("library/"))


def test_what_is_compiled_already_is_not_compiled_again_and_what_is_out_of_date_is_left_out(
    installed: Path, store: ObjectStore, tmp_path: Path
) -> None:
    (installed / "top.py").write_text("LONGER = 1\n")
    library_packages.upload(store)
    package = unpacked(store, tmp_path / "ray")
    compiled = {path.name.partition(".")[0] for path in (package / "heliostat").rglob("*.pyc")}
    assert compiled == {"__init__", "a"}
    (package / "heliostat/ml/a.py").write_text("A = 3\n")
    code = "import heliostat.ml.a, heliostat.top; print(heliostat.ml.a.A, heliostat.top.LONGER)"
    environment = {**os.environ, "PYTHONPATH": str(package)}
    ran = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "1 1\n", "Python takes what is compiled, whatever the unpacked file's time is"


def test_a_process_knows_which_library_it_runs(store: ObjectStore, tmp_path: Path) -> None:
    runtime = library_packages.upload(store)
    package = unpacked(store, tmp_path / "ray")
    assert library_packages.here() == runtime.library_digest, "the installed one is what was packed"
    (package / "heliostat/serving/slots.py").write_text("edited = True\n")
    code = "import heliostat; from heliostat.systems.library_packages import here; print(heliostat.__file__, here())"
    environment = {**os.environ, "PYTHONPATH": str(package)}
    ran = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(package / "heliostat/__init__.py"), runtime.library_digest]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_ray_puts_the_package_before_what_is_installed(store: ObjectStore, tmp_path: Path) -> None:
    """By Ray's own plugin for it, which a node runs before it starts a worker."""
    from ray._private.runtime_env.context import RuntimeEnvContext
    from ray._private.runtime_env.py_modules import PyModulesPlugin
    from ray.serve.schema import ServeApplicationSchema

    runtime = library_packages.upload(store)
    environment = runtime_env(runtime.library_uri, library_uri=runtime.library_uri)
    application = ServeApplicationSchema(name="a", import_path="a:b", route_prefix="/a", runtime_env=environment)
    (uri,) = application.runtime_env["py_modules"]
    plugin, context = PyModulesPlugin(str(tmp_path / "node"), None), RuntimeEnvContext()
    await plugin.create(uri, {}, context)
    plugin.modify_context([uri], {}, context)
    code = "import heliostat; from heliostat.systems.library_packages import here; print(heliostat.__file__, here())"
    variables = {**os.environ, **context.env_vars}
    ran = subprocess.run(  # noqa: ASYNC221 - nothing else waits
        [sys.executable, "-P", "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    file, digest = ran.stdout.split()
    assert Path(file).is_relative_to(tmp_path / "node")
    assert digest == runtime.library_digest


def test_whatever_a_replica_may_import_of_the_library_is_in_its_package() -> None:
    root = Path(heliostat.__file__).parents[1]
    workloads = [path.relative_to(root).as_posix() for path in (root / "workloads").rglob("*.py")]
    needed = library_of(root, "heliostat.serving.replica", files=workloads)
    assert set(needed) - set(library_packages.files()) == set()
