"""Integers that no column, tensor or log can hold are refused with their paths, and what only looks like one is taken."""

from __future__ import annotations

import decimal
import json

import pytest
from pydantic import BaseModel, ConfigDict, Field
from serving_fakes import JSON, Log, answers, call, contract


class Inner(BaseModel):
    deep: list[int] = []


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: float = 1.0
    count: int = 0
    name: str = ""
    exact: decimal.Decimal = decimal.Decimal(0)
    inner: Inner = Inner()
    named: dict[str, int] = {}
    other: int = Field(default=0, alias="o")


APP = answers(Log(), contract(row=Row, examples=(Row(),), golden=()))


async def problems(body: str) -> list[dict[str, object]]:
    answer = await call(APP, "POST", "/predict", body.encode(), **JSON)
    assert answer.status in (200, 422)
    return [] if answer.status == 200 else answer.json["detail"]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30, 10**4000])
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{{"count": {0}}}', ["body", "count"]),
        ('{{"o": {0}}}', ["body", "o"]),
        ('{{"inner": {{"deep": [1, {0}]}}}}', ["body", "inner", "deep", 1]),
        ('{{"named": {{"a": {0}}}}}', ["body", "named", "a"]),
        ('{{"rows": [{{}}, {{"count": {0}}}]}}', ["body", "rows", 1, "count"]),
    ],
)
async def test_an_integer_of_more_than_64_bits_is_refused_with_its_path(value: int, body: str, path: list[str]) -> None:
    [problem] = await problems(body.format(value))
    assert (problem["loc"], problem["msg"]) == (path, "Input should be an integer of 64 bits")
    assert "input" not in problem


@pytest.mark.parametrize(
    "row",
    [
        {"count": 2**63 - 1}, {"count": -(2**63)}, {"name": "1" * 40}, {"exact": "1" * 25}, {"size": 10**25},
        {"size": 0.1234567890123456789012345},
    ],
)  # fmt: skip
async def test_what_has_64_bits_or_is_no_integer_is_taken(row: dict[str, object]) -> None:
    assert await problems(json.dumps(row)) == []


async def test_all_of_them_are_told() -> None:
    found = await problems(json.dumps({"rows": [{"count": 2**64, "o": 2**65}, {"count": 2**66}]}))
    assert [problem["loc"] for problem in found] == [
        ["body", "rows", 0, "count"], ["body", "rows", 0, "o"], ["body", "rows", 1, "count"],
    ]  # fmt: skip


async def test_a_tensor_beyond_is_refused_by_its_own_path() -> None:
    asked = {"inputs": [{"name": "count", "datatype": "UINT64", "shape": [2], "data": [1, 2**63]}]}
    answer = await call(APP, "POST", "/v2/models/halves/infer", json.dumps(asked).encode())
    assert [each["loc"] for each in answer.json["detail"]] == [["inputs", "count", "data", 1]]
