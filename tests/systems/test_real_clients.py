"""Clients that others wrote, through the real HAProxy to replicas' own connections.

tritonclient is for development alone, and MLServer has an environment of its own, which the bench makes (`bench.mlserver`) or
HELIOSTAT_MLSERVER_PYTHON names: without them their tests are skipped, and say so.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_replica import RealReplica
from serving_fakes import ROW
from traffic_plane import serving

from bench.mlserver import VERSION
from heliostat.systems.haproxy_config import Plane, Route

SIZES = np.array([0.1, 3.0, 1e-300])
EXPECTED = SIZES / 2


@pytest.fixture
async def replica(plane: Plane) -> AsyncIterator[RealReplica]:
    made = await RealReplica("1-b").start()
    async with serving(plane, Route("flights", 0, (made.endpoint,))):
        yield made
    made.kill()


def tritons(kind: str) -> Any:
    return pytest.importorskip(f"tritonclient.{kind}", reason="tritonclient is not installed", exc_type=ImportError)


def inputs(client: Any, binary: bool | None = None) -> list[Any]:
    """Three rows; `binary`: as HTTP has the choice."""
    columns = {"kind": np.array(["a"] * 3, object), "size": SIZES, "when": np.array([ROW["when"]] * 3, object)}
    found = []
    for name, values in columns.items():
        tensor = client.InferInput(name, [3], "FP64" if name == "size" else "BYTES")
        tensor.set_data_from_numpy(values, **({} if binary is None else {"binary_data": binary}))
        found.append(tensor)
    return found


async def test_tritonclient_over_http_asks_in_binary_and_in_json(replica: RealReplica, plane: Plane) -> None:
    client = tritons("http")

    def asks() -> None:
        for url in (f"127.0.0.1:{plane.public_port}", f"127.0.0.1:{plane.public_port}/flights"):
            with client.InferenceServerClient(url) as asking:
                assert asking.is_server_live()
                assert asking.is_server_ready()
                assert asking.is_model_ready("flights")
                assert asking.is_model_ready("flights", "1-b")
                assert not asking.is_model_ready("others")
                assert asking.get_server_metadata()["name"] == "heliostat"
                assert asking.get_model_metadata("flights")["inputs"][1]["datatype"] == "FP64"
                for binary in (True, False):
                    for outputs in (None, [client.InferRequestedOutput("score", binary_data=not binary)]):
                        found = asking.infer("flights", inputs(client, binary), outputs=outputs, request_id="mine")
                        assert found.as_numpy("score").tobytes() == EXPECTED.tobytes()
                        assert found.get_response()["id"] == "mine"
                packed = asking.infer("flights", inputs(client, True), request_compression_algorithm="gzip")
                assert packed.as_numpy("score").tobytes() == EXPECTED.tobytes()

    await asyncio.to_thread(asks)
    assert replica.log.entries[0][0] == b"mine"


async def test_tritonclient_over_http_hears_what_does_not_fit(replica: RealReplica, plane: Plane) -> None:
    client = tritons("http")

    def asks() -> str:
        with client.InferenceServerClient(f"127.0.0.1:{plane.public_port}") as asking:
            given = inputs(client, True)
            given[1].set_data_from_numpy(np.array([1.0, -1.0, 2.0]))
            with pytest.raises(client.InferenceServerException) as refused:
                asking.infer("flights", given)
            return str(refused.value)

    assert "inputs.size.data.1: Input should be greater than 0" in await asyncio.to_thread(asks)


async def test_tritonclient_over_grpc_asks_for_all_that_there_is(replica: RealReplica, plane: Plane) -> None:
    client = tritons("grpc")

    def asks() -> str:
        with client.InferenceServerClient(f"127.0.0.1:{plane.public_port}") as asking:
            assert asking.is_server_live()
            assert asking.is_server_ready()
            assert asking.is_model_ready("flights")
            assert asking.get_model_metadata("flights").inputs[1].datatype == "FP64"
            found = asking.infer("flights", inputs(client), request_id="mine", model_version="1")
            assert found.as_numpy("score").tobytes() == EXPECTED.tobytes()
            given = inputs(client)
            given[1].set_data_from_numpy(np.array([1.0, -1.0, 2.0]))
            with pytest.raises(client.InferenceServerException) as refused:
                asking.infer("flights", given)
            return str(refused.value)

    assert "inputs.size.data.1: Input should be greater than 0" in await asyncio.to_thread(asks)


MLSERVER = Path(
    os.environ.get("HELIOSTAT_MLSERVER_PYTHON")
    or Path(__file__).parents[2] / ".heliostat" / "bench" / f"mlserver-{VERSION}" / "bin" / "python"
)
_ENCODED_BY_MLSERVER = """
import json, sys, urllib.request
import numpy as np
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
url, when = sys.argv[1:]
sizes = np.array([0.1, 3.0, 1e-300])
request = InferenceRequest(inputs=[
    StringCodec.encode_input("kind", ["a"] * 3), NumpyCodec.encode_input("size", sizes),
    StringCodec.encode_input("when", [when] * 3),
])
asked = urllib.request.Request(url, request.model_dump_json().encode(), {"content-type": "application/json"})
answer = InferenceResponse.model_validate_json(urllib.request.urlopen(asked).read())
scores = NumpyCodec.decode_output(answer.outputs[0])
assert (answer.model_name, scores.ravel().tobytes()) == ("flights", (sizes / 2).tobytes()), answer
"""


@pytest.mark.skipif(not MLSERVER.exists(), reason="MLServer's own environment is not there")
async def test_mlservers_codecs_write_what_is_asked_and_read_what_is_answered(replica: RealReplica, plane: Plane) -> None:
    url = f"http://127.0.0.1:{plane.public_port}/v2/models/flights/infer"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    asking = await asyncio.create_subprocess_exec(
        MLSERVER, "-c", _ENCODED_BY_MLSERVER, url, ROW["when"], env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, error = await asking.communicate()
    assert asking.returncode == 0, error.decode()


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl on the PATH")
async def test_curl_asks_with_nothing_but_a_body(replica: RealReplica, plane: Plane) -> None:
    tensors = [
        {"name": "kind", "shape": [1, 1], "datatype": "BYTES", "data": [["a"]]},
        {"name": "size", "shape": [1, 1], "datatype": "FP32", "data": [[3]]},
        {"name": "when", "shape": [1, 1], "datatype": "BYTES", "data": [[ROW["when"]]]},
    ]
    url = f"http://127.0.0.1:{plane.public_port}/v2/models/flights/infer"
    command = ["curl", "-sS", url, "-H", "content-type: application/json", "-d", json.dumps({"inputs": tensors})]
    asking = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await asking.communicate()
    assert json.loads(told)["outputs"] == [{"name": "score", "datatype": "FP64", "shape": [1], "data": [1.5]}]
