"""The Open Inference Protocol over HTTP: the same rows, the same refusals and the same answers as the contract's own JSON."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from pictures import pictures
from serving_fakes import JSON, ROW, Halves, Log, answers, body, call, contract

from heliostat.serving.tap import TapQuery

INFER = "/v2/models/halves/infer"
IMAGE = [[1.5, 2.0, 3.0], [0.1, 2.0, 4.0]]


def tensor(name: str, datatype: str, data: list[Any], shape: list[int] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data, **more}


def rows(*given: dict[str, Any], **more: Any) -> bytes:
    """Rows of `Ask` as tensors."""
    types = {"kind": "BYTES", "size": "FP64", "when": "BYTES"}
    inputs = [tensor(name, kind, [row[name] for row in given]) for name, kind in types.items()]
    return json.dumps({"inputs": inputs, **more}).encode()


def changed(at: int, **changes: Any) -> bytes:
    """One row whose tensor number `at` is otherwise; what is None is left out."""
    asked = json.loads(rows(ROW))
    made = {**asked["inputs"][at], **changes}
    asked["inputs"][at] = {name: value for name, value in made.items() if value is not None}
    return json.dumps(asked).encode()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/halves/ready", {"name": "halves", "version": "3-abc", "ready": True}),
        ("/v2/models/halves/versions/3/ready", {"name": "halves", "version": "3-abc", "ready": True}),
    ],
)
async def test_health_is_told_by_the_protocols_paths(app, path, told):
    answer = await call(app, "GET", path)
    assert (answer.status, answer.json) == (200, told)


@pytest.mark.parametrize("path", ["", "/versions/3-abc", "/versions/3"])
async def test_a_model_tells_its_tensors_by_each_of_its_paths(app, path):
    told = (await call(app, "GET", f"/v2/models/halves{path}")).json
    assert (told["name"], told["versions"]) == ("halves", ["3-abc"])
    assert told["inputs"] == [
        {"name": "kind", "datatype": "BYTES", "shape": [-1]},
        {"name": "size", "datatype": "FP64", "shape": [-1]},
        {"name": "when", "datatype": "BYTES", "shape": [-1]},
    ]
    assert told["outputs"] == [{"name": "score", "datatype": "FP64", "shape": [-1]}]
    assert (await call(app, "GET", "/v2")).json["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("count", [1, 2, 70])
async def test_rows_are_answered_as_by_the_contracts_own_json_to_the_bit(app, count):
    sent = [{**ROW, "size": 0.1 * (number + 1)} for number in range(count)]
    own = (await call(app, "POST", "/predict", json.dumps({"rows": sent}).encode(), **JSON)).json["rows"]
    told = (await call(app, "POST", INFER, rows(*sent))).json
    assert told["model_version"] == "3-abc"
    [output] = told["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("score", "FP64", [count])
    assert [value.hex() for value in output["data"]] == [row["score"].hex() for row in own]


async def test_what_is_logged_and_kept_is_the_row_in_the_contracts_own_json(app, log):
    answer = await call(app, "POST", INFER, rows(ROW, id="mine"), **JSON)
    assert (answer.json["id"], answer.headers["x-request-id"]) == ("mine", "mine")
    name, sent, count, told, _ = log.entries[0]
    assert (name, json.loads(sent), count, json.loads(told)) == (b"mine", ROW, 1, {"score": 2.0})
    [kept] = app.plane.tap.page(TapQuery()).requests
    assert (await call(app, "POST", "/predict", kept.body.encode(), **JSON)).body == kept.answer.encode()


async def test_a_replay_by_the_protocol_is_neither_logged_nor_kept(app, log):
    answer = await call(app, "POST", INFER, rows(ROW), x_heliostat_replay="1")
    assert "x-heliostat-milliseconds" in answer.headers
    assert (log.entries, app.plane.tap.page(TapQuery()).requests) == ([], ())


def in_binary(*tensors: tuple[str, str, list[int], bytes], **more: Any) -> tuple[bytes, dict[str, str]]:
    inputs = [
        {"name": name, "datatype": kind, "shape": shape, "parameters": {"binary_data_size": len(raw)}}
        for name, kind, shape, raw in tensors
    ]
    head = json.dumps({"inputs": inputs, **more}).encode()
    return head + b"".join(raw for *_, raw in tensors), {"inference_header_content_length": str(len(head))}


def texts(*given: str) -> bytes:
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in given)


def ask_in_binary(size: bytes, datatype: str = "FP64", **more: Any) -> tuple[bytes, dict[str, str]]:
    return in_binary(
        ("kind", "BYTES", [1], texts("a")),
        ("size", datatype, [1, 1], size),
        ("when", "BYTES", [1], texts(ROW["when"])),
        **more,
    )


async def test_tensors_behind_the_json_are_read_and_answers_come_behind_it_where_asked(app):
    sent, head = ask_in_binary(struct.pack("<d", 0.2), parameters={"binary_data_output": True})
    answer = await call(app, "POST", INFER, sent, **head)
    assert answer.headers["content-type"] == "application/octet-stream"
    cut = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.body[:cut])["outputs"] == [
        {"name": "score", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}
    ]
    assert answer.body[cut:] == struct.pack("<d", 0.1)


@pytest.mark.parametrize("datatype", ["FP16", "FP32"])
async def test_a_number_is_what_its_datatype_makes_of_it_whatever_carries_it(app, datatype):
    narrow = np.array([0.1], {"FP16": "<f2", "FP32": "<f4"}[datatype])
    sent, head = ask_in_binary(narrow.tobytes(), datatype)
    binary = (await call(app, "POST", INFER, sent, **head)).json["outputs"]
    in_json = (await call(app, "POST", INFER, changed(1, datatype=datatype, data=[0.1]))).json["outputs"]
    assert binary == in_json
    assert binary[0]["data"] == [float(narrow[0]) / 2]


@pytest.mark.parametrize("wanted", [[], [{"name": "score"}], [{"name": "score", "parameters": {"binary_data": True}}]])
async def test_outputs_may_be_named_each_with_its_form(app, wanted):
    answer = await call(app, "POST", INFER, rows(ROW, outputs=wanted))
    binary = bool(wanted) and "parameters" in wanted[0]
    assert answer.status == 200
    assert ("inference-header-content-length" in answer.headers) is binary


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        (changed(1, data=[-1.0]), ["inputs", "size", "data", 0]),
        (rows(ROW, {**ROW, "size": -1.0}), ["inputs", "size", "data", 1]),
        (changed(0, data=["z"]), ["inputs", "kind", "data", 0]),
        (changed(1, data=[None]), ["inputs", "size", "data", 0]),
        (changed(1, data=[True]), ["inputs", "size", "data", 0]),
        (changed(1, data=["4"]), ["inputs", "size", "data", 0]),
        (changed(1, data=[10**400]), ["inputs", "size", "data", 0]),
        (changed(1, datatype="FP32", data=[1e300]), ["inputs", "size", "data", 0]),
        (changed(1, datatype="INT64", data=[2**63]), ["inputs", "size", "data", 0]),
        (changed(1, datatype="INT8", data=[300]), ["inputs", "size", "data", 0]),
        (changed(1, datatype="UINT8", data=[-1]), ["inputs", "size", "data", 0]),
        (changed(1, datatype="INT64", data=[1.7]), ["inputs", "size", "data", 0]),
        (changed(1, datatype="BF16"), ["inputs", "size", "datatype"]),
        (changed(1, datatype=4), ["inputs", 1, "datatype"]),
        (changed(1, shape=[2]), ["inputs", "size", "data"]),
        (changed(1, shape=[2], data=[1, 2]), ["inputs", "size", "shape"]),
        (changed(1, shape=[1, 2], data=[1, 2]), ["inputs", "size", "shape"]),
        (changed(1, shape=[-1]), ["inputs", 1, "shape", 0]),
        (changed(1, shape=[]), ["inputs", 1, "shape"]),
        (changed(1, shape=[1.0]), ["inputs", 1, "shape", 0]),
        (changed(1, data=[[1, 2]]), ["inputs", "size", "data", 0]),
        (changed(1, data=None), ["inputs", "size"]),
        (changed(1, data={"a": 1}), ["inputs", 1, "data"]),
        (changed(1, name="sizes"), ["inputs", "sizes"]),
        (changed(1, name="kind"), ["inputs", "kind"]),
        (changed(1, extra=1), ["inputs", 1, "extra"]),
        (changed(1, parameters={"binary_data_size": 8}), ["inputs", 1, "parameters", "binary_data_size"]),
        (rows(ROW, outputs=[{"name": "no"}]), ["outputs", 0, "name"]),
        (rows(ROW, outputs=[{"name": "score", "parameters": {"classification": 2}}]),
         ["outputs", 0, "parameters", "classification"]),
        (rows(ROW, outputs=[{"name": "score", "parameters": {"binary_data": 1}}]),
         ["outputs", 0, "parameters", "binary_data"]),
        (rows(ROW, parameters={"binary_data_output": "yes"}), ["parameters", "binary_data_output"]),
        (rows(*[ROW] * 101), ["inputs", "shape"]),
        (b'{"inputs": []}', ["inputs"]),
        (b"{}", ["inputs"]),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_refused_with_the_path_in_the_tensors(app, log, sent, where):
    answer = await call(app, "POST", INFER, sent)
    assert answer.status == 422
    assert where in [each["loc"] for each in answer.json["detail"]], answer.json
    assert ".".join(map(str, where)) in answer.json["error"]
    assert not log.entries


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
async def test_a_row_is_refused_for_the_same_reason_as_in_the_contracts_own_json(app, size):
    own = await call(app, "POST", "/predict", body(size=size), **JSON)
    told = await call(app, "POST", INFER, changed(1, data=[size]))
    assert own.status == told.status == 422
    assert [each["msg"] for each in told.json["detail"]] == [each["msg"] for each in own.json["detail"]]


@pytest.mark.parametrize(
    ("method", "path", "sent", "headers", "status"),
    [
        ("POST", INFER, b"", {}, 422),
        ("POST", INFER, b"{", {}, 422),
        ("POST", INFER, b"x", {"content_type": "text/csv"}, 415),
        ("POST", INFER, rows(ROW), {"inference_header_content_length": "9999"}, 400),
        ("POST", INFER, rows(ROW), {"inference_header_content_length": "-1"}, 400),
        ("POST", "/v2/models/other/infer", rows(ROW), {}, 400),
        ("POST", "/v2/models/halves/versions/4/infer", rows(ROW), {}, 400),
        ("GET", "/v2/models/other", b"", {}, 404),
        ("GET", "/v2/models/halves/versions/9/ready", b"", {}, 404),
        ("GET", INFER, b"", {}, 405),
    ],
)
async def test_errors_are_told_as_the_protocol_has_them_and_as_ours(app, method, path, sent, headers, status):
    answer = await call(app, method, path, sent, **headers)
    assert answer.status == status
    assert isinstance(answer.json["error"], str)
    assert answer.json["error"]
    assert "detail" in answer.json


async def test_a_bug_of_the_workload_is_an_error_of_the_protocol_too(app):
    answer = await call(app, "POST", INFER, changed(1, data=[13.0]))
    assert answer.status == 500
    assert "ZeroDivisionError" in answer.json["error"]


def picture(**changes: Any) -> dict[str, dict[str, Any]]:
    given = {"image": tensor("image", "FP32", [IMAGE], [1, 2, 3]), **changes}
    return {name: value for name, value in given.items() if value}


async def see(log: Log, *tensors: dict[str, Any], **more: Any) -> Any:
    return await call(pictures(log), "POST", INFER, json.dumps({"inputs": tensors, **more}).encode())


async def test_a_tensor_of_any_shape_is_a_field_by_json_and_by_tensor_alike(log):
    app = pictures(log)
    own = (await call(app, "POST", "/predict", json.dumps({"image": IMAGE}).encode(), **JSON)).json
    told = {each["name"]: each for each in (await see(log, *picture().values())).json["outputs"]}
    assert told["light"]["shape"] == [1, 3]
    assert told["light"]["datatype"] == "FP32"
    assert told["light"]["data"] == own["light"]
    assert {name: told[name]["data"][0] for name in ("mean", "label", "bright")} == {
        name: own[name] for name in ("mean", "label", "bright")
    }
    assert (told["ranks"]["shape"], told["ranks"]["data"]) == ([1, 2], own["ranks"])
    assert json.loads(told["extra"]["data"][0]) == own["extra"]


async def test_a_tensor_is_logged_in_the_contracts_own_json_also_where_it_came_in_binary(log):
    app = pictures(log)
    array = np.array([IMAGE, np.zeros((2, 3))], "<f4")
    sent, head = in_binary(("image", "FP32", [2, 2, 3], array.tobytes()), ("howMany", "INT64", [2], np.arange(2).tobytes()))
    assert (await call(app, "POST", INFER, sent, **head)).status == 200
    logged = json.loads(bytes(log.entries[0][1]))
    assert logged == {"rows": [{"image": part.tolist(), "howMany": number} for number, part in enumerate(array)]}
    again = await call(app, "POST", "/predict", bytes(log.entries[0][1]), **JSON)
    assert again.body == bytes(log.entries[0][3]) == bytes(log.entries[1][3])
    [first, _] = app.plane.tap.page(TapQuery()).requests
    assert first.body.encode() == bytes(log.entries[0][1])


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"image": tensor("image", "FP32", [1.0] * 4, [1, 2, 2])}, ["inputs", "image", "shape"]),
        ({"image": tensor("image", "FP64", [1.0] * 6, [1, 2, 3])}, ["inputs", "image", "datatype"]),
        ({"image": tensor("image", "FP32", [1.0] * 5 + [None], [1, 2, 3])}, ["inputs", "image", "data"]),
        ({"image": tensor("image", "FP32", [1.0] * 5 + [float("nan")], [1, 2, 3])}, ["inputs", "image", "data", 0]),
        ({"about": tensor("about", "BYTES", ["{"])}, ["inputs", "about", "data", 0]),
        ({"about": tensor("about", "BYTES", ['{"a": "b"}'])}, ["inputs", "about", "data", 0, "a"]),
        ({"boxes": tensor("boxes", "FP64", [1.5], [1, 1, 1])}, ["inputs", "boxes", "data", 0, 0, 0]),
        ({"count": tensor("count", "INT64", [1])}, ["inputs", "count"]),
    ],
)
async def test_a_field_of_any_form_is_refused_with_its_path(log, changes, where):
    answer = await see(log, *picture(**changes).values())
    assert answer.status == 422
    assert where in [each["loc"] for each in answer.json["detail"]], answer.json


async def test_no_number_is_a_tensor_where_none_came(log):
    answer = await call(pictures(log), "POST", "/predict", b'{"image": 0}', **JSON)
    assert answer.status == 422


async def test_null_is_told_in_json_and_refused_in_binary_where_its_datatype_has_none(log):
    class Empty(Halves):
        def predict(self, columns: Any) -> Any:
            return np.array([np.nan] * len(columns["size"]))

    from pydantic import BaseModel

    class Maybe(BaseModel):
        score: float | None
        count: int | None

    app = answers(log, contract(predictor=Empty, answer=Maybe, respond=lambda _: Maybe(score=None, count=None), golden=()))
    told = (await call(app, "POST", INFER, rows(ROW))).json["outputs"]
    assert [each["data"] for each in told] == [[None], [None]]
    binary = {"parameters": {"binary_data": True}}
    score = await call(app, "POST", INFER, rows(ROW, outputs=[{"name": "score", **binary}]))
    assert np.isnan(struct.unpack("<d", score.body[-8:])[0])
    assert (await call(app, "POST", INFER, rows(ROW, outputs=[{"name": "count", **binary}]))).status == 422


async def test_openapi_has_the_protocols_paths_with_an_example_that_is_answered(app):
    document = (await call(app, "GET", "/openapi.json")).json
    asked = document["paths"]["/halves/v2/models/halves/infer"]["post"]
    example = asked["requestBody"]["content"]["application/json"]["example"]
    assert (await call(app, "POST", INFER, json.dumps(example).encode(), **JSON)).status == 200
    assert "InferTensor" in document["components"]["schemas"]


async def test_many_inputs_that_nobody_asked_for_are_told_at_once_and_not_endlessly(app):
    asked = {"inputs": [tensor(f"x{number}", "FP64", [1.0]) for number in range(300)]}
    detail = (await call(app, "POST", INFER, json.dumps(asked).encode())).json["detail"]
    assert len(detail) == 101
    assert detail[-1]["msg"].startswith("and 203 mistakes more")


async def test_an_answer_may_have_a_field_that_is_called_as_many_answers_are(log):
    from pydantic import BaseModel

    class Counted(BaseModel):
        rows: list[int]

    app = answers(log, contract(answer=Counted, respond=lambda score: Counted(rows=[int(score)] * 2), golden=()))
    for count in (1, 2):
        [output] = (await call(app, "POST", INFER, rows(*[ROW] * count))).json["outputs"]
        assert (output["shape"], output["data"]) == ([count, 2], [2] * 2 * count)
