"""A model as a wheel: it answers as the service does, wherever it is installed."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaged import CONTRACT, installed, workload
from pydantic import BaseModel
from serving_fakes import Log, version

from heliostat.jobs import package
from heliostat.ml.ensembles import ENSEMBLE_FILE
from heliostat.packaging import checking, sources, wheel
from heliostat.packaging.contents import Contents, PackageError
from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.errors import HttpError
from heliostat.spec.postprocessing import ListSource, PostprocessingStep
from heliostat.systems.objects import Directory

ROW: dict[str, Any] = {"kind": "goose", "weight": 3.1, "seen": "2013-07-09T19:30:00"}
PYTHON = [sys.executable, "-P"]


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    return workload(tmp_path_factory.mktemp("workload"), "plovers")


@pytest.fixture(scope="module")
def built(contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(contents, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def plovers(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return installed(built, tmp_path_factory.mktemp("installed"))


@pytest.fixture
def plane(contents: Contents) -> DataPlane:
    """The service's own answers to the same model."""
    log: Any = Log()
    return DataPlane(contents.contract, contents.contract.predictor.load(contents.model), version(), log)


def build(contents: Contents, folder: Path, number: str = "3.0") -> Path:
    (folder / "tree").mkdir()
    sources.write(folder / "tree", contents, number)
    return wheel.build(folder / "tree", folder / "wheels")


def served(plane: DataPlane, body: bytes) -> tuple[int, Any]:
    try:
        return 200, plane.predict(Call(None, replayed=True), body, time.perf_counter())
    except HttpError as error:
        return error.status, error.detail


def packed(module: Any, body: bytes) -> tuple[int, Any]:
    try:
        return 200, module.Model().predict_json(body)
    except module.RowsError as error:
        return 422, error.detail


def bodies() -> Iterator[bytes]:
    draw = np.random.default_rng(3)
    rows = [{**ROW, "weight": float(weight), "kind": str(draw.choice(["duck", "goose"]))} for weight in draw.gamma(2, 2, 200)]
    yield from (json.dumps(row).encode() for row in rows)
    yield json.dumps({"rows": rows}).encode()
    for wrong in ({**ROW, "weight": -1}, {**ROW, "kind": "swan"}, {**ROW, "colour": 1}, {**ROW, "weight": "3"}, {}, [], None):
        yield json.dumps(wrong).encode()
    yield from (b"", b"{", b'{"rows": []}', b'{"kind": "duck", "weight": NaN, "seen": "2013-07-09T19:30:00"}', b"\xff")


def test_its_answers_are_those_of_the_service_to_the_last_bit(plovers: Any, plane: DataPlane) -> None:
    asked = list(bodies())
    assert [packed(plovers, body) for body in asked] == [served(plane, body) for body in asked]
    assert {served(plane, body)[0] for body in asked} == {200, 422}


