"""A contract's own definition: made of its fields, with the numbers that are kept, and answered by a service of its own."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import PICTURES, Picture
from pydantic import BaseModel, Field, create_model
from serving_fakes import ROW, Halves, Log, Told, contract, version

from heliostat.ml.contracts import Contract
from heliostat.serving.dataplane import DataPlane
from heliostat.serving.grpc import calls
from heliostat.serving.grpc.application import GrpcApplication
from heliostat.serving.grpc.definition import define, descriptor_of
from heliostat.serving.grpc.messages import classes_of
from heliostat.serving.rest.application import RestApplication
from heliostat.serving.rest.exchange import Request, Response
from heliostat.spec.proto import ProtoField, breaks, parse, text_of
from heliostat.spec.workload import Interface, Limits


def row_of(**fields: Any) -> Contract[Any, Any]:
    row = create_model("Row", **fields)
    return contract(row=row, examples=(), golden=())


def fields(made: Contract[Any, Any], kept: Any = None, message: str = "Row") -> dict[str, tuple[str, int]]:
    found = define(made, "halves", kept).message(message)
    assert found
    return {field.name: (field.declared, field.number) for field in found.fields}


class Inner(BaseModel):
    depth: int


def test_each_kind_of_field_has_its_type() -> None:
    made = row_of(
        flag=(bool, ...), count=(int, ...), size=(float | None, None), name=(str, ...), sizes=(list[float], []),
        about=(dict[str, int], {}), inner=(Inner, ...), inners=(list[Inner], []), grid=(list[list[int]], []), any_=(Any, None),
    )  # fmt: skip
    assert fields(made) == {
        "flag": ("optional bool", 1), "count": ("optional int64", 2), "size": ("optional double", 3),
        "name": ("optional string", 4), "sizes": ("repeated double", 5), "about": ("map<string, int64>", 6),
        "inner": ("RowInner", 7), "inners": ("repeated RowInners", 8), "grid": ("optional string", 9),
        "any_": ("optional string", 10),
    }  # fmt: skip


def test_a_field_keeps_its_number_wherever_it_stands_and_whatever_comes_or_goes() -> None:
    first = define(row_of(a=(int, ...), b=(float, ...), c=(str, ...)), "halves")
    second = define(row_of(c=(str, ...), new=(bool, ...), a=(int, ...)), "halves", first)
    row = second.message("Row")
    assert row
    assert [(field.name, field.number) for field in row.fields] == [("c", 3), ("new", 4), ("a", 1)]
    assert (row.reserved, row.reserved_names) == ((2,), ("b",))
    third = define(row_of(a=(int, ...), b=(float, ...)), "halves", second)
    assert fields(row_of(a=(int, ...), b=(float, ...)), second)["b"] == ("optional double", 5)
    assert not [*breaks(first, second), *breaks(second, third)]


def test_a_field_of_another_type_gets_another_number() -> None:
    first = define(row_of(a=(int, ...)), "halves")
    second = define(row_of(a=(str, ...)), "halves", first)
    row = second.message("Row")
    assert row
    assert (row.fields[0], row.reserved, row.reserved_names) == (ProtoField("optional string", "a", 2), (1,), ())


def test_fields_that_would_have_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="several fields called a_b"):
        define(row_of(a=(int, Field(alias="a-b")), b=(int, Field(alias="a.b"))), "halves")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    histories=st.lists(st.dictionaries(st.sampled_from("abcde"), st.sampled_from([int, str, float]), min_size=1), max_size=5)
)
def test_no_history_of_a_contract_makes_clients_misread_it(histories: list[dict[str, Any]]) -> None:
    kept = None
    for each in histories:
        now = define(row_of(**{name: (kind, ...) for name, kind in each.items()}), "halves", kept)
        assert parse(text_of(now)) == now
        assert kept is None or not list(breaks(kept, now))
        kept = now


def application(made: Contract[Any, Any], log: Any, interface: Interface = Interface.BOTH, **changes: Any) -> GrpcApplication:
    plane = DataPlane(made, made.predictor(), version(interface=interface, **changes), log)  # type: ignore[call-arg]
    return GrpcApplication(plane, RestApplication(plane, "/halves"), "halves", text_of(define(made, "halves")))


def call(app: GrpcApplication, path: str, message: bytes, **headers: str) -> Response:
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    body = struct.pack(">BI", 0, len(message)) + message
    reply = app.reply(Request("POST", path, b"", {b"content-type": b"application/grpc", **given}, body))
    return reply if isinstance(reply, Response) else reply()


class Own:
    """A client of a contract's own service."""

    def __init__(self, made: Contract[Any, Any], app: GrpcApplication) -> None:
        definition = define(made, "halves")
        self.of = classes_of(descriptor_of(definition), definition.package)
        self._app = app

    def __call__(self, *rows: dict[str, Any], **headers: str) -> Response:
        message = self.of("PredictRequest")(rows=rows).SerializeToString()
        return call(self._app, "/heliostat.halves.Predictor/Predict", message, **headers)

    def rows(self, *rows: dict[str, Any]) -> Any:
        response = self(*rows)
        assert response.trailers == ((b"grpc-status", b"0"),), dict(response.fields)
        return self.of("PredictResponse").FromString(response.body[5:]).rows


@pytest.mark.parametrize("count", [1, 3])
def test_rows_by_the_own_service_are_answered_logged_and_kept_as_by_json(count: int) -> None:
    log = Log()
    made = contract()
    rows = [{**ROW, "size": 0.1 * (number + 1)} for number in range(count)]
    found = Own(made, application(made, log)).rows(*rows)
    assert [row.score for row in found] == [row["size"] / 2 for row in rows]
    sent = json.loads(log.entries[0][1])
    assert sent == (rows[0] if count == 1 else {"rows": rows})


