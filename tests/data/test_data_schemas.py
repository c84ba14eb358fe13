from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from heliostat.data.inference import infer
from heliostat.data.profiling import profile
from heliostat.data.schema import JSON_SCHEMA_FILE, Schema, SchemaError, load, read, schema_text
from heliostat.data.validation import Validator, validate


def table(rows: int = 1_000) -> pa.Table:
    generator = np.random.default_rng(0)
    return pa.table(
        {
            "distance": generator.gamma(2, 500, rows),
            "hour": generator.integers(5, 24, rows),
            "carrier": generator.choice(["AA", "UA"], rows),
            "flight": [f"flight-{number}" for number in range(rows)],
            "weather": pa.array(generator.normal(size=rows), mask=generator.random(rows) < 0.05),
            "tags": pa.array([["x"] * int(count) for count in generator.integers(1, 4, rows)]),
            "arrival": pa.array(1_700_000_000 + generator.integers(0, 86_400, rows), pa.timestamp("s")),
            "late": generator.random(rows) < 0.2,
        }
    )


def schema() -> Schema:
    return infer(profile(table()), label="late", known_later=["arrival"])


def changed(name: str, values: object) -> pa.Table:
    rows = table()
    return rows.set_column(rows.column_names.index(name), name, pa.chunked_array([pa.array(values)]))


def test_data_holds_the_schema_that_was_inferred_from_it():
    found = validate(schema(), table())

    assert found.holds
    assert str(found) == "1,000 rows are as the schema expects"


def test_a_schema_comes_back_from_its_file(tmp_path):
    path = tmp_path / "schema.yaml"
    path.write_text(schema().to_yaml())

    assert load(path) == schema()
    assert "review it" in path.read_text()
    assert "values: [AA, UA]" in path.read_text()


def test_inference_gives_numbers_room_and_names_no_domain():
    columns = schema().columns

    assert columns["distance"].minimum == 0
    assert columns["distance"].maximum > table()["distance"].to_numpy().max()
    assert (columns["hour"].minimum, columns["hour"].maximum) == (3, 25)
    assert columns["flight"].values is None
    assert columns["arrival"].minimum is columns["arrival"].maximum is None, "time goes on, and earlier data is no mistake"
    assert 0.05 < columns["weather"].max_missing < 0.2
    assert columns["late"].values == ("false", "true")


def test_the_label_and_what_is_known_later_are_absent_while_serving():
    expected = schema()

    assert expected.features == ("distance", "hour", "carrier", "flight", "weather", "tags")
    assert validate(expected, table().drop_columns(["late", "arrival"]), "serving").holds
    assert {finding.column for finding in validate(expected, table(), "serving").findings} == {"late", "arrival"}
    with pytest.raises(ValueError, match="there is no environment 'moon': the schema has training, serving"):
        validate(expected, table(), "moon")


@pytest.mark.parametrize(
    ("column", "values", "expectation", "words"),
    [
        ("hour", [25] * 999 + [99], "maximum", "above the maximum 25, as far as 99"),
        ("distance", [-1.0] + [1.0] * 999, "minimum", "below the minimum 0, as far as -1 (rows 0)"),
        ("carrier", ["AA"] * 998 + ["ZZ", "YY"], "values", "not among the 2 expected: 'ZZ', 'YY'"),
        ("weather", [None] * 500 + [0.0] * 500, "maxMissing", "500 rows are missing: 50.000% of all"),
        ("weather", [float("nan")] * 500 + [0.0] * 500, "maxMissing", "500 rows are missing"),
        ("weather", [float("inf")] + [0.0] * 999, "maxInfinite", "1 rows are infinite"),
        ("tags", [["x"]] * 999 + [["x"] * 9], "length", "have 9 values, and 1 to 3 are expected"),
        ("hour", ["5"] * 1_000, "type", "is of type string, and int64 is expected"),
    ],
)
def test_a_failed_expectation_names_column_limit_value_and_rows(column, values, expectation, words):
    (finding,) = validate(schema(), changed(column, values)).findings

    assert (finding.column, finding.expectation) == (column, expectation)
    assert words in finding.text
    assert (
        finding.count == len([row for row in range(1_000) if row in finding.rows])
        or finding.count > 10
        or expectation == "type"
    )


def test_missing_within_the_limit_is_nothing_to_tell():
    assert validate(schema(), changed("weather", [None] * 50 + [0.0] * 950)).holds


def test_a_column_whose_values_are_all_missing_is_missing_and_of_no_other_type():
    (finding,) = validate(schema(), changed("hour", pa.nulls(1_000))).findings

    assert finding.expectation == "maxMissing"


def test_unique_finds_all_but_the_first():
    expected = Schema.model_validate({"columns": {"flight": {"type": "string", "unique": True, "maxMissing": 1}}})

    (finding,) = validate(expected, pa.table({"flight": ["a", None, "b", "a", None, "a"]})).findings

    assert finding.rows == (3, 5)
    assert validate(expected, pa.table({"flight": ["a", "b", None, None]})).holds


