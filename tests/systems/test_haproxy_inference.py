"""The Open Inference Protocol through the real HAProxy to replicas' own connections: over gRPC, and by paths of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import httpx
import psutil
import pytest
from real_replica import RealReplica
from serving_fakes import ROW, contract
from traffic_plane import predictions, serving, until

from heliostat.serving.grpc import messages
from heliostat.serving.grpc.client import called
from heliostat.serving.grpc.definition import define, descriptor_of
from heliostat.serving.grpc.messages import classes_of
from heliostat.systems import haproxy
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.haproxy_config import Plane, Route, render
from heliostat.testing.asking import answers_by_calls, ask

INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture
async def stack(plane: Plane) -> AsyncIterator[dict[str, RealReplica]]:
    """Two colours of flights, and an application whose name has a dash."""
    found = {
        "blue": RealReplica("1-b"),
        "green": RealReplica("2-g", colour="green"),
        "more": RealReplica("3-m", "more-halves"),
    }
    for replica in found.values():
        await replica.start()
    async with serving(plane, *routes(found)):
        yield found
    for replica in found.values():
        replica.kill()


def routes(found: dict[str, RealReplica], share: int = 0) -> tuple[Route, ...]:
    return (
        Route("flights", share, (found["blue"].endpoint,), (found["green"].endpoint,)),
        Route("more-halves", 0, (found["more"].endpoint,)),
    )


@pytest.fixture
async def channel(plane: Plane) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{plane.public_port}") as found:
        yield found


def asked(name: str = "flights", size: float = 4.0, **changes: Any) -> bytes:
    inputs = [
        {"name": "kind", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [b"a"]}},
        {"name": "size", "datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [size]}},
        {"name": "when", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [ROW["when"].encode()]}},
    ]
    return messages.ModelInferRequest(model_name=name, inputs=inputs, **changes).SerializeToString()


async def call(channel: grpc.aio.Channel, method: str, message: bytes = b"", **more: Any) -> bytes:
    found: bytes = await channel.unary_unary(method)(message, timeout=10, **more)
    return found


async def refused(channel: grpc.aio.Channel, method: str, message: bytes = b"", **more: Any) -> tuple[Any, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(channel, method, message, **more)
    return error.value.code(), error.value.details() or ""


async def infer(channel: grpc.aio.Channel, name: str = "flights", **changes: Any) -> Any:
    return messages.ModelInferResponse.FromString(await call(channel, INFER, asked(name, **changes)))


@pytest.mark.parametrize(("name", "label"), [("flights", "1-b"), ("more-halves", "3-m")])
async def test_a_call_reaches_the_model_that_it_names_and_is_answered_raw(stack, channel, name, label):
    answer = await infer(channel, name, id="mine")
    assert (answer.model_name, answer.model_version, answer.id) == (name, label, "mine")
    assert [(each.name, each.datatype, list(each.shape)) for each in answer.outputs] == [("score", "FP64", [1])]
    assert list(answer.raw_output_contents) == [b"\0\0\0\0\0\0\0@"]
    assert not answer.outputs[0].HasField("contents")


async def test_all_methods_of_the_service_are_answered(stack, channel):
    service = "/inference.GRPCInferenceService"
    assert messages.ServerLiveResponse.FromString(await call(channel, f"{service}/ServerLive")).live
    assert messages.ServerReadyResponse.FromString(await call(channel, f"{service}/ServerReady")).ready
    assert messages.ServerMetadataResponse.FromString(await call(channel, f"{service}/ServerMetadata")).name == "heliostat"
    model = messages.ModelReadyRequest(name="more-halves").SerializeToString()
    assert messages.ModelReadyResponse.FromString(await call(channel, f"{service}/ModelReady", model)).ready
    told = messages.ModelMetadataResponse.FromString(await call(channel, f"{service}/ModelMetadata", model))
    assert (told.name, list(told.versions), told.inputs[1].datatype) == ("more-halves", ["3-m"], "FP64")
    health = messages.HealthCheckRequest(service="more-halves").SerializeToString()
    answer = messages.HealthCheckResponse.FromString(await call(channel, "/grpc.health.v1.Health/Check", health))
    assert answer.status == messages.SERVING


async def test_the_contracts_own_service_is_found_by_its_package(stack, channel):
    definition = define(contract(), "more-halves")
    of = classes_of(descriptor_of(definition), definition.package)
    request = of("PredictRequest")(rows=[{**ROW, "size": size} for size in (1.0, 0.3)])
    answer = await call(channel, "/heliostat.more_halves.Predictor/Predict", request.SerializeToString())
    assert [row.score for row in of("PredictResponse").FromString(answer).rows] == [0.5, 0.15]


async def test_metadata_name_the_application_where_the_message_is_compressed(stack, channel):
    more: dict[str, Any] = {"compression": grpc.Compression.Gzip}
    code, _ = await refused(channel, INFER, asked("more-halves") + b"\x1a\x80\x01" + b"x" * 128, **more)
    assert code is grpc.StatusCode.NOT_FOUND, "it went to the first application"
    metadata = {"metadata": (("heliostat-application", "more-halves"),)}
    message = asked("more-halves") + b"\x1a\x80\x01" + b"x" * 128
    assert (
        messages.ModelInferResponse.FromString(await call(channel, INFER, message, **more, **metadata)).model_version == "3-m"
    )


FAILING = (
    (INFER, asked("nobody"), grpc.StatusCode.UNIMPLEMENTED, ""),
    (INFER, asked(size=-1.0), grpc.StatusCode.INVALID_ARGUMENT, "inputs.size.data.0: Input should be greater than 0"),
    (INFER, asked(size=13.0), grpc.StatusCode.INTERNAL, "ZeroDivisionError"),
    (INFER, asked(model_version="9"), grpc.StatusCode.NOT_FOUND, "in version '1-b'"),
    (INFER, b"\xff", grpc.StatusCode.INVALID_ARGUMENT, "cannot be read"),
    ("/inference.GRPCInferenceService/ModelStreamInfer", b"", grpc.StatusCode.UNIMPLEMENTED, "no method"),
    ("/heliostat.flights.Predictor/Other", b"", grpc.StatusCode.UNIMPLEMENTED, "no method"),
    ("/heliostat.flights.Predictor/Predict", b"", grpc.StatusCode.INVALID_ARGUMENT, "no rows"),
    ("/heliostat.flights.Predictor/Predict", b"\xff", grpc.StatusCode.INVALID_ARGUMENT, "cannot be read"),
    ("/heliostat.nobody.Predictor/Predict", b"", grpc.StatusCode.UNIMPLEMENTED, ""),
    ("/heliostat.flights.x/-/golden", b"", grpc.StatusCode.UNIMPLEMENTED, ""),
)  # fmt: skip


async def test_a_call_that_fails_has_its_code_and_a_text(stack, channel):
    for method, message, code, told in FAILING:
        found, text = await refused(channel, method, message)
        assert found is code, (method, text)
        assert told in text


async def test_calls_are_counted_as_requests_are_by_what_became_of_them(stack, channel, plane):
    for _ in range(3):
        await infer(channel)
    await call(channel, "/inference.GRPCInferenceService/ServerLive")
    for size in (-1.0, 13.0, 13.0):
        await refused(channel, INFER, asked(size=size))
    await refused(channel, INFER, asked(model_version="9"))
    found = predictions(await until(plane, lambda seen: predictions(seen)["flights-blue"].failed == 2))["flights-blue"]
    assert (found.requests, found.failed, found.rejected) == (5, 2, 2)
    assert sum(found.latencies) == 3


async def test_calls_follow_a_share_that_moves_without_a_reload(stack, channel, plane):
    assert {(await infer(channel)).model_version for _ in range(5)} == {"1-b"}
    await haproxy.set_share(plane, "flights", 10_000)
    assert {(await infer(channel)).model_version for _ in range(5)} == {"2-g"}
    await haproxy.set_share(plane, "flights", 5_000)
    assert {(await infer(channel)).model_version for _ in range(40)} == {"1-b", "2-g"}


def workers(plane: Plane) -> list[int]:
    """HAProxy's processes: the master, and its workers of before and after a reload."""
    named = ((each.pid, " ".join(each.info["cmdline"] or [])) for each in psutil.process_iter(["cmdline"]))
    return [pid for pid, command in named if str(plane.config_file) in command]