def test_every_kind_of_field_comes_through_the_own_service() -> None:
    log = Log()
    image = np.array([[1.5, 2, 3], [0.1, 2, 4]], "<f4")
    row = {
        "image": {"shape": image.shape, "values": image.tobytes()}, "title": "a", "boxes": "[[1,2]]", "about": {"k": 1},
        "howMany": 4, "weight": 0.5,
    }  # fmt: skip
    [seen] = Own(PICTURES, application(PICTURES, log)).rows(row)
    logged = json.loads(log.entries[0][1])
    assert logged == {
        "image": image.tolist(), "title": "a", "boxes": [[1, 2]], "about": {"k": 1}, "howMany": 4, "weight": 0.5,
    }  # fmt: skip
    assert np.frombuffer(seen.light.values, "<f4").tolist() == image.mean(axis=0).tolist()
    assert (list(seen.light.shape), list(seen.ranks), dict(seen.extra), seen.bright) == ([3], [1, 2], {"a": "b"}, True)
    assert Picture.model_validate(logged | {"image": image})


def test_what_is_null_in_an_answer_is_not_there() -> None:
    class Maybe(BaseModel):
        score: float | None

    made = contract(answer=Maybe, respond=lambda _: Maybe(score=None), golden=())
    [row] = Own(made, application(made, Log())).rows(ROW)
    assert not row.HasField("score")


def told(response: Response) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in response.fields}


def test_a_call_that_does_not_fit_is_refused_with_its_path_and_is_not_logged() -> None:
    log = Log()
    made = contract()
    found = told(Own(made, application(made, log))({**ROW, "size": -1.0}))
    assert (found["grpc-status"], found["x-heliostat-status"]) == ("3", "422")
    assert "body.size: Input should be greater than 0" in found["grpc-message"]
    assert not log.entries


def test_a_message_of_an_error_is_percent_encoded() -> None:
    made = contract(respond=lambda _: Told.model_validate({}))
    app = application(contract(), Log())
    found = told(call(app, "/inference.GRPCInferenceService/Ünknown%\n", b""))
    assert made
    assert "%C3%9Cnknown%25%0A" in found["grpc-message"]


@pytest.mark.parametrize(
    ("body", "status"), [(b"", "400"), (b"\0\0\0\0", "400"), (b"\0\0\0\0\x05a", "400"), (b"\x02\0\0\0\0", "400")]
)
def test_what_is_no_call_is_refused(body: bytes, status: str) -> None:
    app = application(contract(), Log())
    headers = {b"content-type": b"application/grpc+proto"}
    reply = app.reply(Request("POST", "/inference.GRPCInferenceService/ModelInfer", b"", headers, body))
    assert isinstance(reply, Response)
    assert told(reply)["x-heliostat-status"] == status


def test_a_message_that_grows_over_the_limit_once_it_is_unpacked_is_refused() -> None:
    import gzip

    app = application(contract(), Log(), limits=Limits(max_body_bytes=1_000))
    packed = gzip.compress(b"\0" * 5_000)
    body = struct.pack(">BI", 1, len(packed)) + packed
    headers = {b"content-type": b"application/grpc", b"grpc-encoding": b"gzip"}
    reply = app.reply(Request("POST", "/inference.GRPCInferenceService/ModelInfer", b"", headers, body))
    assert isinstance(reply, Response)
    assert (told(reply)["grpc-status"], told(reply)["x-heliostat-status"]) == ("8", "413")
    refused = app.too_large(Request("POST", "/", b"", headers), 5_000)
    assert told(refused)["grpc-status"] == str(int(calls.Status.RESOURCE_EXHAUSTED))


def test_an_interface_of_rest_answers_for_the_server_and_for_no_model() -> None:
    app = application(contract(), Log(), Interface.REST)
    assert call(app, "/inference.GRPCInferenceService/ServerLive", b"").trailers
    assert told(Own(contract(), app)(ROW))["grpc-status"] == "12"
    assert told(call(app, "/inference.GRPCInferenceService/ModelInfer", b""))["grpc-status"] == "12"


@pytest.mark.parametrize("path", ["/predict", "/v2/models/halves/infer"])
def test_an_interface_of_grpc_answers_no_prediction_over_http_but_replays_and_keeps_its_pages(path: str) -> None:
    app = application(contract(), Log(), Interface.GRPC)

    def asked(method: str, path: str, headers: dict[bytes, bytes]) -> int:
        reply = app.reply(Request(method, path, b"", headers, json.dumps(ROW).encode()))
        return (reply if isinstance(reply, Response) else reply()).status

    assert asked("POST", path, {}) == 400
    assert asked("POST", "/predict", {b"x-heliostat-replay": b"1"}) == 200
    assert asked("GET", "/healthz", {}) == asked("GET", "/openapi.json", {}) == asked("GET", "/v2/health/ready", {}) == 200


def test_a_replay_by_a_call_leaves_no_trace() -> None:
    log, made = Log(), contract()
    response = Own(made, application(made, log))(ROW, x_heliostat_replay="1")
    assert "x-heliostat-milliseconds" in told(response)
    assert not log.entries


def test_an_unexpected_failure_is_told_by_its_kind_alone() -> None:
    made = contract(predictor=Halves)
    found = told(Own(made, application(made, Log()))({**ROW, "size": 13.0}))
    assert (found["grpc-status"], found["x-heliostat-status"]) == ("13", "500")
    assert "thirteen" not in found["grpc-message"]
    assert "x-request-id" in found
