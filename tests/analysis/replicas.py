"""Real replicas for who talks to them: the application on loopback, and a runner in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import serving_fakes
import uvicorn
from serving_fakes import ROW, Halves, Log, answers, contract

from heliostat.serving.rest.connection import Connection
from heliostat.serving.slots import Slots
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis import Measurements
from heliostat.spec.analysis_runner import AnalysisTask, Endpoints
from heliostat.spec.rollouts import Version


class Replica:
    """One replica; it keeps its port when it is started again."""

    def __init__(self, predictor: Any = Halves, version: str = "1-old", log: Any = None, **changes: Any) -> None:
        self.log = log or Log()
        self._contract = contract(predictor=predictor, **changes)
        self._version = version
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        made = partial(Connection, answers(self.log, self._contract, self._version), "", Slots(8))
        config = uvicorn.Config(
            _nothing, host="127.0.0.1", port=self.port, http=made, lifespan="off", log_level="critical", access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        until(lambda: self._server.started)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    def ask(self, count: int = 1, name: str = "r", **changes: Any) -> None:
        """Requests as clients send them."""
        for number in range(count):
            body = json.dumps({**ROW, "size": float(number + 20), **changes}).encode()
            headers = {"content-type": "application/json", "x-request-id": f"{name}-{number}"}
            request = urllib.request.Request(f"{self.url}/predict", body, headers)
            try:
                urllib.request.urlopen(request).close()
            except urllib.error.HTTPError as error:
                error.close()

    @property
    def seen(self) -> int:
        """Requests in its tap."""
        with urllib.request.urlopen(f"{self.url}/-/tap?limit=2048") as answer:
            return len(json.load(answer)["requests"])


class AThirdOff(Halves):
    """Answers wrongly where the size is a multiple of three."""

    def predict(self, columns: Any) -> Any:
        sizes = np.asarray(columns["size"])
        return np.where(sizes % 3 == 0, sizes, sizes / 2)


class Slow(Halves):
    """Takes 30 ms more."""

    def predict(self, columns: Any) -> Any:
        time.sleep(0.03)
        return super().predict(columns)


class Broken(Halves):
    """Fails on every size from 20 on."""

    def predict(self, columns: Any) -> Any:
        if (np.asarray(columns["size"]) >= 20).any():
            raise RuntimeError("broken")
        return super().predict(columns)


def version(store: StoreAddress, label: str = "2-new", code_uri: str = "") -> Version:
    return serving_fakes.version(label, store=store, code_uri=code_uri)


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError(f"{scope} is none of the application's")


class Running:
    """An analysis runner at work."""

    def __init__(self, task: AnalysisTask, folder: Path, environment: dict[str, str]) -> None:
        path = folder / "task.json"
        path.write_text(task.model_dump_json())
        command = [sys.executable, "-m", "heliostat.analysis", "--task", str(path)]
        self.errors = folder / "stderr"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
            )
        self.lines: list[Measurements] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(Measurements.model_validate_json(line))

    def tell(self, candidate: list[str], serving: list[str]) -> Self:
        assert self.process.stdin
        endpoints = Endpoints(candidate=tuple(candidate), serving=tuple(serving))
        self.process.stdin.write(endpoints.model_dump_json().encode() + b"\n")
        self.process.stdin.flush()
        return self

    def until(self, condition: Callable[[Measurements], Any], seconds: float = 30.0) -> Measurements:
        """The first figures for which it holds."""
        seen = 0
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.lines[seen:]:
                seen += 1
                if condition(line):
                    return line
            assert self.process.poll() is None or seen < len(self.lines), self.errors.read_text()
            time.sleep(0.02)
        raise AssertionError(f"it did not happen; last {self.lines[-1:]}; {self.errors.read_text()}")

    def settled(self) -> Measurements | None:
        """The newest figures, where the two before say the same."""
        last = [figures.requests for figures in self.lines[-3:]]
        return self.lines[-1] if len(last) == 3 and len(set(last)) == 1 else None

    def exhausted(self) -> Measurements:
        return self.until(lambda figures: figures.exhausted)

    def end(self) -> Measurements:
        """The last figures."""
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.wait(10) == 0, self.errors.read_text()
        self._reader.join(5)
        return self.lines[-1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(5)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()


@contextmanager
def replicas(*made: Replica) -> Iterator[tuple[Replica, ...]]:
    try:
        yield made
    finally:
        for each in made:
            each.stop()


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found
