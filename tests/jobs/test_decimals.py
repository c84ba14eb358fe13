"""Decimals of a database as the numbers that models take, with what that costs."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from heliostat.data.ingestion import LabelsSource, labelled
from heliostat.jobs import cursors
from heliostat.jobs.batch.rows import require_exact, table_of
from heliostat.jobs.decimals import as_doubles
from heliostat.spec.ingestion import FilesSource
from heliostat.systems.errors import PermanentError


def table(*values: Decimal | None, **given: Any) -> pa.Table:
    return table_of(["fare"], [(value,) for value in values], given.pop("types", {}), None, **given)


def test_decimals_become_the_nearest_doubles_and_what_is_missing_or_not_finite_stays_so() -> None:
    found = table(None, Decimal("12.30"), Decimal("NaN"), Decimal("-Infinity"), Decimal("1e-400"))["fare"]
    assert found.type == pa.float64() and found.null_count == 1
    values = found.to_pylist()
    assert values[1] == 12.3 and math.isnan(values[2]) and values[3] == -math.inf and values[4] == 0.0


@pytest.mark.parametrize(
    ("text", "rounded"),
    [
        ("0.1", 0), ("-0", 0), ("123456789012.345", 0), ("9007199254740992", 0), ("9007199254740993", 1),
        ("0.1000000000000000055511151231257827021181583404541015625", 0), ("3.14159265358979323846", 1), ("1e-400", 1),
        ("NaN", 0), ("Infinity", 0),
    ],
)  # fmt: skip
def test_values_that_are_another_number_as_a_double_are_counted(text: str, rounded: int) -> None:
    assert as_doubles([Decimal(text)])[1] == rounded


def test_a_number_beyond_every_double_is_told_without_itself() -> None:
    with pytest.raises(
        PermanentError, match=r"the column 'fare' of the query is not double: the value in row 1 .* beyond"
    ) as told:
        table(Decimal(1), Decimal("7e400"))
    assert "7" not in str(told.value)


def test_a_column_that_is_to_be_whole_takes_whole_decimals_alone() -> None:
    whole = {"fare": pa.int64()}
    big = 2**60 + 1
    assert table(Decimal("5.00"), None, Decimal(big), types=whole)["fare"].to_pylist() == [5, None, big]
    with pytest.raises(PermanentError, match=r"is not int64: the value in row 1 .* is no whole number; CAST it"):
        table(Decimal(5), Decimal("5.5"), types=whole)


def test_rounded_values_that_tell_rows_apart_are_refused_and_others_are_not() -> None:
    rounded = Counter[str]()
    table(Decimal(2**60 + 1), Decimal(2**60 + 3), rounded=rounded)
    require_exact(rounded, ["id"], "by which rows are told apart")
    with pytest.raises(PermanentError, match=r"2 values of 'fare', by which rows are told apart, .*CAST it to bigint or text"):
        require_exact(rounded, ["id", "fare"], "by which rows are told apart")


@pytest.mark.parametrize("values", [[1.0, math.inf], [math.nan, math.nan]])
def test_a_cursor_that_is_no_finite_number_is_told(values: list[float]) -> None:
    with pytest.raises(PermanentError, match="must be a finite number or a time"):
        cursors.greatest("size", pa.chunked_array([values]))


def test_labels_find_rows_whose_whole_numbers_are_doubles() -> None:
    of = LabelsSource(files=FilesSource(uri="file:///labels"), on="id")
    rows = pa.table({"id": [123456789012345.0, 7.0]})
    labels = pa.table({"id": [7, 123456789012345], "label": [0, 1]})
    assert labelled(rows, labels, of, "late")["late"].to_pylist() == [1, 0]