async def test_no_call_is_lost_while_haproxy_is_reloaded_and_channels_leave_the_worker_of_before(stack, plane):
    answers: asyncio.Queue[str] = asyncio.Queue()
    going = True

    async def on_and_on() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{plane.public_port}") as own:
            while going:
                answers.put_nowait((await infer(own)).model_version)

    async def more(count: int) -> None:
        for _ in range(count):
            await answers.get()

    asking = [asyncio.create_task(on_and_on()) for _ in range(4)]
    async with asyncio.timeout(60):
        await more(50)
        for share in (5_000, 2_500, 5_000):
            haproxy.write(plane, routes(stack, share))
            await haproxy.reload(plane)
            await more(50)
        while len(workers(plane)) > 2:
            await more(20)
        going = False
        await asyncio.gather(*asking)


async def test_a_call_is_tried_again_where_its_replica_died(stack, channel, plane):
    second = await RealReplica("1-b2").start()
    both = Route("flights", 0, (stack["blue"].endpoint, second.endpoint), ())
    haproxy.write(plane, (both,))
    await haproxy.reload(plane)
    await until(plane, lambda seen: len([s for s in seen.backends.get("flights-blue", {}).values() if s.answers]) == 2)
    await infer(channel)
    stack["blue"].kill()
    for _ in range(6):
        assert (await infer(channel)).model_version in ("1-b", "1-b2")
    second.kill()


