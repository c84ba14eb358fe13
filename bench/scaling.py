"""Strong scaling of the digits training: the same steps of the same batches, by one worker and by two of a thread each."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from bench.commands import MeasurementError
from bench.numbers import alternate, paired_ratio
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session

_ROUNDS = 3
_EPOCHS = 40
_SECONDS = 600


def digits(session: Session) -> Iterable[Result]:
    """One worker ÷ two, in turns; the two have to end with the metrics of the one."""
    row = BY_NAME["training/digits"]
    if importlib.util.find_spec("jax") is None:
        yield row.failure("JAX is not installed: install heliostat[jax]")
        return
    accuracies: list[float] = []

    def by(workers: int) -> float:
        found = trained(workers, _EPOCHS)
        accuracies.append(found["metrics"]["accuracy"])
        session.tell(f"digits by {workers}: {found['seconds']:.1f} s")
        return float(found["seconds"])

    one, two = alternate(lambda: by(1), lambda: by(2), _ROUNDS)
    value, figures = paired_ratio(one, two), {"one_seconds": one, "two_seconds": two, "accuracies": accuracies}
    if max(accuracies) - min(accuracies) > 0.02:
        yield row.failure("the models of one worker and of two differ", value, **figures)
    else:
        yield row.result(value, **figures)


def trained(workers: int, epochs: int) -> dict[str, Any]:
    """What the first of so many workers tells.

    Raises:
        MeasurementError: one of them failed.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    started = [
        subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "bench.digits_worker", str(rank), str(workers), address, str(epochs)],
            cwd=SOURCE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(workers)
    ]
    try:
        said = [each.communicate(timeout=_SECONDS) for each in started]
    finally:
        for each in started:
            each.kill()
    for each, (_, errors) in zip(started, said, strict=True):
        if each.returncode:
            raise MeasurementError(f"a worker of digits ended with {each.returncode}:\n{errors[-2000:]}")
    found: dict[str, Any] = json.loads(said[0][0].splitlines()[-1])
    return found
