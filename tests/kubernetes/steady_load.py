"""A steady load from within the node's network, by a process of its own: URL and request come as arguments, the end by input.

python -m tests.kubernetes.steady_load URL REQUEST     prints "started", and at the end of its input what it counted
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.e2e.load import Load
from tests.kubernetes.node import Node

ROOT = Path(__file__).parents[2]
_CLIENTS = 2
_END_SECONDS = 120


class SteadyLoad:
    """Requests one after another, as long as the context lasts.

    Attributes:
        versions: How many answers came of each version.
        failures: How many of each kind of anything else.
    """

    def __init__(self, node: Node, url: str, request: Any) -> None:
        module = [sys.executable, "-m", "tests.kubernetes.steady_load", url, json.dumps(request)]
        self._command = node.within(module)
        self.versions: dict[str, int] = {}
        self.failures: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "started\n"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            out, _ = self._process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        found = json.loads(out)
        self.versions, self.failures = found["versions"], found["failures"]


def main() -> None:
    """Send until the input ends."""
    with Load(sys.argv[1], json.loads(sys.argv[2]), _CLIENTS) as load:
        sys.stdout.write("started\n")
        sys.stdout.flush()
        sys.stdin.read()
    sys.stdout.write(json.dumps({"versions": load.versions, "failures": load.failures}))


if __name__ == "__main__":
    main()
