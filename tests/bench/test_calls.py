"""The load of calls: what is sent, and what h2load says of it."""

from __future__ import annotations

import struct

import pytest

from bench import calls
from bench.commands import MeasurementError
from heliostat.serving.grpc import messages

REQUEST = {
    "inputs": [
        {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]},
        {"name": "distance_miles", "shape": [1], "datatype": "FP64", "data": [1400.0]},
    ]
}
SAID = """\
finished in 4.00s, 1234.50 req/s, 100KB/s
requests: 4938 total, 4946 started, 4938 done, 4930 succeeded, 8 failed, 3 errored, 1 timeout
status codes: 4930 2xx, 0 3xx, 5 4xx, 0 5xx
                     min         max         mean         sd        +/- sd
time for request:      900us     15.20ms      1.90ms       400us    70.00%
"""


def test_a_call_asks_for_what_the_request_in_json_asks_for(tmp_path) -> None:
    body = calls.Caller.of(REQUEST, tmp_path).body.read_bytes()
    assert struct.unpack_from(">BI", body) == (0, len(body) - 5)
    found = messages.ModelInferRequest.FromString(body[5:])
    assert (found.model_name, found.inputs[0].contents.bytes_contents[0]) == ("flights", b"UA")
    assert found.inputs[1].contents.fp64_contents[0] == 1400.0


def test_what_h2load_says_is_read() -> None:
    load = calls.parse(SAID, 4)
    assert (load.requests, load.read, load.status, load.timeout, load.failed) == (4930, 3, 5, 1, 9)
    assert (load.p50_ms, load.max_ms) == (1.9, 15.2)


def test_what_is_no_result_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="printed no result"):
        calls.parse("h2load: command not found", 4)