@pytest.mark.parametrize("path", ["/flights/v2", "/v2"])
async def test_the_protocol_over_http_is_asked_with_and_without_a_prefix(stack, plane, path):
    body = {
        "inputs": [
            {"name": "kind", "datatype": "BYTES", "shape": [1], "data": ["a"]},
            {"name": "size", "datatype": "FP64", "shape": [1], "data": [4]},
            {"name": "when", "datatype": "BYTES", "shape": [1], "data": [ROW["when"]]},
        ]
    }
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{plane.public_port}") as http:
        for way in (f"{path}/models/flights", f"{path}/models/flights/versions/1"):
            answer = await http.post(f"{way}/infer", json=body)
            assert answer.json()["outputs"][0]["data"] == [2.0]
        assert (await http.get(f"{path}/models/flights/ready")).json()["ready"]
        assert (await http.get(f"{path}/health/live")).json() == {"live": True}
        assert (await http.get(path)).json()["name"] == "heliostat"
        assert (await http.post(f"{path}/models/flights/versions/7/infer", json=body)).status_code == 400
        assert (await http.post(f"{path}/models/flights/infer", json={})).status_code == 422
    found = predictions(await until(plane, lambda seen: predictions(seen)["flights-blue"].rejected == 2))["flights-blue"]
    assert (found.requests, found.failed) == (2, 0)


async def test_what_is_internal_cannot_be_reached_by_the_protocols_paths(stack, plane):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{plane.public_port}") as http:
        call = {"content-type": "application/grpc"}
        for path in ("/-/tap", "/flights/-/golden", "/heliostat.flights/%2d/golden", "/v2/models/flights/-/tap"):
            assert (await http.post(path, headers=call)).status_code == 404
            assert (await http.get(path)).status_code == 404


async def test_what_answers_calls_alone_is_asked_by_one_for_the_command_line(stack, plane):
    target = f"127.0.0.1:{plane.public_port}"
    async with httpx.AsyncClient(base_url=f"http://{target}") as http:
        openapi = (await http.get("/flights/openapi.json")).json()
    infer = openapi["paths"]["/flights/v2/models/flights/infer"]["post"]
    example = infer["requestBody"]["content"]["application/json"]["example"]
    assert await asyncio.to_thread(called, target, "flights", example, "x-heliostat-version") == ({"score": 2.0}, "1-b")
    with pytest.raises(PermanentError, match="UNIMPLEMENTED"):
        await asyncio.to_thread(called, target, "nobody", example, "x-heliostat-version")
    with pytest.raises(RetryableError, match="UNAVAILABLE"):
        await asyncio.to_thread(called, "127.0.0.1:1", "flights", example, "x-heliostat-version")


async def test_a_test_asks_by_the_interface_that_the_application_has(stack, plane):
    url = f"http://127.0.0.1:{plane.public_port}/flights"
    outputs = {"url": url, "openapiUrl": f"{url}/openapi.json"}
    by_call = await asyncio.to_thread(partial(ask, "flights", outputs, None, by_calls=True))
    over_http = await asyncio.to_thread(partial(ask, "flights", outputs, None, by_calls=False))
    assert by_call.json() == over_http.json() == {"score": 2.0}
    assert by_call.headers["x-heliostat-version"] == over_http.headers["x-heliostat-version"] == "1-b"
    with pytest.raises(ValueError, match="flights answers calls alone: ask it by the Open Inference Protocol"):
        await asyncio.to_thread(partial(ask, "flights", outputs, {"kind": "a"}, by_calls=True))


def test_which_interface_that_is_says_the_state():
    def exported(**inputs):
        one = {"type": "heliostat:index:Application", "inputs": inputs, "outputs": {"name": "flights"}}
        return {"deployment": {"resources": [one, {"type": "pulumi:pulumi:Stack"}]}}

    assert answers_by_calls("flights", exported(interface="grpc"))
    assert not answers_by_calls("flights", exported(interface="both"))
    assert not answers_by_calls("flights", exported())
    assert not answers_by_calls("birds", exported(interface="grpc"))
    assert not answers_by_calls("flights", {"deployment": None})


def test_an_application_may_be_called_as_the_protocols_paths_begin(plane: Plane) -> None:
    assert "path_beg /v2/models/" in render(plane, (Route("flights"),))
    assert "path_beg /v2/models/" not in render(plane, (Route("v2"),))


def test_without_an_application_there_is_none_to_go_to(plane: Plane) -> None:
    assert "str()" not in render(plane, ())
