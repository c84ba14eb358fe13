"""The load of calls: h2load, which is to HTTP/2 what wrk is to HTTP/1.1, with one call over and over."""

from __future__ import annotations

import re
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.commands import MeasurementError, run, tail
from bench.loadgen import CONNECTIONS, Load
from heliostat.serving.grpc import messages

NOTE: Final = f"h2load, {CONNECTIONS} connections with a call at a time each, one thread, on the cores that also serve"
_METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
_FINISHED: Final = re.compile(r"finished in ([\d.]+)(us|ms|s), ")
_REQUESTS: Final = re.compile(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")
_TIMES: Final = re.compile(r"time for request: +([\d.]+)(us|ms|s) +([\d.]+)(us|ms|s) +([\d.]+)(us|ms|s)")
_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Caller:
    """One call, ready to be sent."""

    body: Path

    @classmethod
    def of(cls, request: dict[str, Any], folder: Path) -> Caller:
        """Asks for what a request of the protocol in JSON asks for."""
        message = message_of(request)
        folder.mkdir(parents=True, exist_ok=True)
        body = folder / "call.bin"
        body.write_bytes(struct.pack(">BI", 0, len(message)) + message)
        return cls(body)

    def load(self, url: str, seconds: float) -> Load:
        """What `seconds` of load show.

        Raises:
            MeasurementError: h2load is not installed, or failed.
        """
        found = shutil.which("h2load")
        if not found:
            raise MeasurementError("the load generator h2load is not on PATH: install it (Debian and Ubuntu: nghttp2-client)")
        ran = run(
            [found, "-t1", f"-c{CONNECTIONS}", "-m1", f"-D{round(seconds)}", "-d", str(self.body), "-H", "te: trailers",
             "-H", "content-type: application/grpc", f"{url}{_METHOD}"],
            self.body.parent, seconds=seconds + 60,
        )  # fmt: skip
        return parse(ran.output, seconds)


def message_of(request: dict[str, Any]) -> bytes:
    """A request of the protocol in JSON as its message."""
    inputs = []
    for tensor in request["inputs"]:
        texts = tensor["datatype"] == "BYTES"
        values = [value.encode() for value in tensor["data"]] if texts else tensor["data"]
        contents = {"bytes_contents" if texts else "fp64_contents": values}
        inputs.append({**{name: tensor[name] for name in ("name", "datatype", "shape")}, "contents": contents})
    found: bytes = messages.ModelInferRequest(model_name="flights", inputs=inputs).SerializeToString()
    return found


def require_answer(ours: str, theirs: str, request: dict[str, Any]) -> None:
    """See that both answer a call: h2load knows no status of gRPC.

    Raises:
        MeasurementError: one fails.
    """
    import grpc

    for target in (ours, theirs):
        with grpc.insecure_channel(target) as channel:
            try:
                channel.unary_unary(_METHOD, bytes, bytes)(message_of(request), timeout=30, wait_for_ready=True)
            except grpc.RpcError as error:
                raise MeasurementError(f"{target} does not answer a call: {error}") from None


def parse(output: str, seconds: float) -> Load:
    """What h2load says at its end. A call that failed has status 200 as well (`require_answer`).

    Raises:
        MeasurementError: it said nothing of the kind.
    """
    counts, times = _REQUESTS.search(output), _TIMES.search(output)
    if not counts or not times:
        raise MeasurementError(f"h2load printed no result:\n{tail(output)}")
    _total, good, failed, errored, timeout = map(int, counts.groups())
    low, high, mean = (float(times[at]) * _MS[times[at + 1]] for at in (1, 3, 5))
    return Load(
        requests=good, seconds=seconds, connect=0, read=errored, write=0, timeout=timeout, status=failed - errored,
        p50_ms=mean, p90_ms=high, p99_ms=high, max_ms=max(low, high),
    )  # fmt: skip
