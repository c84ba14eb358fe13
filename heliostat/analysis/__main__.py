"""`python -m heliostat.analysis --task FILE`: compares a candidate with what serves; see `heliostat.spec.analysis_runner`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

from pydantic import ValidationError

from heliostat.analysis.runner import AnalysisRunner
from heliostat.spec.analysis_runner import AnalysisTask


def main() -> None:
    """Run until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m heliostat.analysis", description=__doc__)
    parser.add_argument("--task", type=Path, required=True, help="an AnalysisTask as JSON")
    path: Path = parser.parse_args().task
    try:
        task = AnalysisTask.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        sys.exit(f"the task {path} cannot be read: {error}")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)  # whatever a library prints, figures stay figures
        with contextlib.suppress(BrokenPipeError):  # whoever listened is gone
            asyncio.run(AnalysisRunner(task, out).run())


if __name__ == "__main__":
    main()
