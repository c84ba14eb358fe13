"""A workload whose birds are watched: a snapshot, a prediction log and labels in a store, and a receiver of alarms."""

from __future__ import annotations

import datetime as dt
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.jobs import monitor
from heliostat.ml import datasets
from heliostat.ml.ground_truth import Label, record
from heliostat.monitoring.looking import WindowReport
from heliostat.monitoring.state import MonitorState, state_of
from heliostat.packaging.contents import Contents
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.monitoring import MonitorSpecification, states, window_key
from heliostat.spec.monitors import Monitor
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Regression
from heliostat.systems.objects import Directory
from heliostat.systems.revisions import Revisions

MONDAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
QUALITY = {"metric": "mean_absolute_error", "margin": 0.3, "minRows": 100}


def damaged(content: bytes) -> bytes:
    """A file with one wrong bit, among its first batches."""
    return content[:100] + bytes([content[100] ^ 1]) + content[101:]


def birds(rows: int, seed: int, heavier: float = 1.0, began: dt.datetime = dt.datetime(2013, 7, 9)) -> pa.Table:
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "kind": pa.array(draw.choice(["duck", "goose"], rows)),
            "weight": pa.array(draw.gamma(2, 1, rows) * heavier + 0.01),
            "seen": pa.array([began + dt.timedelta(minutes=n) for n in range(rows)], pa.timestamp("us")),
        }
    )


def snapshot(folder: Path, contents: Contents) -> Path:
    """A store with nothing but the data that the model was trained and tested on; a test has a copy of it."""
    predictor = contents.contract.predictor.load(contents.model)
    tables = {}
    for seed, name in enumerate(("train", "validation", "test")):
        table = birds(2_000, seed)
        truth = predictor.predict({"kind": table["kind"].to_pylist(), "weight": table["weight"].to_numpy()})
        noise = np.random.default_rng(7).normal(0, 0.1, table.num_rows)
        tables[name] = table.append_column("far", pa.array(truth + noise))
    datasets.save(datasets.Tables(**tables, label="far"), "birds", Directory(folder))
    return folder


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it was sent, and answers with the server's status."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server: Any = self.server
        if server.status == 200:
            server.got.append(body)
        self.send_response(server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Watched:
    """The store, and what a monitor does with it."""

    def __init__(self, folder: Path, contents: Contents, port: int = 9) -> None:
        self.contents, self.port = contents, port
        self.address = StoreAddress(uri=f"file://{folder}/store")
        self.store = Directory(folder / "store")
        predictor = contents.contract.predictor.load(contents.model)
        self.predict = lambda table: predictor.predict(
            {"kind": table["kind"].to_pylist(), "weight": table["weight"].to_numpy()}
        )
        self.digest = next(iter(self.store.list("datasets/birds/"))).key.split("/")[2]

    def log(self, day: dt.datetime, rows: pa.Table | None = None, name: str = "a", version: str = "3-abcdef12") -> None:
        """Predictions of a day, as replicas log them."""
        rows = birds(400, day.day) if rows is None else rows
        count = rows.num_rows
        table = pa.table(
            {
                "request_id": [f"{name}{day:%m%d}-{number}" for number in range(count)],
                "row": pa.array(np.zeros(count), pa.int32()),
                "time": pa.array([day + DAY * number / count for number in range(count)], pa.timestamp("us", "UTC")),
                "version": [version] * count,
                "prediction_kilometres": self.predict(rows),
                **{f"input_{each}": rows[each] for each in rows.column_names},
            }
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        self.store.put(f"predictions/birds/date={day:%Y-%m-%d}/{name}.parquet", buffer.getvalue())

    def label(self, day: dt.datetime, rows: pa.Table | None = None, factor: float = 1.0, name: str = "a") -> None:
        """What turned out to be true of a day."""
        rows = birds(400, day.day) if rows is None else rows
        truth = self.predict(rows) * factor
        found = [Label(f"{name}{day:%m%d}-{number}", float(value)) for number, value in enumerate(truth)]
        record(self.address, "birds", found)

    def specification(self, now: dt.datetime, **declared: Any) -> MonitorSpecification:
        sinks = declared.pop("sinks", [{"kind": "webhook", "name": "hook", "url": f"http://127.0.0.1:{self.port}/alarms"}])
        given = {"field": "kilometres", "labelsWithinSeconds": 20 * 86_400, "sinks": sinks, **declared}
        return MonitorSpecification(
            name="birds",
            contract=self.contents.entry_point,
            code_digest="c" * 64,
            model_uri="models:/birds/3",
            dataset_key=f"datasets/birds/{self.digest}",
            dataset_digest=self.digest,
            problem=Problem(task=Regression()),
            monitor=Monitor.model_validate(given),
            store=self.address,
            tracking_uri="http://mlflow",
            at=now.timestamp(),
        )

    def look(self, now: dt.datetime, **declared: Any) -> MonitorState:
        """Look at a time."""
        monitor.watch(self.specification(now, **declared))
        return self.state

    @property
    def state(self) -> MonitorState:
        return state_of(Revisions(self.store, states("birds")).newest()[1])

    def report(self, window: str) -> WindowReport:
        return WindowReport.model_validate_json(self.store.get(window_key("birds", window)))


def receiving() -> tuple[Any, threading.Thread]:
    """A server that takes alarms, and its thread."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.got, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    return server, thread
