"""What is wrong with a workload's code is told at its check, before anything starts."""

from __future__ import annotations

import json
import re
import tempfile
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest

from heliostat.provider import inspecting
from heliostat.provider.application import ApplicationHandler
from heliostat.provider.dataset import DatasetHandler
from heliostat.provider.model_version import ModelVersionHandler
from heliostat.provider.train_job import TrainJobHandler
from heliostat.spec.code import code_of
from heliostat.spec.inspection import ServedModelAddress

PREDICTOR = """
class Half:
    @classmethod
    def load(cls, directory):
        if not (directory / "half").is_file():
            raise ValueError("the model was trained with other features")
        return cls()
    def predict(self, columns):
        return [0.5]
"""
CONTRACT = """
from typing import Literal
from pydantic import BaseModel, ConfigDict
from heliostat.ml.contracts import Contract, Golden
from workloads.w.predictor import Half

class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: float

class Inner(BaseModel):
    depth: int

class Answer(BaseModel):
    half: float | None
    late: bool
    name: Literal["a", "b"]
    inner: Inner

def respond(score): ...

CONTRACT = Contract("t", "d", Row, Answer, Half, respond, (Row(size=1),), (
    Golden("one", {"size": 1.0}),
    Golden("many", {"rows": [{"size": 1.0}, {"size": 2.0}]}),
    Golden("text", {"size": "1"}, 422),
    Golden("none", "{", 422),
))
BAD = Contract("t", "d", Row, dict, Row, lambda: None, (Answer.model_construct(),), (
    Golden("one", {"sice": 1.0}),
    Golden("fine", {"size": 1.0}, 422),
))
"""


@pytest.fixture
def workload(tmp_path):
    """Writes modules of the workload `w` and gives an entry point's inputs."""
    (tmp_path / "workloads" / "w").mkdir(parents=True)
    for package in ("workloads", "workloads/w"):
        (tmp_path / package / "__init__.py").write_text("")

    def write(**modules):
        for name, text in modules.items():
            (tmp_path / "workloads" / "w" / f"{name}.py").write_text(textwrap.dedent(text))

    def given(name, place="entryPoint", **more):
        entry_point = f"workloads.w.{name}"
        functions = inspecting.functions_asked(more.get("strategy", {}))
        code = code_of(tmp_path, entry_point, *(each for each in functions if "gone" not in each))
        return {"code": code.model_dump(mode="json", by_alias=True), place: entry_point, **more}

    write(predictor=PREDICTOR, contract=CONTRACT)
    given.write, given.root = write, tmp_path
    return given


def application(workload, name="contract:CONTRACT", checks=(), limits=None, **strategy):
    whole = {"kind": "blue-green", "before": {"checks": list(checks)}, **strategy}
    return workload(name, "contract", strategy=whole, limits=limits or {})


async def told(handler, given):
    return {(each.path, each.reason) for each in await handler.mistakes(given)}


async def test_code_that_fits_is_looked_at_once_and_then_no_process_is_started(workload, monkeypatch):
    workload.write(jobs="def snapshot(parameters): ...\ndef train(context): ...\ndef looks_well(candidate): ...\n")
    checks = [
        {"kind": "disagreement", "field": "name"},
        {"kind": "prediction-distance", "field": "half"},
        {"kind": "custom", "name": "mine", "function": "workloads.w.jobs:looks_well"},
    ]
    cases = [
        (DatasetHandler(), workload("jobs:snapshot")),
        (TrainJobHandler(), workload("jobs:train")),
        (ModelVersionHandler(), workload("predictor:Half")),
        (ApplicationHandler(), application(workload, checks=checks)),
    ]
    for handler, given in cases:
        assert await told(handler, given) == set()
    monkeypatch.setattr(inspecting.subprocess, "run", lambda *_, **__: pytest.fail("it was looked at again"))
    for handler, given in cases:
        assert await told(handler, given) == set()


