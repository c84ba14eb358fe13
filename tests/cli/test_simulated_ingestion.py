"""`heliostat simulate` of rows that are ingested: what had come by each simulated day is what is trained on."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from heliostat.monitoring import intervals
from tests.cli.test_simulate import CONTRACT, LEARNING_PREDICTOR, LEARNING_TRAIN

DATASET = """
def snapshot(parameters, rows):
    return rows.drop_columns(["number", "noted"])
"""
WORKLOAD = """
from datetime import timedelta
from heliostat.data.ingestion import Ingestion
from heliostat.data.splits import LatestSplit
from heliostat.resources.served_model import by_convention
from heliostat.spec.batch import SqliteDatabase
from heliostat.spec.ingestion import IncrementalQuery
from heliostat.spec.parameters import JobParameters
from heliostat.spec.tasks import Binary

declare = by_convention(
    __name__, JobParameters(), JobParameters(), task=Binary(),
    ingestion=Ingestion(
        source=IncrementalQuery(
            database=SqliteDatabase(path="{path}"), query="SELECT number, seen, weight, big, noted FROM birds", cursor="noted"
        ),
        key=("number",), time="seen", label="big",
        split=LatestSplit(column="seen", validation=timedelta(days=7), test=timedelta(days=14)),
    ),
)
"""
LATE_DAYS = 10
"""How long it takes until somebody notes every fifth bird."""


def _noted(number: int, seen: dt.datetime) -> dt.datetime:
    return seen + (dt.timedelta(days=LATE_DAYS) if number % 5 == 0 else dt.timedelta(hours=2))


@pytest.fixture
def birds(stack, monkeypatch):
    """From May on the same weights are of other kinds of birds."""
    monkeypatch.setattr(intervals, "_DRAWS", 20)
    folder = stack.folder / "workloads" / "swans"
    folder.mkdir(parents=True)
    path = stack.folder / "birds.db"
    files = {"__init__": "", "dataset": DATASET, "train": LEARNING_TRAIN, "predictor": LEARNING_PREDICTOR}
    files |= {"contract": CONTRACT, "workload": WORKLOAD.replace("{path}", str(path))}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    (folder.parent / "__init__.py").write_text("")
    draw = np.random.default_rng(0)
    weights = draw.random(17_300)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE birds (number INTEGER, seen TEXT, weight REAL, big INTEGER, noted TEXT)")
        for number, weight in enumerate(weights.tolist()):
            seen = dt.datetime(2020, 1, 1) + dt.timedelta(minutes=20 * number)
            big = int(draw.random() < (1 - weight if seen.month >= 5 else weight))
            row = (number, seen.isoformat(), weight, big, _noted(number, seen).isoformat())
            database.execute("INSERT INTO birds VALUES (?, ?, ?, ?, ?)", row)
    database.close()
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "workloads"}
    for name in kept:
        del sys.modules[name]
    monkeypatch.setattr(sys, "path", [str(stack.folder), *sys.path])
    yield path
    for name in [name for name in sys.modules if name.partition(".")[0] == "workloads"]:
        del sys.modules[name]
    sys.modules.update(kept)


def test_what_is_trained_on_had_come_by_then_in_the_declared_split(birds, stack):
    said = stack.ok("simulate", "swans", "--from", "2020-01", "--to", "2020-08", "--json")
    months = {each["name"]: each for each in json.loads(said)}
    assert "accepted as version 2" in months["2020-06"]["retraining"]
    kept = stack.folder / ".heliostat" / "simulations" / "swans"
    made = {}
    for manifest in (kept / "datasets" / "swans").glob("*/manifest.json"):
        splits = {split: pq.read_table(manifest.parent / f"{split}.parquet") for split in ("train", "validation", "test")}
        newest = max(splits["test"]["seen"].to_pylist())
        made[f"{newest:%Y-%m}"] = splits
    first, second = made["2020-02"], made["2020-06"]
    utc = dt.UTC
    assert min(first["test"]["seen"].to_pylist()) == dt.datetime(2020, 2, 16, tzinfo=utc), "two weeks before March"
    assert max(first["train"]["seen"].to_pylist()) < dt.datetime(2020, 2, 9, tzinfo=utc)
    assert min(second["test"]["seen"].to_pylist()) == dt.datetime(2020, 6, 17, tzinfo=utc), "it moved along"
    # An hour before March a fifth of the last ten days of February was still to be noted, of June of its last eight.
    for splits, until, now in (
        (first, dt.datetime(2020, 3, 1), dt.datetime(2020, 2, 29, 23)),
        (second, dt.datetime(2020, 7, 1), dt.datetime(2020, 7, 3)),
    ):
        seen = [dt.datetime(2020, 1, 1) + dt.timedelta(minutes=20 * number) for number in range(17_300)]
        came = sum(moment < until and _noted(number, moment) <= now for number, moment in enumerate(seen))
        assert sum(table.num_rows for table in splits.values()) == came < sum(moment < until for moment in seen)


def test_labels_that_come_late_are_told_apart(birds, stack):
    stack.ok("simulate", "swans", "--from", "2020-01", "--to", "2020-03", "--json")
    kept = stack.folder / ".heliostat" / "simulations" / "swans"
    truth = pq.read_table(kept / "ground-truth" / "swans" / "2020-03.parquet")
    (log,) = (kept / "predictions" / "swans").glob("date=2020-03-*/2020-03-1.parquet")
    answered = pq.ParquetFile(log).read(["request_id", "time"])
    seen = dict(zip(answered["request_id"].to_pylist(), answered["time"].to_pylist(), strict=True))
    begin, late = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), 0
    for request, moment in zip(truth["request_id"].to_pylist(), truth["time"].to_pylist(), strict=True):
        assert moment == _noted((seen[request] - begin) // dt.timedelta(minutes=20), seen[request])
        late += moment > dt.datetime(2020, 4, 3, tzinfo=dt.UTC)
    window = json.loads((kept / "monitors" / "swans" / "windows" / "2020-03.json").read_text())
    assert late and window["labels"] == window["rows"] - late, "what was noted after the look is awaited"


def test_rows_that_were_all_loaded_at_once_name_the_option_that_says_when_each_came(birds, stack):
    with sqlite3.connect(birds) as database:
        database.execute("UPDATE birds SET noted = '2024-01-01T00:00:00'")
    database.close()
    months = ("--from", "2020-01", "--to", "2020-03", "--json")
    ran = stack("simulate", "swans", *months)
    assert ran.code != 0 and "no row had come by 2020-02-29 23:00" in ran.err and "--arrived" in ran.err
    (found,) = json.loads(stack.ok("simulate", "swans", *months, "--arrived", "seen"))
    assert found["rows"] == 31 * 72


def test_a_split_that_stays_where_it_is_gives_way_to_whole_days(birds, stack):
    workload = stack.folder / "workloads" / "swans" / "workload.py"
    text = (
        workload.read_text().replace("import LatestSplit", "import TimeSplit").replace("import timedelta", "import datetime")
    )
    workload.write_text(
        text.replace(
            'LatestSplit(column="seen", validation=timedelta(days=7), test=timedelta(days=14))',
            'TimeSplit(column="seen", validation_from=datetime(2021, 1, 1), test_from=datetime(2021, 2, 1))',
        )
    )
    ran = stack("simulate", "swans", "--from", "2020-01", "--to", "2020-03")
    assert ran.code == 0 and "in its place rows are split by whole days" in ran.err


def test_the_first_version_is_trained_on_the_first_months_alone(birds, stack):
    stack.ok("simulate", "swans", "--from", "2020-02", "--to", "2020-04", "--json")
    kept = stack.folder / ".heliostat" / "simulations" / "swans"
    (train,) = (kept / "datasets" / "swans").glob("*/train.parquet")
    assert min(pq.read_table(train)["seen"].to_pylist()) == dt.datetime(2020, 2, 1, tzinfo=dt.UTC)


def test_a_column_of_arrivals_that_is_not_there_is_told(birds, stack):
    ran = stack("simulate", "swans", "--from", "2020-01", "--to", "2020-03", "--arrived", "loaded")
    assert ran.code != 0 and "no column of times 'loaded'; they have seen, noted" in ran.err


def test_a_folder_that_no_simulation_made_is_left_as_it_is(birds, stack, tmp_path):
    thesis = tmp_path / "work" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    ran = stack("simulate", "swans", "--from", "2020-01", "--to", "2020-03", "-o", str(thesis.parent))
    assert ran.code != 0 and "no simulation made it (thesis.txt is there)" in ran.err
    assert thesis.read_text() == "years of work"


def test_two_simulations_do_not_write_into_one_folder(birds, stack, tmp_path):
    from heliostat.cli.simulation.folders import emptied

    folder = tmp_path / "year"
    with emptied(folder):
        (folder / "kept").write_text("")
        ran = stack("simulate", "swans", "--from", "2020-01", "--to", "2020-03", "-o", str(folder))
        assert ran.code != 0 and "another simulation is writing into" in ran.err
        assert (folder / "kept").is_file()
    with emptied(folder):
        assert not (folder / "kept").exists(), "one that was killed is made anew"