def test_rows_are_mappings_or_its_own_type_and_answered_in_their_order(plovers: Any) -> None:
    row = plovers.Row(kind="duck", weight=1.5, seen=dt.datetime(2013, 7, 9))
    one = plovers.predict(row)
    assert isinstance(one, plovers.Answer)
    many = plovers.predict([ROW, row, {**ROW, "weight": np.float64(3.1)}, {**ROW, "seen": dt.datetime(2013, 7, 9)}])
    assert [each == one for each in many] == [False, True, False, False]
    assert many[0] == plovers.predict(ROW) == many[2] == many[3]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({**ROW, "weight": 0}, "weight: Input should be greater than 0"),
        ([ROW, {**ROW, "kind": "swan"}], r"rows\.1\.kind: Input should be 'duck' or 'goose'"),
        ([], "rows: List should have at least 1 item"),
        ({**ROW, "weight": {1, 2}}, "weight: Input should be a valid number"),
        ({**ROW, "weight": object()}, "JSON has no form for"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_every_mistake(plovers: Any, given: Any, told: str) -> None:
    with pytest.raises(plovers.RowsError, match=told):
        plovers.predict(given)


class Heavier(BaseModel):
    kind: str
    weight: float
    colour: str = "grey"


def test_rows_of_another_contract_are_refused_with_both_digests_and_what_differs(plovers: Any) -> None:
    row = Heavier(kind="duck", weight=1.0)
    with pytest.raises(plovers.SchemaError) as refused:
        plovers.predict([ROW, row])
    error = refused.value
    assert set(error.fields) == {"colour", "kind", "seen", "weight"}
    assert "colour: is not known here" in str(error)
    assert "seen: is missing; here it is" in str(error)
    assert error.expected == plovers.Model().schema_digest
    assert error.expected in str(error)
    assert error.given in str(error)
    with pytest.raises(plovers.SchemaError, match="give the schema instead of its digest"):
        plovers.Model().require_schema(error.given)


def test_rows_of_the_same_contract_in_another_package_are_taken(plovers: Any, tmp_path: Path) -> None:
    reworded = CONTRACT.format(top="snipes").replace("Of which it is.", "Its kind.")
    other = installed(build(workload(tmp_path, "snipes", contract=reworded), tmp_path), tmp_path / "there")
    assert other.Row is not plovers.Row
    assert plovers.predict(other.Row(**{**ROW, "seen": dt.datetime(2013, 7, 9)})) == plovers.predict(ROW)
    plovers.Model().require_schema(other.Model().schema)
    plovers.Model().require_schema(plovers.Model().schema_digest)


def test_two_packages_of_two_versions_of_the_library_live_beside_each_other(plovers: Any, tmp_path: Path) -> None:
    other = build(workload(tmp_path, "terns"), tmp_path)
    with zipfile.ZipFile(other) as archive:
        archive.extractall(tmp_path / "changed")
    bodies_of_another = tmp_path / "changed/terns_model/_code/heliostat/serving/answering.py"
    bodies_of_another.write_text(bodies_of_another.read_text().replace("return [respond(score)", "return [respond(score + 1)"))
    sys.path.insert(0, str(tmp_path / "changed"))
    try:
        import terns_model  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tmp_path / "changed"))
    assert terns_model.predict(ROW).kilometres == plovers.predict(ROW).kilometres + 1


def test_it_needs_neither_ray_nor_mlflow_nor_an_installed_library(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
        metadata = archive.read("plovers_model-3.0.dist-info/METADATA").decode()
    asked = {
        line.split(": ")[1].split("<")[0]
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist") and "extra" not in line
    }
    assert asked == {"numpy", "pydantic"}
    assert "plovers_model/py.typed" in names
    assert "models:/birds/3" in metadata
    assert not [name for name in names if name.endswith(("dataplane.py", "train.py", "resources.py"))]


def test_the_same_version_is_the_same_bytes(contents: Contents, built: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        again = build(contents, tmp_path)
    finally:
        os.umask(before)
    assert again.read_bytes() == built.read_bytes()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import importlib\nimportlib.import_module('heliostat.ml.arrays')\n", "imports heliostat, which it does not carry"),
        ("import mlflow\n", "mlflow"),
    ],
)
def test_what_works_only_beside_the_library_is_refused(tmp_path: Path, text: str, told: str) -> None:
    contents = workload(tmp_path, f"gulls{len(told)}")
    (contents.root / contents.code[-2]).write_text(text + (contents.root / contents.code[-2]).read_text())
    with pytest.raises(PackageError, match=told):
        checking.require_same_answers(build(contents, tmp_path), contents)


def test_a_package_that_answers_otherwise_is_not_given_out(contents: Contents, tmp_path: Path) -> None:
    other = tmp_path / "model"
    other.mkdir()
    np.savez(other / "arrays.npz", **{"array.factors": np.array([1.1, 2.4])})
    with pytest.raises(PackageError, match=r"answers otherwise than the service: 200 .* instead of 200"):
        checking.require_same_answers(build(replace(contents, model=other), tmp_path), contents)


