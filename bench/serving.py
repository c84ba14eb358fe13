"""Requests a second through the stack's public address, against what else could stand there.

Every contender serves the same model with the same contract and as many workers as the stack has replicas, on this machine,
and is measured in turn with the stack, which goes on running beside it.

In the two rows of Ray Serve the contender is the stack's own application (`bench.serve_app:build`, with the same arguments),
deployed as Serve's documentation says on a cluster with Serve's defaults. Only the way in, Serve's own handling of a request
and Serve's settings differ, which is what these rows ask about; an application of another make would mix in how fast that is,
which is what the row of FastAPI asks about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench import baselines, payloads
from bench.commands import MeasurementError
from bench.loadgen import NOTE, Generator, Load
from bench.numbers import alternate, paired_ratio
from bench.rows import BY_NAME, Result
from bench.session import Session

_ROUNDS = 4
_SECONDS = 6
_WARM_UP_S = 3

Contender = Callable[[Session], AbstractContextManager[str]]


@dataclass(frozen=True)
class Side:
    """Where one side predicts, and what it is asked."""

    url: str
    load: Generator


def ray_haproxy(session: Session) -> Iterable[Result]:
    """Serve with RAY_SERVE_ENABLE_HA_PROXY=1 and no other setting, called directly."""
    yield against(session, "serving/ray-haproxy", baselines.ray_haproxy, session.rows)


def ray_proxy(session: Session) -> Iterable[Result]:
    """Serve as it comes: its proxy in Python."""
    yield against(session, "serving/ray-proxy", baselines.ray_proxy, session.rows)


def fastapi(session: Session) -> Iterable[Result]:
    """`bench.fastapi_app` behind uvicorn."""
    yield against(session, "serving/fastapi", baselines.fastapi, session.rows)


def mlflow(session: Session) -> Iterable[Result]:
    """The run's model behind MLflow's own server, which takes the same rows in its own envelope."""
    bodies = [{"dataframe_records": [row]} for row in payloads.flights()]
    generator = Generator.of(bodies, session.folder / "load", "mlflow")
    yield against(session, "serving/mlflow", baselines.mlflow, generator)


def against(session: Session, name: str, contender: Contender, generator: Generator, side: Side | None = None) -> Result:
    """The row `name`: this stack's application, or what `side` says, against a contender that `generator` asks.

    Raises:
        MeasurementError: a request failed.
    """
    with contender(session) as theirs:
        return compared(session, name, theirs, generator, side)


def compared(
    session: Session, name: str, theirs: str, generator: Generator, side: Side | None = None, rounds: int = _ROUNDS
) -> Result:
    """The same of what answers at the URL `theirs`, in turns."""
    own = side or Side(session.stack.predict_url, session.rows)
    _loaded(own.load, own.url, _WARM_UP_S)
    _loaded(generator, theirs, _WARM_UP_S)
    loads: dict[str, list[Load]] = {"ours": [], "theirs": []}

    def measured(side: str, load: Generator, url: str) -> float:
        loads[side].append(_loaded(load, url, _SECONDS))
        return loads[side][-1].rate

    first, second = alternate(
        lambda: measured("ours", own.load, own.url), lambda: measured("theirs", generator, theirs), rounds
    )
    shown = ", ".join(f"{one:,.0f} ÷ {other:,.0f}" for one, other in zip(first, second, strict=True))
    session.tell(f"requests/s: {shown}")
    figures = {side: [load.figures() for load in seen] for side, seen in loads.items()}
    return BY_NAME[name].result(paired_ratio(first, second), generator=NOTE, **figures)


def _loaded(generator: Generator, url: str, seconds: float) -> Load:
    """One measurement; it counts only where nothing failed.

    Raises:
        MeasurementError: a request failed.
    """
    load = generator.load(url, seconds)
    if load.failed or not load.requests:
        raise MeasurementError(f"{load.failed} of {load.requests} requests to {url} failed: {load}")
    return load
