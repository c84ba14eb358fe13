"""A federation on loopback: a checkout with a tiny workload, a coordinator and sites, each a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from coordinates import DiedError, coordinate

from heliostat.ml.federated import train_here
from heliostat.sites.participant import Participant
from heliostat.sites.place import SitePlace
from heliostat.spec.code import code_of
from heliostat.systems.coordinator_api import CoordinatorClient

ROOT = Path(__file__).parents[2]
WORKLOAD = """
import os
import time
import numpy as np
from heliostat.ml.arrays import ArrayModel
from heliostat.ml.federated import FederatedAveraging, Fitted


class Line(ArrayModel):
    def predict(self, columns):
        return np.asarray(columns["x"]) * self.arrays["slope"][0] + self.arrays["start"][0]


class Steps(FederatedAveraging):
    predictor = Line

    def initial(self, parameters):
        return {"slope": np.zeros(1), "start": np.zeros(1)}

    def fit(self, table, arrays, parameters, round_):
        x, y = table["x"].to_numpy(), table["y"].to_numpy()
        error = x * arrays["slope"] + arrays["start"] - y
        time.sleep(float(os.environ.get("FIT_SECONDS", "0")))
        if "odd" in table.column_names:
            raise ValueError("the row of Mr Smith is odd")
        return Fitted(
            {"slope": arrays["slope"] - 0.1 * np.mean(error * x), "start": arrays["start"] - 0.1 * np.mean(error)}, len(x)
        )

    def evaluate(self, table, arrays, parameters):
        x, y = table["x"].to_numpy(), table["y"].to_numpy()
        return {"loss": float(np.mean((x * arrays["slope"] + arrays["start"] - y) ** 2))}