async def test_what_was_wrong_is_looked_at_again_until_it_is_right(workload):
    given = workload("predictor:Half") | {"entryPoint": "workloads.w.predictor:Whole"}
    for _ in range(2):
        [(path, reason)] = await told(ModelVersionHandler(), given)
        assert path == "entryPoint"
        assert "module 'workloads.w.predictor' has no 'Whole'; it has Half" in reason


@pytest.mark.parametrize(
    ("handler", "text", "reason"),
    [
        (DatasetHandler(), "import not_installed\ndef it(p): ...", "No module named 'not_installed' .jobs.py, line 1"),
        (DatasetHandler(), "def it(): ...", r"takes \(\): it must take one argument, the parameters"),
        (DatasetHandler(), "it = 3", "is a int: it must be a function of one argument, the parameters"),
        (TrainJobHandler(), "def it(context, more): ...", "it must take one argument, the training's context"),
        (ModelVersionHandler(), "def it(): ...", "must be a class with `load` and `predict`"),
        (ModelVersionHandler(), "class it:\n    def load(self, path): ...", "`load` must be a class method that takes"),
        (ModelVersionHandler(), "class it:\n    def load(self, path): ...", "has no method `predict`"),
        (DatasetHandler(), "import os\nos._exit(3)", "ends the process that imports it"),
        (DatasetHandler(), "print('hello')\nimport sys\nsys.stderr.write('x')\nraise ValueError('bad')", "ValueError: bad"),
    ],
)  # fmt: skip
async def test_an_entry_point_that_cannot_work_is_a_mistake_where_it_is_named(workload, handler, text, reason):
    workload.write(jobs=text)
    found = await told(handler, workload("jobs:it"))
    assert {path for path, _ in found} == {"entryPoint"}
    assert any(re.search(reason, each) for _, each in found), found


async def test_every_mistake_of_a_contract_is_told_at_once(workload):
    found = await told(ApplicationHandler(), application(workload, "contract:BAD", limits={"maxRows": 1}))
    assert {path for path, _ in found} == {"contract"}
    for reason in (
        "its `answer` must be a pydantic model",
        "its predictor: has no method `load`",
        "its `respond`: takes (): it must take one argument, a score",
        "its example 0 is a Answer: it must be a Row",
        "it refuses its own golden request 'one', which expects an answer: size: Field required",
        "it takes its golden request 'fine', which expects a refusal",
    ):
        assert any(reason in each for _, each in found), reason


async def test_golden_requests_have_to_keep_the_limits_of_the_stack(workload):
    [(_, rows)] = await told(ApplicationHandler(), application(workload, limits={"maxRows": 1}))
    assert "refuses its own golden request 'many'" in rows
    [(_, size)] = await told(ApplicationHandler(), application(workload, limits={"maxBodyBytes": 20}))
    assert "its golden request 'many' has 40 bytes, limits.maxBodyBytes is 20" in size


async def test_a_check_of_what_the_answer_does_not_have_is_a_mistake_at_its_path(workload):
    wrong = [
        {"kind": "disagreement", "field": "lat"},
        {"kind": "model-metric", "field": "name"},
        {"kind": "prediction-distance", "field": "inner"},
        {"kind": "custom", "name": "mine", "function": "workloads.w.gone:check"},
    ]
    strategy = {"kind": "canary", "steps": [{"weight": 1}, {"weight": 2, "analysis": {"checks": wrong[:1]}}]}
    found = dict(await told(ApplicationHandler(), application(workload, checks=wrong, **strategy)))
    missing = "the contract's answer has no field 'lat': it has half, late, name, inner"
    assert found["strategy.before.checks[0].field"] == missing
    assert found["strategy.steps[1].analysis.checks[0].field"] == missing
    numbers = "is no number; of those there are: half, late"
    assert found["strategy.before.checks[1].field"] == f"the field 'name' of the contract's answer {numbers}"
    assert numbers in found["strategy.before.checks[2].field"]
    assert "No module named 'workloads.w.gone'" in found["strategy.before.checks[3].function"]
    assert len(found) == 5


