"""KWOK: nodes that are simulated, and the pods on them, in a cluster whose scheduler is the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ANNOTATION = {"kwok.x-k8s.io/node": "fake"}
"""Of nodes that KWOK plays."""
_STAGES = Path(__file__).with_name("kwok_stages.yaml")


def program() -> str:
    """Where KWOK is; without one the test is skipped."""
    named = os.environ.get("HELIOSTAT_KWOK")
    found = named or shutil.which("kwok")
    if found is None:
        pytest.skip("there is no kwok on the PATH, and HELIOSTAT_KWOK names none: see CONTRIBUTING.md")
    return found


@contextmanager
def running(kwok: str, kubeconfig: Path, log: Path) -> Iterator[None]:
    """Have it play the nodes with its annotation: they are ready, and so are the pods that the scheduler gives them."""
    selector = ",".join(f"{key}={value}" for key, value in ANNOTATION.items())
    command = [kwok, "--kubeconfig", str(kubeconfig), "--config", str(_STAGES), "--manage-all-nodes=false"]
    command += [f"--manage-nodes-with-annotation-selector={selector}", "--node-lease-duration-seconds=120"]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            if process.poll() is not None:
                # What was waited for in vain was its to do.
                warnings.warn(f"KWOK ended: {log.read_text()[-2000:]}", stacklevel=1)
            process.terminate()
            process.wait(timeout=30)
