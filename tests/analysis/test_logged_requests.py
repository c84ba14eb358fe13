"""Requests that come back from the prediction log as clients sent them."""

from __future__ import annotations

import datetime as dt
import io
import json
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from heliostat.analysis.logged_requests import LoggedRequests, date_fields
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.serving.rest.pages import openapi
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.workload import Limits
from heliostat.spec.workload import PredictionLog as Settings
from heliostat.systems.objects import open_store

from serving_fakes import contract, seal_here  # isort: skip


class Stay(BaseModel):
    day: dt.date
    at: dt.datetime
    guests: int
    price: float
    note: str | None = None
    rooms: list[str] = []


class Priced(BaseModel):
    p: int


COLUMNS = Columns.of(Stay, Priced)
STAYS = [
    Stay(day=dt.date(2013, 7, 9), at=dt.datetime(2013, 7, 9, 19, 30), guests=2, price=4.5, rooms=["a"]),
    Stay(day=dt.date(2013, 7, 10), at=dt.datetime(2013, 7, 10), guests=1, price=1.0, note="late", rooms=[]),
]


@pytest.fixture(params=["file", "s3"])
def address(request, tmp_path):
    if request.param == "s3":
        return request.getfixturevalue("s3_address")
    return StoreAddress(uri=f"file://{tmp_path}/objects")


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def log(address, spool):
    made = PredictionLog(Settings(flush_seconds=0.05), address, spool, "halves", "1", COLUMNS, seal=seal_here)
    yield made
    made.close()


def asks(address, spool, most_rows=1000, wanted=None, dates=frozenset()):
    requests = LoggedRequests("halves", address, spool, dates)
    return [ask for found in requests.newest(most_rows, wanted) for ask in found]


def add(log, name, rows):
    answer = {"p": 1} if len(rows) == 1 else {"rows": [{"p": 1}] * len(rows)}
    bodies = [row.model_dump_json() for row in rows]
    body = bodies[0] if len(rows) == 1 else f'{{"rows":[{",".join(bodies)}]}}'
    log.add(name, body.encode(), len(rows), json.dumps(answer).replace(" ", "").encode(), 0.001)


def test_stored_requests_come_back_as_they_were_the_newest_first(address, spool, log):
    add(log, b"one", STAYS[:1])
    add(log, b"two", STAYS)
    log.close()
    found = asks(address, spool)
    assert [ask.request_id for ask in found] == ["two", "one"]
    assert json.loads(found[0].body) == {"rows": [stay.model_dump(mode="json") for stay in STAYS]}
    assert json.loads(found[1].body) == STAYS[0].model_dump(mode="json")
    assert Stay.model_validate_json(found[1].body) == STAYS[0]


def test_requests_that_are_not_stored_yet_come_from_this_nodes_spool(address, spool, log):
    add(log, b"one", STAYS[:1])
    add(log, b"two", STAYS)
    deadline = time.monotonic() + 60
    while len(found := asks(address, spool)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [ask.request_id for ask in found] == ["two", "one"]
    assert Stay.model_validate_json(found[1].body) == STAYS[0]
    [path] = spool.rglob("*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"request_id":"torn')
    assert len(asks(address, spool)) == 2, "half a line is none"


def test_only_the_wanted_requests_are_taken(address, spool, log):
    for number in range(10):
        add(log, b"r-%d" % number, STAYS[:1])
    log.close()
    assert [ask.request_id for ask in asks(address, spool, wanted={"r-3", "r-7", "none"})] == ["r-7", "r-3"]


def test_a_request_that_is_cut_by_the_limit_of_rows_is_left_out(address, spool, log):
    add(log, b"many", STAYS * 3)
    add(log, b"one", STAYS[:1])
    log.close()
    assert [ask.request_id for ask in asks(address, spool, most_rows=4)] == ["one"]


def test_requests_that_share_an_id_are_kept_apart(address, spool, log):
    add(log, b"same", STAYS[:1])
    add(log, b"same", STAYS)
    log.close()
    assert [len(json.loads(ask.body).get("rows", [1])) for ask in asks(address, spool)] == [2, 1]


def test_a_damaged_file_costs_no_other(address, spool, log, caplog):
    add(log, b"one", STAYS[:1])
    log.close()
    store = open_store(address)
    [info] = store.list("predictions/")
    for name in ("a", "z"):
        store.put(f"{info.key.rpartition('/')[0]}/{name}.parquet", b"PAR1 nonsense")
    other = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), other)
    store.put(f"{info.key.rpartition('/')[0]}/b.parquet", other.getvalue())
    assert [ask.request_id for ask in asks(address, spool)] == ["one"]
    assert caplog.text.count("of the prediction log cannot be read") == 3


def test_an_empty_log_has_no_requests(address, spool):
    assert asks(address, spool) == []


def test_dates_without_a_time_are_known_from_the_openapi_document():
    document = openapi(contract(row=Stay, examples=STAYS), "1", "/halves", Limits())
    assert date_fields(document) == {"day"}
    assert date_fields({}) == frozenset()
