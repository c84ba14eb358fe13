"""Tables of a hundred thousand columns: each of them costs the same, however many there are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from heliostat.data.drift import Limits, compare
from heliostat.data.inference import MOST_SUSPECTS, infer
from heliostat.data.profiling import DRIFT, Measures, profile
from heliostat.data.validation import validate

MANY = 100_000


def table(columns: int, rows: int = 3) -> pa.Table:
    numbers = [pa.array(np.arange(rows, dtype=np.float64) + column) for column in range(columns)]
    return pa.table([*numbers, pa.array([0.0, 1.0, 1.0])], names=[*(f"c{column}" for column in range(columns)), "label"])


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_hundred_thousand_columns_go_through_profile_schema_validation_and_comparison() -> None:
    given = table(MANY)
    reference = profile(given, DRIFT)
    schema = infer(reference, label="label")
    assert len(schema.columns) == MANY + 1
    assert validate(schema, given).holds
    wrong = given.set_column(7, "c7", pa.array([1e9, 1e9, 1e9])).drop_columns(["c8"])
    assert {finding.column for finding in validate(schema, wrong).findings} == {"c7", "c8"}
    found = compare(reference, profile(wrong, DRIFT), Limits())
    assert len(found.columns) == MANY + 1
    assert {column.name for column in found.columns if column.status == "vanished"} == {"c8"}


def test_a_table_is_asked_for_the_names_of_its_columns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given = table(300)
    schema = infer(profile(given, Measures(label="label", correlations=False, threads=1)))
    asked = 0

    class Counted:
        """A table that counts how often it lists its columns."""

        def __getattr__(self, name: str) -> object:
            nonlocal asked
            asked += name == "column_names"
            return getattr(given, name)

        def __getitem__(self, name: str) -> object:
            return given[name]

    assert validate(schema, Counted()).holds  # type: ignore[arg-type]
    assert asked <= 3, "else the time grows with the square of the columns"


def test_whether_a_feature_knows_the_label_is_asked_of_some_features_and_not_of_thousands() -> None:
    few, many = (
        infer(profile(table(count), Measures(label="label", correlations=False, threads=1)))
        for count in (MOST_SUSPECTS, MOST_SUSPECTS + 1)
    )
    assert few.leakage is not None and few.leakage.knows_label == 0.99
    assert many.leakage is None
