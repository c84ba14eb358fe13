"""What it costs a request that its answer is logged, its personal fields treated, and the application watched.

The same model serves twice beside the stack's own application, with as many replicas each: once logged in full, with a hashed
and a truncated field, and a monitor; once with nothing of it. A look of the monitor is a job beside the path, hours apart:
what a machine that it shares with replicas answers meanwhile is told with the figures, and not judged.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.commands import MeasurementError
from bench.rows import Result
from bench.serving import Side, compared
from bench.session import Session

_WATCHED, _BARE = "watched", "unwatched"
_ROUNDS = 50
"""Of the training: a model of the usual kind, sooner."""
_NEVER = "0 0 1 1 *"
"""A schedule that is not due while anything is measured."""
_ROLL_SECONDS = 30
"""How often each replica's log is stored: under this load a file of the default size is full after two minutes."""
_SECONDS = 2
_TURNS = 12
"""A difference of some per cent is less than one turn differs from the next on a machine that others share."""
_FIELDS = {
    "destination: Destination": "destination: Annotated[Destination, hashed()]",
    "distance_miles: Annotated[float,": "distance_miles: Annotated[float, truncated(step=100),",
}


def path(session: Session) -> Iterable[Result]:
    """Requests a second of both, in turns."""
    workspace, replicas = session.stack.workspace, session.stack.replicas
    key = session.folder / "personal-key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    for name in (_WATCHED, _BARE):
        _copy(workspace.root / "workloads", name)
    _mark(workspace.root / "workloads" / _WATCHED / "contract.py")
    workspace.edit("workloads", lambda found: found.update({_WATCHED: _watched(replicas, key), _BARE: _bare(replicas)}))
    session.tell("bringing up the same model twice")
    workspace.up()
    outputs = workspace.outputs()
    ours = Side(f"{outputs[_WATCHED]['url']}/predict", session.rows)
    theirs = f"{outputs[_BARE]['url']}/predict"
    result = compared(session, "monitoring/path", theirs, session.rows, ours, _TURNS)
    yield result.row.result(
        result.value or 0.0, **result.figures, requests_per_second_during_a_look=_during_look(session, ours)
    )


def _copy(workloads: Path, name: str) -> None:
    """Make a workload `name` of the flights."""
    shutil.copytree(workloads / "flights", workloads / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (workloads / name).glob("*.py"):
        file.write_text(file.read_text().replace("workloads.flights", f"workloads.{name}"))


def _mark(contract: Path) -> None:
    """Mark two fields as personal.

    Raises:
        MeasurementError: the contract has not got them any more.
    """
    text = contract.read_text()
    for field, marked in _FIELDS.items():
        if field not in text:
            raise MeasurementError(f"the contract of flights has no `{field}` any more")
        text = text.replace(field, marked)
    imported = "from heliostat.ml.contracts import"
    contract.write_text(text.replace(imported, f"from heliostat.ml.personal import hashed, truncated\n{imported}", 1))


def _watched(replicas: int, key: Path) -> dict[str, Any]:
    found = _bare(replicas)
    keys = [{"id": "k1", "secret": {"kind": "file", "path": str(key)}}]
    found["serving"] |= {"predictionLog": {"samplingRate": 1.0, "rollSeconds": _ROLL_SECONDS}, "privacy": {"keys": keys}}
    found["monitor"] = {
        "field": "late_probability",
        "windows": {"kind": "calendar", "every": "hour"},
        "schedule": _NEVER,
        "quality": [{"metric": "roc_auc", "margin": 0.03}],
        "drift": {},
        "predictionDrift": {},
        "recency": {"predictionsSeconds": 3600},
    }
    return found


def _bare(replicas: int) -> dict[str, Any]:
    serving = {"replicas": replicas, "cpusPerReplica": 0.1, "predictionLog": {"samplingRate": 0.0}}
    return {"training": {"parameters": {"rounds": _ROUNDS}}, "serving": serving}


def _during_look(session: Session, side: Side) -> list[float]:
    """Requests a second of what is watched while the monitor looks at what was logged, a figure every two seconds."""
    workspace = session.stack.workspace
    rates = []
    with ThreadPoolExecutor(1) as threads:
        look = threads.submit(workspace.heliostat, "monitor", "run", _WATCHED, "--stack", workspace.stack, seconds=600)
        while not look.done():
            rates.append(side.load.load(side.url, _SECONDS).rate)
    look.result()
    return rates
