"""Predictions by the Open Inference Protocol, over HTTP and gRPC, against MLServer with as many workers.

MLServer cannot share an environment with Ray Serve (it needs FastAPI below 0.116), so the bench makes it one of its own, once,
in `.heliostat/bench`. Both sides get the same tensors of one row, and answer with the same model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench import calls, environments, payloads
from bench.commands import MeasurementError
from bench.loadgen import NOTE, Generator, Load
from bench.numbers import alternate, paired_ratio
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session, answers
from heliostat.serving import model_cache
from heliostat.systems import ports
from heliostat.systems.processes import Service

VERSION: Final = "1.7.1"
_PACKAGES: Final = (f"mlserver=={VERSION}", "lightgbm>=4.6,<5", "uvloop<0.22")
"""Its workers ask for an event loop where there is none yet, which a newer uvloop refuses."""
_ROUNDS: Final = 4
_SECONDS: Final = 6
_WARM_UP_S: Final = 3


def mlserver(session: Session) -> Iterable[Result]:
    """MLServer with a runtime of its own for the model that serves (`bench.mlserver_model`)."""
    session.stack.workspace.edit("workloads", _with_grpc)
    session.stack.workspace.up()
    model = session.stack.outputs["flights"]["modelUri"]
    folder = model_cache.fetch(model, session.stack.outputs["platform"]["trackingUri"])
    with serving(session, folder, session.stack.replicas) as (http, grpc):
        url = f"{session.stack.application}/v2/models/flights/infer"
        address = session.stack.application.partition("//")[2].partition("/")[0]
        generator = Generator.of([tensors(row) for row in payloads.flights()], session.folder / "load", "tensors")
        yield _against(session, "serving/mlserver", generator.load, url, f"{http}/v2/models/flights/infer")
        calls.require_answer(address, grpc.partition("//")[2], tensors(payloads.flights()[0]))
        caller = calls.Caller.of(tensors(payloads.flights()[0]), session.folder / "load")
        yield _against(session, "serving/mlserver-grpc", caller.load, f"http://{address}", grpc)


def _with_grpc(workloads: Any) -> None:
    workloads["flights"].setdefault("serving", {})["interface"] = "both"


def tensors(row: dict[str, Any]) -> dict[str, Any]:
    """A row as a request of the protocol."""
    return {
        "inputs": [
            {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
            for name, value in row.items()
        ]
    }


@contextmanager
def serving(session: Session, model: Path, workers: int) -> Iterator[tuple[str, str]]:
    """MLServer with the model in a folder; yields where it answers over HTTP and over gRPC."""
    folder = session.folder / "mlserver"
    folder.mkdir()
    http, grpc, metrics = (ports.claim(folder, name) for name in ("http", "grpc", "metrics"))
    listening = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    named = {"name": "flights", "implementation": "bench.mlserver_model.Flights", "parameters": {"uri": str(model)}}
    (folder / "settings.json").write_text(json.dumps({**listening, "parallel_workers": workers, "debug": False}))
    (folder / "model-settings.json").write_text(json.dumps(named))
    binaries = environments.binaries(f"mlserver-{VERSION}", _PACKAGES)
    argv = (str(binaries / "mlserver"), "start", str(folder))
    url = f"http://127.0.0.1:{http}"

    def predicts() -> bool:
        return answers(f"{url}/v2/models/flights/infer", tensors(payloads.flights()[0]), "late_probability")

    with session.serving(Service(folder, "mlserver", argv, {"PYTHONPATH": str(SOURCE)}), predicts, seconds=180):
        yield url, f"http://127.0.0.1:{grpc}"


def _against(session: Session, name: str, load: Any, ours: str, theirs: str) -> Result:
    for url in (ours, theirs):
        _loaded(load, url, _WARM_UP_S)
    seen: dict[str, list[Load]] = {"ours": [], "theirs": []}

    def measured(side: str, url: str) -> float:
        seen[side].append(_loaded(load, url, _SECONDS))
        return seen[side][-1].rate

    first, second = alternate(lambda: measured("ours", ours), lambda: measured("theirs", theirs), _ROUNDS)
    shown = ", ".join(f"{one:,.0f} ÷ {other:,.0f}" for one, other in zip(first, second, strict=True))
    session.tell(f"requests/s: {shown}")
    figures = {side: [each.figures() for each in loads] for side, loads in seen.items()}
    note = NOTE if name == "serving/mlserver" else calls.NOTE
    return BY_NAME[name].result(paired_ratio(first, second), generator=note, **figures)


def _loaded(load: Any, url: str, seconds: float) -> Load:
    found: Load = load(url, seconds)
    if found.failed or not found.requests:
        raise MeasurementError(f"{found.failed} of {found.requests} requests to {url} failed: {found}")
    return found
