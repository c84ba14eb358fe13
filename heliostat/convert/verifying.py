"""Trains a converted workload in memory and asks it what was recorded, as a process of its own: `verifying PACKAGE
ANSWERS OUTCOME`."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from heliostat.convert.answers import differences
from heliostat.ml import datasets, flow


def verified(package: str, recorded: list[dict[str, Any]]) -> list[str]:
    """What a workload answers otherwise than it was recorded, or why it does not answer."""
    try:
        train = importlib.import_module(f"{package}.train")
        made = flow.run(flow.beside(str(train.__file__)), ["tables", "model"])
        datasets.check(made["tables"])
        contract = importlib.import_module(f"{package}.contract").CONTRACT
        with tempfile.TemporaryDirectory() as folder:
            made["model"].save(Path(folder))
            return differences(contract, type(made["model"]).load(Path(folder)), recorded)
    except Exception as error:
        frames = [each for each in traceback.extract_tb(error.__traceback__) if "workloads" in each.filename]
        place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        return [f"it does not run: {type(error).__name__}: {error}{place}"]


def main(arguments: Sequence[str]) -> None:
    """Write what differs into the file that is named last."""
    root, package, answers, outcome = arguments
    os.chdir(root)
    sys.path.insert(0, root)
    with redirect_stdout(sys.stderr):
        found = verified(package, json.loads(Path(answers).read_text())["answers"])
    Path(outcome).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
