"""The load: wrk, one thread, a fixed number of connections, every request another real flight.

wrk runs on the machine that serves and takes its share of the cores; both sides of every ratio pay it alike.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.commands import MeasurementError, running, tail

CONNECTIONS = 8
NOTE = f"wrk, {CONNECTIONS} connections, one thread, on the cores that also serve"
ANSWER_TIMEOUT_S = 10
"""A request without an answer for so long has failed."""
_MARK = "@@ wrk "
_ENDLESS_S = 3600

_SCRIPT = """\
local requests, at = {}, 0

function init(arguments)
  wrk.headers["Content-Type"] = "application/json"
  for body in io.lines(%(bodies)s) do
    requests[#requests + 1] = wrk.format("POST", nil, nil, body)
  end
end

function request()
  at = at %% #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '@@ wrk {"requests": %%d, "seconds": %%.6f, "connect": %%d, "read": %%d, "write": %%d, "status": %%d, "timeout": %%d, ' ..
    '"p50_ms": %%.3f, "p90_ms": %%.3f, "p99_ms": %%.3f, "max_ms": %%.3f}\\n',
    summary.requests, summary.duration / 1e6, errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    requests: int
    """That were answered, with whatever status."""
    seconds: float
    connect: int
    read: int
    write: int
    timeout: int
    """Errors of sockets, by kind."""
    status: int
    """Answers of status 400 and above."""
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float

    @property
    def rate(self) -> float:
        """Answers of a status below 400, a second."""
        return (self.requests - self.status) / self.seconds

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return self.connect + self.read + self.write + self.timeout + self.status

    def figures(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "requests": self.requests, "requests_per_second": round(self.rate, 1), "failed": self.failed,
            "p50_ms": self.p50_ms, "p99_ms": self.p99_ms,
        }  # fmt: skip


def wrk() -> str:
    """The load generator's path.

    Raises:
        MeasurementError: it is not installed.
    """
    found = shutil.which("wrk")
    if not found:
        raise MeasurementError(
            "the load generator wrk is not on PATH: install it (Debian and Ubuntu: apt install wrk; Fedora: dnf install wrk; "
            "otherwise https://github.com/wg/wrk), then run this again"
        )
    return found


def parse(output: str) -> Load:
    """What the script's last line says.

    Raises:
        MeasurementError: there is none: wrk failed.
    """
    for line in reversed(output.splitlines()):
        if line.startswith(_MARK):
            return Load(**json.loads(line.removeprefix(_MARK)))
    raise MeasurementError(f"wrk printed no result:\n{tail(output)}")


@dataclass(frozen=True)
class Generator:
    """A kind of request, ready to be sent: bodies and the script that sends them, in `folder`."""

    script: Path

    @classmethod
    def of(cls, bodies: Sequence[Any], folder: Path, name: str) -> Generator:
        """Sends `bodies` as JSON, one after the other, over and over."""
        wrk()
        folder.mkdir(parents=True, exist_ok=True)
        lines, script = folder / f"{name}.jsonl", folder / f"{name}.lua"
        lines.write_text("".join(json.dumps(body) + "\n" for body in bodies))
        script.write_text(_SCRIPT % {"bodies": json.dumps(str(lines))})
        return cls(script)

    def argv(self, url: str, seconds: float, connections: int = CONNECTIONS) -> list[str]:
        """The command."""
        return [
            wrk(), "--threads", "1", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s",
            "--timeout", f"{ANSWER_TIMEOUT_S}s", "--script", str(self.script), url,
        ]  # fmt: skip

    def load(self, url: str, seconds: float, connections: int = CONNECTIONS) -> Load:
        """What `seconds` of load show.

        Raises:
            MeasurementError: wrk failed.
        """
        with running(self.argv(url, seconds, connections), self.script.parent) as process:
            output, _ = process.communicate(timeout=seconds + ANSWER_TIMEOUT_S + 30)
        return parse(output)

    @contextmanager
    def under_load(self, url: str) -> Iterator[UnderLoad]:
        """Load for as long as the block takes; `finish()` in it ends the load and tells what it saw."""
        with running(self.argv(url, _ENDLESS_S), self.script.parent) as process:
            yield UnderLoad(process)


@dataclass
class UnderLoad:
    """A load without an end of its own."""

    process: subprocess.Popen[str]
    began: float = 0.0

    def __post_init__(self) -> None:
        self.began = time.monotonic()

    def finish(self, at_least_seconds: float = 0.0) -> Load:
        """Go on until `at_least_seconds` have passed since the beginning, then stop and count.

        Raises:
            MeasurementError: wrk had died.
        """
        try:
            output, _ = self.process.communicate(timeout=max(0.01, self.began + at_least_seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)  # wrk stops and reports
            output, _ = self.process.communicate(timeout=ANSWER_TIMEOUT_S + 30)
        return parse(output)
