"""Looks at a workload's code without running what it does: `python -m heliostat.inspection <task> <answer>`.

Both are files of JSON (`heliostat.spec.inspection`). What the code prints as it is imported goes nowhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

from heliostat.inspection.mistakes import inspected
from heliostat.spec.inspection import InspectionTask


def main(task: str, answer: str) -> None:
    """Read the task and write what was found."""
    found = inspected(InspectionTask.model_validate_json(Path(task).read_bytes()))
    Path(answer).write_text(found.model_dump_json(by_alias=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
