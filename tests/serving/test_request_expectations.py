"""Requests that are held to the data set's schema: what breaks it is refused with its path, or counted."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from serving_fakes import ROW, Log, answers, body, call, contract, version

from heliostat.data.schema import read
from heliostat.data.serving_expectations import of_requests
from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.errors import HttpError
from heliostat.serving.expectations import ExpectedRows
from heliostat.spec.expectations import Breach, BreachCount, Expectations, ExpectedField

SCHEMA = """
label: late
columns:
  kind: {type: string, values: [a]}
  size: {type: double, minimum: 2, maximum: 100}
  when: {type: "timestamp[us]", maxMissing: 0.1, minimum: 0}
  late: {type: bool, absentIn: [serving]}
  delay: {type: double, knownAtPrediction: false}
"""


def expected(breach: Breach = Breach.REFUSE, **columns: Any) -> Expectations:
    return Expectations(breach=breach, columns=columns or of_requests(read(SCHEMA)))


def test_a_schema_says_what_is_expected_of_a_single_row():
    found = of_requests(read(SCHEMA))
    assert [*found] == ["kind", "size", "when"], "neither the label nor what is known only later"
    assert (found["kind"].required, found["when"].required) == (True, False), "a tenth of the rows may lack it: so may a row"
    assert found["size"].model_dump(exclude_none=True) == {
        "type": "double", "required": True, "finite": True, "minimum": 2.0, "maximum": 100.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="there is no environment 'serving'"):
        of_requests(read("environments: [training]\ncolumns: {a: {type: double}}"))


async def test_what_breaks_it_is_refused_with_the_path_of_each_field_as_the_contract_s_own_errors_are(log: Log):
    app = answers(log, expectations=expected())
    assert (await call(app, "POST", "/predict", body())).status == 200
    refused = await call(app, "POST", "/predict", body(kind="b", size=1.1))
    assert refused.status == 422
    assert [(each["type"], each["loc"]) for each in refused.json["detail"]] == [
        ("expected_values", ["body", "kind"]), ("expected_minimum", ["body", "size"]),
    ]  # fmt: skip
    assert refused.json["detail"][0]["msg"] == "Input should be one of 'a'"
    rows = json.dumps({"rows": [ROW, {**ROW, "size": 101.0}]}).encode()
    many = await call(app, "POST", "/predict", rows)
    assert [each["loc"] for each in many.json["detail"]] == [["body", "rows", 1, "size"]]
    own = await call(app, "POST", "/predict", body(size="x", kind="b"))
    assert all(not each["type"].startswith("expected") for each in own.json["detail"]), "the contract comes first"
    assert len(log.entries) == 1


async def test_where_it_is_only_counted_it_is_answered(log: Log):
    app = answers(log, expectations=expected(Breach.COUNT))
    rows = json.dumps({"rows": [{**ROW, "size": 1.1}, {**ROW, "size": 1.2}, {**ROW, "kind": "b"}]}).encode()
    assert (await call(app, "POST", "/predict", rows)).status == 200
    assert (await call(app, "POST", "/predict", body(size=1.5))).status == 200
    told = json.loads((await call(app, "GET", "/-/expectations")).body)
    assert told == {
        "counts": [{"field": "kind", "expectation": "values", "requests": 1},
                   {"field": "size", "expectation": "minimum", "requests": 2}]
    }  # fmt: skip


async def test_replays_golden_requests_and_checked_tasks_are_not_counted_twice(log: Log):
    made = contract(golden=())
    plane = DataPlane(made, made.predictor(), version(expectations=expected(Breach.COUNT)), log)
    wrong = body(size=1.1)
    plane.predict(Call(None, replayed=True), wrong, time.perf_counter())
    plane.check(wrong)
    assert plane.breaches.counts == ()
    plane.predict(Call(None, replayed=False), wrong, time.perf_counter())
    plane.check(wrong)
    plane.check_golden()
    assert plane.breaches.counts == (BreachCount(field="size", expectation="minimum", requests=1),)
    refusing = DataPlane(made, made.predictor(), version(expectations=expected()), log)
    with pytest.raises(HttpError):
        refusing.check(wrong)
    assert refusing.breaches.counts[0].requests == 1, "a task that is refused is never answered"


async def test_tensors_are_held_to_it_as_well(log: Log):
    app = answers(log, expectations=expected())
    sent = {"inputs": [
        {"name": "kind", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]},
        {"name": "size", "shape": [2], "datatype": "FP64", "data": [4.0, 4.0]},
        {"name": "when", "shape": [2], "datatype": "BYTES", "data": [str(ROW["when"])] * 2},
    ]}  # fmt: skip
    refused = await call(app, "POST", "/v2/models/halves/infer", json.dumps(sent).encode())
    assert refused.status in (400, 422), refused.body
    assert "Input should be one of 'a'" in refused.body.decode()
    assert app.plane.breaches.counts[0].field == "kind"


async def test_without_a_declaration_nothing_is_held_and_nothing_counted(log: Log):
    app = answers(log)
    assert (await call(app, "POST", "/predict", body(size=1.1, kind="b"))).status == 200
    assert app.plane._expected is None
    assert json.loads((await call(app, "GET", "/-/expectations")).body) == {"counts": []}


class Any_(BaseModel):
    value: Any = None


@pytest.mark.parametrize(
    ("field", "value", "broken"),
    [
        ({"type": "double"}, None, "required"),
        ({"type": "double"}, float("nan"), "required"),
        ({"type": "double", "required": False}, None, None),
        ({"type": "double", "required": False}, float("nan"), None),
        ({"type": "double"}, float("inf"), "finite"),
        ({"type": "double", "finite": False, "maximum": 1}, float("inf"), None),
        ({"type": "double"}, "1", "type"),
        ({"type": "double"}, True, "type"),
        ({"type": "double"}, 3, None),
        ({"type": "int8"}, 128, "type"),
        ({"type": "uint8"}, 255, None),
        ({"type": "uint8"}, -1, "type"),
        ({"type": "int64"}, 2.0, None),
        ({"type": "int64"}, 2.5, "type"),
        ({"type": "int64"}, float("inf"), "finite"),
        ({"type": "string | int64"}, 3, None),
        ({"type": "string"}, 3, "type"),
        ({"type": "bool", "values": ["true"]}, False, "values"),
        ({"type": "timestamp[us, tz=UTC]", "minimum": 1e6}, datetime(1970, 1, 1, tzinfo=UTC), "minimum"),
        ({"type": "timestamp[us]", "minimum": 1e6}, datetime(1970, 1, 2), None),
        ({"type": "timestamp[us]"}, date(1970, 1, 2), "type"),
        ({"type": "date32[day]", "maximum": 5}, date(1970, 1, 7), "maximum"),
        ({"type": "list<item: double>", "min_length": 1, "max_length": 2}, [], "length"),
        ({"type": "list<item: double>", "max_length": 2}, [1.0, 2.0, 3.0], "length"),
        ({"type": "list<item: double>", "min_length": 2}, [1.0, 2.0, 3.0], None),
        ({"type": "list<item: double>"}, "abc", "type"),
        ({"type": "struct<a: double>"}, {"a": 1}, None),
    ],
)
def test_presence_type_domain_range_and_length(field: dict[str, Any], value: Any, broken: str | None):
    rows = ExpectedRows(Expectations(columns={"value": ExpectedField(**field)}), Any_)
    row = Any_.model_construct(value=value)
    if broken is None:
        rows.require([row], single=True)
        return
    with pytest.raises(ValidationError) as told:
        rows.require([row], single=True)
    assert [(each["type"], each["loc"]) for each in told.value.errors()] == [(f"expected_{broken}", ("value",))]


def test_what_is_expected_of_no_field_is_told():
    [told] = ExpectedRows(Expectations(columns={"gone": ExpectedField(type="double")}), Any_).unknown
    assert "'gone' is expected of requests" in told and "absentIn: [serving]" in told
