"""Computes metrics of the workload's own, each in a process of its own, in a copy of the candidate's code.

    python -m heliostat.analysis.custom_metrics FUNCTION ARRAYS ANSWER

ARRAYS is a file of NumPy's with `labels`, `candidate` and, where they are compared, `serving`; ANSWER a Measurement.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from heliostat.analysis.custom_checks import process, tail
from heliostat.analysis.model_metrics import Metrics
from heliostat.spec.analysis import Measurement
from heliostat.spec.problem import CustomMetric

_SECONDS: Final = 60.0
"""How long one call of the function may take, twice where what serves is compared."""


async def measure(metrics: Metrics, metric: CustomMetric, code: Path) -> Measurement:
    """What the metric comes to on the rows that `metrics` has kept; a crash is no figure, and says so."""
    with tempfile.TemporaryDirectory(prefix="heliostat-metric-") as folder:
        arrays, answer = Path(folder, "arrays.npz"), Path(folder, "measurement.json")
        np.savez(arrays, **metrics.arrays())  # type: ignore[arg-type]  # its own arguments have no such names
        command = (sys.executable, "-m", "heliostat.analysis.custom_metrics", metric.function, str(arrays), str(answer))
        path = os.pathsep.join([str(code), *filter(None, [os.environ.get("PYTHONPATH")])])
        ended = await process(command, {"PYTHONPATH": path}, code, _SECONDS)
        return _answered(metric.function, answer, ended)


def _answered(function: str, answer: Path, ended: tuple[int, str, str] | Measurement) -> Measurement:
    if isinstance(ended, Measurement):
        return Measurement(text=f"{function}: {ended.text}")
    if answer.exists():
        return Measurement.model_validate_json(answer.read_bytes())
    status, _, error = ended
    return Measurement(text=f"{function} ended with {status}: {tail(error)}")


def main(function: str, arrays: str, answer: str) -> None:
    """Call the function for each version, and write what it came to."""
    from heliostat.ml.tasks.evaluation import computed

    metric = CustomMetric(name="own", function=function, higher_is_better=True)
    with np.load(arrays, allow_pickle=False) as found:
        figures = {
            name: computed(metric, found["labels"], found[name]) for name in ("candidate", "serving") if name in found.files
        }
    finite = all(np.isfinite(figure) for figure in figures.values())
    text = "" if finite else f"{function} gave {figures}: finite numbers are needed"
    Path(answer).write_text(Measurement(**figures, text=text).model_dump_json())


if __name__ == "__main__":
    sys.path.insert(0, "")
    main(*sys.argv[1:])