FEDERATION = Steps()
"""
ENTRY_POINT = "tinyfederation.federated:FEDERATION"


class Process:
    """A program whose lines are awaited."""

    def __init__(self, command: list[str], cwd: Path, **variables: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), **variables}
        self.process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def await_line(self, wanted: Callable[[str], bool] | str, seconds: float = 60.0) -> str:
        """The next line like that; fails where the program ends before."""
        matches = wanted if callable(wanted) else (lambda line: wanted in line)
        while (line := self._queue.get(timeout=seconds)) is not None:
            self.lines.append(line)
            if matches(line):
                return line
        raise AssertionError(f"no line with {wanted}:\n" + "\n".join(self.lines))

    def rest(self, seconds: float = 60.0) -> int:
        """Wait for the program's end, with all that it still says; its exit code."""
        while (line := self._queue.get(timeout=seconds)) is not None:
            self.lines.append(line)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Kill it at once."""
        self.process.kill()
        self.process.wait()


class InThread:
    """The same as a thread of the test, which costs no second to start; `kill` has it stop at its next step."""

    def __init__(self, work: Callable[[Callable[[str], None], threading.Event], None]) -> None:
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._stop, self._code = threading.Event(), 0

        def run() -> None:
            try:
                work(self._queue.put, self._stop)
            except DiedError:
                self._code = 9
            except BaseException as error:
                self._queue.put(f"error: {error}")
                self._code = 1
            self._queue.put(None)

        threading.Thread(target=run, daemon=True).start()

    await_line = Process.await_line

    def rest(self, seconds: float = 60.0) -> int:
        """Wait for its end, with all that it still says; what it ended with."""
        while (line := self._queue.get(timeout=seconds)) is not None:
            self.lines.append(line)
        return self._code

    def kill(self) -> None:
        """Have it end soon."""
        self._stop.set()


class FederationWorld:
    """What a test has to do with. Its sites are threads, or processes where `processes` is set."""

    def __init__(self, tmp_path: Path, sites: tuple[str, ...] = ("berlin", "lyon", "oslo"), processes: bool = False) -> None:
        self.tmp_path, self.names, self.processes = tmp_path, sites, processes
        self.root = tmp_path / "checkout"
        (self.root / "tinyfederation").mkdir(parents=True)
        (self.root / "workloads").mkdir(parents=True)
        (self.root / "Pulumi.yaml").write_text("name: heliostat\nruntime: python\n")
        (self.root / "heliostat.toml").write_text('sources = ["tinyfederation"]\n')
        (self.root / "tinyfederation/__init__.py").write_text("")
        (self.root / "tinyfederation/federated.py").write_text(WORKLOAD)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.started: list[Process | InThread] = []
        self.tables: dict[str, pa.Table] = {}
        self.tokens = {name: f"token-of-{name}-{os.urandom(8).hex()}" for name in sites}
        for number, name in enumerate(sites, 1):
            x = np.linspace(-1, 1, 20 * number)
            self.tables[name] = pa.table({"x": x, "y": number * x + number})
            (tmp_path / name).mkdir()
            pq.write_table(self.tables[name], tmp_path / name / "rows.parquet")

    def coordinator(self, **changes: Any) -> Process | InThread:
        """Start the coordinator, where its journal is."""
        rules = {"rounds": 3, "minSites": 2, **changes.pop("rules", {})}
        note = {
            "name": "tiny", "digest": "d" * 64, "entryPoint": ENTRY_POINT, "parameters": {}, "rules": rules,
            "codeDigest": code_of(self.root, ENTRY_POINT, sources=["tinyfederation"]).digest, **changes.pop("note", {}),
        }  # fmt: skip
        hashes = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in self.tokens.items()}
        settings = {
            "store": f"file://{self.tmp_path}/objects", "root": str(self.root), "folder": str(self.tmp_path),
            "port": self.port, "roundSeconds": 30.0, "sites": hashes, "note": note, **changes,
        }  # fmt: skip
        started: Process | InThread
        if self.processes:
            file = self.tmp_path / "settings.json"
            file.write_text(json.dumps(settings))
            started = Process([sys.executable, str(Path(__file__).with_name("coordinates.py")), str(file)], self.tmp_path)
        else:

            def work(tell: Callable[[str], None], stop: threading.Event) -> None:
                asyncio.run(coordinate(settings, tell, lambda record: tell(f"record {record.model_dump_json()}")))

            started = InThread(work)
        self.started.append(started)
        started.await_line("listening")
        return started

    def site(self, name: str, token: str = "", **variables: str) -> Process | InThread:
        """Start a site, with its token in a variable where it is a process."""
        token = token or self.tokens[name]
        url = f"http://127.0.0.1:{self.port}"
        started: Process | InThread
        if self.processes:
            command = [sys.executable, "-m", "heliostat.cli.main", "site", "run", name, "--coordinator", url]
            command += ["--rows", str(self.tmp_path / name)]
            started = Process(command, self.root, **{"HELIOSTAT_SITE_TOKEN": token, **variables})
        else:
            place = SitePlace(self.tmp_path / "places" / name, name)

            def work(tell: Callable[[str], None], stop: threading.Event) -> None:
                with CoordinatorClient(url, token) as client:
                    Participant(place, self.root, self.tmp_path / name, client, tell).run(stop)

            started = InThread(work)
        self.started.append(started)
        return started

    def finish(self) -> None:
        """End what was started."""
        for process in self.started:
            process.kill()

    def result(self) -> dict[str, Any]:
        """The last parameters."""
        with np.load(self.tmp_path / "result.npz") as found:
            return {name: found[name] for name in found.files}

    def expected(self, rounds: int = 3, names: tuple[str, ...] = ()) -> dict[str, Any]:
        """What the same arithmetic gives in one process."""
        space: dict[str, Any] = {}
        exec(WORKLOAD, space)
        return train_here(space["FEDERATION"], {name: self.tables[name] for name in names or self.names}, rounds)


def rounds_of(process: Process | InThread) -> list[dict[str, Any]]:
    """The rounds that a coordinator told of so far."""
    return [json.loads(line.removeprefix("record ")) for line in process.lines if line.startswith("record ")]
