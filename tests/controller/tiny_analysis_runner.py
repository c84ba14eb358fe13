"""An analysis runner (heliostat.spec.analysis_runner) that counts the endpoints it is told; a check's name is its fault."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from heliostat.spec.analysis import CustomCheck, Measurement, Measurements, Source
from heliostat.spec.analysis_runner import AnalysisTask, Endpoints


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", type=Path, required=True)
    path: Path = parser.parse_args().task
    task = AnalysisTask.model_validate_json(path.read_text())
    check = task.analysis.checks[0]
    fault = check.name if isinstance(check, CustomCheck) else ""
    mark = path.with_suffix(".begun")
    times = len(mark.read_text()) + 1 if mark.exists() else 1
    mark.write_text("x" * times)
    Path(f"{mark}.pid").write_text(str(os.getpid()))
    if fault == "deaf":
        time.sleep(600)
    if fault == "dies-once" and times == 1:
        sys.stderr.write("no such column\n")
        sys.exit(3)
    for line in sys.stdin:
        found = Endpoints.model_validate_json(line)
        requests = 100 * len(found.candidate)
        text = f"begun {times} times, priority {os.getpriority(os.PRIO_PROCESS, 0)}, mode {path.stat().st_mode & 0o777:o}"
        figures = Measurements(
            source=Source.RECENT,
            requests=requests,
            checks={0: Measurement(candidate=0.25, rows=requests, text=text)},
            exhausted=fault == "done",
        )
        sys.stdout.write(f"not a line of figures\n{figures.model_dump_json()}\n")
        sys.stdout.flush()
        if fault == "done":
            return


if __name__ == "__main__":
    main()