def test_a_model_s_file_that_no_wheel_takes_is_told(tmp_path: Path) -> None:
    contents = workload(tmp_path, "rooks")
    (contents.model / ".hidden").write_text("x")
    with pytest.raises(PackageError, match=r"the wheel has no rooks_model/_model/\.hidden"):
        build(contents, tmp_path)


def test_pip_installs_it_from_the_store(contents: Contents, tmp_path: Path) -> None:
    store = Directory(tmp_path / "store")
    package.publish(contents, store, tmp_path)
    target = tmp_path / "target"
    index = f"file://{tmp_path}/store/packages/simple"
    command = [*PYTHON, "-m", "pip", "install", "-q", "--no-deps", "--isolated", "--index-url", index, "--target", str(target)]
    subprocess.run([*command, "plovers-model==3.0"], check=True, cwd=tmp_path)
    program = f"from plovers_model import predict; print(predict({ROW!r}).kilometres)"
    done = subprocess.run(
        [*PYTHON, "-c", program], check=True, capture_output=True, text=True, env={"PYTHONPATH": str(target)}
    )
    assert float(done.stdout) == contents.contract.respond(float(np.exp(3.1 / 3) * 2.3 / 7)).kilometres


STEPS = """
from heliostat.ml.postprocessing import Changed, Given
from heliostat.spec.parameters import JobParameters
from curlews.kinds import NUMBERS

class Most(JobParameters):
    most: float = 0.5

def ground(rows, answers, given: Given[Most]):
    return [
        Changed(answer.model_copy(update={"kilometres": given.parameters.most}), "grounded")
        if row.kind in given.lists["grounded"] and row.kind in NUMBERS else answer
        for row, answer in zip(rows, answers, strict=True)
    ]
"""


def test_a_package_answers_behind_the_steps_with_the_lists_it_was_made_with(tmp_path: Path) -> None:
    plain = workload(tmp_path / "workload", "curlews", steps=STEPS)
    lists = {"grounded": ListSource(source="store:grounded.txt", digest="1" * 64)}
    step = PostprocessingStep(name="ground", function="curlews.steps:ground", lists=lists, parameters={"most": 0.25})
    contents = replace(plain, steps=(step,), lists={"1" * 64: "goose\n"})
    assert contents.identity != plain.identity
    (tmp_path / "built").mkdir()
    sys.path.insert(0, str(tmp_path / "workload" / "code"))
    try:
        made = build(contents, tmp_path / "built")
        checking.require_same_answers(made, contents)
    finally:
        sys.path.remove(str(tmp_path / "workload" / "code"))
    module = installed(made, tmp_path / "installed")
    assert module.predict(ROW).kilometres == 0.25
    assert module.predict({**ROW, "kind": "duck"}).kilometres != 0.25
    assert f"Its answers pass through ground {step.version}" in (module.__doc__ or "")


def test_a_package_of_an_ensemble_has_all_of_its_models(tmp_path: Path) -> None:
    contents = workload(tmp_path / "workload", "cranes")
    members = [{"share": 0.75, "folder": "members/0"}, {"share": 0.25, "folder": "members/1", "model": "models:/birds/2"}]
    (contents.model / "members").mkdir()
    for member, factor in zip(members, (2.3, 4.3), strict=True):
        folder = contents.model / str(member["folder"])
        folder.mkdir()
        np.savez(folder / "arrays.npz", **{"array.factors": np.array([1.1, factor])})
    (contents.model / "arrays.npz").unlink()
    (contents.model / ENSEMBLE_FILE).write_text(json.dumps({"members": members}))
    (tmp_path / "built").mkdir()
    made = build(contents, tmp_path / "built")
    checking.require_same_answers(made, contents)
    answer = installed(made, tmp_path / "installed").predict(ROW).kilometres
    assert answer == pytest.approx(np.exp(3.1 / 3) * (0.75 * 2.3 + 0.25 * 4.3) / 7)
