"""Predictions by the workload's own JSON against BentoML, with as many workers, in an environment of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from bench import environments, payloads
from bench.loadgen import Generator
from bench.rows import Result
from bench.serving import against
from bench.session import SOURCE, Session, answers
from heliostat.serving import model_cache
from heliostat.systems import ports
from heliostat.systems.processes import Service

VERSION: Final = "1.4.40"
_PACKAGES: Final = (f"bentoml=={VERSION}", "lightgbm>=4.6,<5")
_SERVICE: Final = "bench.bentoml_service:Flights"


def bentoml(session: Session) -> Iterable[Result]:
    """BentoML's own server, whose requests name the argument that the row is."""
    generator = Generator.of([{"flight": row} for row in payloads.flights()], session.folder / "load", "bentoml")
    yield against(session, "serving/bentoml", serving, generator)


@contextmanager
def serving(session: Session) -> Iterator[str]:
    """`bench.bentoml_service` with the model that serves, a worker for each replica of the stack; yields where it predicts."""
    folder = session.folder / "bentoml"
    folder.mkdir()
    stack = session.stack
    model = model_cache.fetch(stack.outputs["flights"]["modelUri"], stack.outputs["platform"]["trackingUri"])
    port = ports.claim(folder, "http")
    program = str(environments.binaries(f"bentoml-{VERSION}", _PACKAGES) / "bentoml")
    variables = {
        "PYTHONPATH": str(SOURCE),
        "BENTOML_HOME": str(folder),
        "BENTOML_DO_NOT_TRACK": "True",
        "HELIOSTAT_BENCH_MODEL": str(model),
        "HELIOSTAT_BENCH_WORKERS": str(stack.replicas),
    }
    argv = (program, "serve", _SERVICE, "--host", "127.0.0.1", "--port", str(port))
    url = f"http://127.0.0.1:{port}/predict"

    def predicts() -> bool:
        return answers(url, {"flight": payloads.flights()[0]}, "late_probability")

    with session.serving(Service(folder, "bentoml", argv, variables), predicts, seconds=180):
        yield url