async def test_code_that_does_not_lie_here_is_the_cluster_s_to_judge(workload):
    given = workload("predictor:Half")
    given["code"]["root"] = "/nowhere/at/all"
    assert await told(ModelVersionHandler(), given) == set()


class MlflowOfFiles:
    """The part of MLflow's REST API by which a model is found and fetched, for models made of files."""

    def __init__(self):
        self.models = {}

    def __enter__(self):
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = files.answer(urlsplit(self.path))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_): ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, url):
        query = dict(parse_qsl(url.query))
        if url.path.endswith("/model-versions/get-download-uri"):
            if query["version"] not in self.models:
                return 404, b"{}"
            return 200, json.dumps({"artifact_uri": f"mlflow-artifacts:/{query['version']}"}).encode()
        if "path" in query:
            version, _, below = query["path"].partition("/")
            return 200, json.dumps({"files": self.listed(self.models[version], below)}).encode()
        version, _, name = url.path.partition("/mlflow-artifacts/artifacts/")[2].partition("/")
        return 200, self.models[version][name]

    def listed(self, files, below):
        inside = [name.removeprefix(f"{below}/") if below else name for name in files if name.startswith(below)]
        return [{"path": top, "is_dir": top not in inside} for top in dict.fromkeys(name.split("/")[0] for name in inside)]


async def test_a_model_that_the_predictor_does_not_load_is_told_before_anything_starts(workload, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    given = application(workload)

    async def why(version):
        model = ServedModelAddress(uri=f"models:/w/{version}", tracking_uri=mlflow.url)
        return (await inspecting.inspect_application(given, model))[0].model

    with MlflowOfFiles() as mlflow:
        mlflow.models = {
            "1": {"data/x/result.json": b"{}", "data/x/model/half": b""},
            "2": {"data/x/result.json": b"{}", "data/x/model/other": b""},
            "3": {"model.pkl": b""},
            "4": {},
        }
        assert await why(1) == ""
        assert "does not load it: ValueError: the model was trained with other features" in await why(2)
        assert "was not logged by a training of ours" in await why(3)
        assert "there are no artifacts" in await why(4)
        assert "there is no model models:/w/5" in await why(5)
    assert await why(6) == "", "while MLflow is down, the rollout will tell"


async def test_an_application_that_answers_calls_has_a_definition_that_is_its_contracts(workload):
    def given(interface, text=None):
        found = {**application(workload), "name": "w", "interface": interface}
        return found if text is None else {**found, "proto": text}

    handler = ApplicationHandler()
    assert await told(handler, given("rest")) == set()
    [(path, reason)] = await told(handler, given("grpc"))
    assert (path, "`heliostat proto w` writes contract.proto" in reason) == ("proto", True)
    [(path, reason)] = await told(handler, given("both", "message Row {"))
    assert (path, "cannot be read" in reason) == ("proto", True)
    text = PROTO.replace("optional double size = 1;", "optional double length = 1;")
    [(path, reason)] = await told(handler, given("both", text))
    assert path == "proto"
    assert "optional double size = 2;" in reason
    assert await told(handler, given("both", PROTO)) == set()


PROTO = """\
// The requests and answers of heliostat.w, written by `heliostat proto`. A field keeps its number for good.

syntax = "proto3";
package heliostat.w;

service Predictor {
  rpc Predict(PredictRequest) returns (PredictResponse);
}

message PredictRequest {
  // At least one.
  repeated Row rows = 1;
}

message PredictResponse {
  // In the order of the request's rows.
  repeated Answer rows = 1;
}

message Row {
  optional double size = 1;
}

message Answer {
  optional double half = 1;
  optional bool late = 2;
  optional string name = 3;
  AnswerInner inner = 4;
}

message AnswerInner {
  optional int64 depth = 1;
}
"""
