"""Load at a constant arrival rate (an open model): a request is sent when it is due, whether or not the ones before it were
answered, so that a stall shows as latency and not as fewer requests.

The generator is vegeta. It shares the cores with what it loads, so it gets one of them at most, and while it runs nobody reads
what it records (some 260 bytes a request, in a file): that is done when the load is over, and leaves 16 bytes a request.
"""

from __future__ import annotations

import base64
import csv
import json
import re
import shutil
import signal
import subprocess
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.answers import NO_VERSION, Answers, Names
from bench.commands import MeasurementError, running, tail
from bench.loadgen import ANSWER_TIMEOUT_S

NOTE = "vegeta, constant arrival rate, on the cores that also serve"
VERSION_HEADER = "x-heliostat-version"
_VERSION = re.compile(rb"(?im)^" + VERSION_HEADER.encode() + rb":\s*([^\r\n]*?)\s*$")
_GOOD = range(200, 400)
_NO_CODE = 0
_ONE_CORE = {"GOMAXPROCS": "1"}
"""As quick at these rates, and steadier: its threads do not take turns with the servers on every core."""


def vegeta() -> str:
    """The load generator's path.

    Raises:
        MeasurementError: it is not installed.
    """
    found = shutil.which("vegeta")
    if not found:
        raise MeasurementError(
            "the load generator vegeta is not on PATH: install it (with Go: go install github.com/tsenart/vegeta/v12@latest, "
            "and put $(go env GOPATH)/bin on PATH; otherwise https://github.com/tsenart/vegeta/releases), then run this again"
        )
    return found


@contextmanager
def arrivals(url: str, rate: int, bodies: Sequence[Any], folder: Path, seconds: float | None = None) -> Iterator[Arrivals]:
    """`rate` requests a second to `url`, with `bodies` as JSON one after the other, over and over.

    For `seconds`, or for as long as the block takes; `finish()` in it tells what came of them.

    Raises:
        MeasurementError: vegeta is not installed.
    """
    with _attack(url, rate, bodies, folder, seconds, [f"-rate={rate}/1s"]) as load:
        yield load


@contextmanager
def busy(url: str, connections: int, bodies: Sequence[Any], folder: Path) -> Iterator[Arrivals]:
    """As many requests as some kept-alive connections can ask one after the other, for as long as the block takes: a closed
    model, for what has to meet a request on its way.

    Raises:
        MeasurementError: vegeta is not installed.
    """
    workers = [f"-{name}={connections}" for name in ("workers", "max-workers", "connections")]
    with _attack(url, 0, bodies, folder, None, ["-rate=0", *workers]) as load:
        yield load


@contextmanager
def _attack(
    url: str, rate: int, bodies: Sequence[Any], folder: Path, seconds: float | None, flags: Sequence[str]
) -> Iterator[Arrivals]:
    program = vegeta()
    folder.mkdir(parents=True, exist_ok=True)
    targets, records = folder / "arrivals.jsonl", folder / "arrivals.gob"
    targets.write_text("".join(_target(url, body) for body in bodies))
    argv = [
        program, "attack", "-format=json", f"-targets={targets}", f"-output={records}", *flags,
        f"-duration={seconds or 0:g}s", f"-timeout={ANSWER_TIMEOUT_S}s", "-max-body=0", "-redirects=-1", "-http2=false",
    ]  # fmt: skip
    try:
        with running(argv, folder, _ONE_CORE) as process:
            yield Arrivals(process, program, records, rate, seconds)
    finally:
        records.unlink(missing_ok=True)


@dataclass
class Arrivals:
    """A load at work."""

    process: subprocess.Popen[str]
    program: str
    records: Path
    rate: int
    """Requests a second; 0: as many as are answered."""
    seconds: float | None
    """How long it lasts; None: until it is finished."""
    began: float = 0.0

    def __post_init__(self) -> None:
        self.began = time.monotonic()

    def finish(self, at_least_seconds: float = 0.0) -> Answers:
        """Go on until `at_least_seconds` have passed since the beginning, or its own time has; then stop, wait for the answers
        that are still to come, and tell of all.

        Raises:
            MeasurementError: vegeta failed.
        """
        end = self.began + max(at_least_seconds, self.seconds + ANSWER_TIMEOUT_S + 1 if self.seconds else 0.0)
        try:
            output, _ = self.process.communicate(timeout=max(0.01, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)  # vegeta sends no more, and waits for the answers
            output, _ = self.process.communicate(timeout=ANSWER_TIMEOUT_S + 30)
        if self.process.returncode:
            raise MeasurementError(f"vegeta failed with exit code {self.process.returncode}:\n{tail(output)}")
        return read(self.program, self.records)


def read(program: str, records: Path) -> Answers:
    """What vegeta's records say.

    Raises:
        MeasurementError: they cannot be read.
    """
    with subprocess.Popen(  # noqa: S603 - found on PATH
        [program, "encode", "-to=csv", str(records)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        found = parse(process.stdout or ())
        _, errors = process.communicate()
    if process.returncode:
        raise MeasurementError(f"vegeta could not read its own records {records}:\n{tail(errors)}")
    return found


def parse(lines: Iterable[str]) -> Answers:
    """From vegeta's CSV: time, status, latency (both times in ns), bytes out and in, error, ..., headers in base64."""
    sent, latencies = array("d"), array("f")
    failures, versions = array("H"), array("H")
    kinds, names = Names(""), Names(NO_VERSION)
    for row in csv.reader(lines):
        code = int(row[1])
        sent.append(int(row[0]) / 1e9)
        latencies.append(int(row[2]) / 1e6)
        failures.append(kinds.index(_failure(code, row[5])))
        versions.append(names.index(_version(row[11])))
    order = np.argsort(np.asarray(sent), kind="stable")
    return Answers(
        np.asarray(sent)[order],
        np.asarray(latencies)[order],
        np.asarray(failures)[order],
        np.asarray(versions)[order],
        kinds.all(),
        names.all(),
    )


def _target(url: str, body: Any) -> str:
    content = base64.b64encode(json.dumps(body).encode()).decode()
    header = {"Content-Type": ["application/json"]}
    return json.dumps({"method": "POST", "url": url, "header": header, "body": content}) + "\n"


def _failure(code: int, error: str) -> str:
    """What went wrong, without what differs from request to request (addresses and ports); "" where nothing did."""
    if code in _GOOD and not error:
        return ""
    return f"no answer: {error.rpartition(': ')[2]}" if code == _NO_CODE else f"status {code}"


def _version(headers: str) -> str:
    found = _VERSION.search(base64.b64decode(headers))
    return found.group(1).decode() if found else NO_VERSION