def test_nan_is_missing_and_no_value_that_is_there_again():
    expected = Schema.model_validate({"columns": {"x": {"type": "double", "unique": True, "maxMissing": 1}}})
    assert validate(expected, pa.table({"x": [float("nan"), 1.0, float("nan"), None]})).holds
    (finding,) = validate(expected, pa.table({"x": [float("nan"), 1.0, float("nan"), 1.0]})).findings
    assert finding.rows == (3,)


@pytest.mark.parametrize("missing", [7, 14, 28, 29, 55, 57, 58])
def test_as_many_as_the_limit_are_not_more(missing):
    expected = Schema.model_validate({"columns": {"x": {"type": "double", "maxMissing": missing / 100}}})
    assert validate(expected, pa.table({"x": [None] * missing + [1.0] * (100 - missing)})).holds
    assert not validate(expected, pa.table({"x": [None] * (missing + 1) + [1.0] * (99 - missing)})).holds


def test_all_findings_come_at_once():
    rows = changed("hour", [99] * 1_000).drop_columns(["carrier"])
    found = validate(schema(), rows)

    assert [finding.column for finding in found.findings] == ["hour", "carrier"]
    assert "the column 'carrier' is not there: the schema expects it as string in 'training'" in str(found)


def test_new_columns_are_told_where_the_schema_wants_none():
    strict = schema().model_copy(update={"allow_new_columns": False})
    rows = table().append_column("extra", pa.array([1] * 1_000))

    assert validate(schema(), rows).holds
    assert validate(strict, rows).findings[0].expectation == "allowNewColumns"


def test_a_distribution_is_held_to_its_limit():
    given = {"type": "double", "drift": {"distance": "kolmogorov-smirnov", "limit": 0.1}}
    expected = Schema.model_validate({"columns": {"x": given}})
    then = profile(pa.table({"x": np.random.default_rng(0).normal(size=5_000)}))
    shifted = pa.table({"x": np.random.default_rng(1).normal(1, 1, 2_000)})

    (finding,) = validate(expected, shifted, reference=then).findings

    assert finding.value > finding.limit["kolmogorov-smirnov"]
    assert "'x' has drifted" in finding.text
    assert validate(expected, pa.table({"x": np.random.default_rng(2).normal(size=2_000)}), reference=then).holds
    assert validate(expected, shifted).holds, "without a reference there is none to be far from"


def test_dictionaries_are_texts():
    rows = table()
    coded = rows.set_column(2, "carrier", rows["carrier"].dictionary_encode())

    assert validate(schema(), coded).holds


def test_every_mistake_of_a_file_is_told():
    text = """
label: gone
columns:
  a: {type: double, minimum: 3, maximum: 1}
  b: {typ: string, maxMissing: 2}
  c: {type: string, absentIn: [moon]}
"""
    with pytest.raises(SchemaError) as caught:
        read(text, "workloads/x/schema.yaml")

    for words in ("workloads/x/schema.yaml", "the minimum 3 is above the maximum 1", "columns.b.typ", "columns.b.maxMissing"):
        assert words in str(caught.value)
    with pytest.raises(SchemaError, match=r"the label 'gone' is no column of the schema.*'moon', which is not among"):
        read("label: gone\ncolumns: {c: {type: string, absentIn: [moon]}}")
    with pytest.raises(SchemaError, match="cannot be read"):
        read("columns: [")


def test_a_schema_is_inferred_of_rows_and_columns_that_are_there():
    with pytest.raises(ValueError, match="no columns of the profile: 'gone'"):
        infer(profile(table(10)), label="gone")
    with pytest.raises(ValueError, match="without rows suggests no schema"):
        infer(profile(table(10).slice(0, 0)))


def test_parts_are_held_to_a_schema_as_the_whole_is():
    rows = changed("hour", [99] * 3 + [7] * 990 + [1] * 7)
    validator = Validator(schema())
    for first in range(0, 1_000, 130):
        validator.add(rows.slice(first, 130))

    assert validator.validation() == validate(schema(), rows)
    assert [finding.rows[0] for finding in validator.validation().findings] == [993, 0]


def test_unique_looks_over_all_parts():
    expected = Schema.model_validate({"columns": {"n": {"type": "int64", "unique": True}}})
    validator = Validator(expected)
    big = 2**60
    for part in ([big, big + 1], [big + 2, big]):
        validator.add(pa.table({"n": part}))

    (finding,) = validator.validation().findings
    assert finding.rows == (3,)


def test_the_committed_json_schema_is_that_of_the_model():
    committed = Path(__file__).parents[2] / "configs" / JSON_SCHEMA_FILE
    assert committed.read_text() == schema_text(), "the schema is stale: run `make schema` and commit it"


def test_what_leakage_names_has_to_be_a_column():
    with pytest.raises(SchemaError, match=r"`leakage` names 'gone'.*`leakage.knowsLabel` needs the label"):
        read("leakage: {event: gone, knowsLabel: 0.9}\ncolumns: {c: {type: string}}")
