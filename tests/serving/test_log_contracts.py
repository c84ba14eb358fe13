"""The prediction log of any contract: one schema for all its files, and what was sent comes back."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import math
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from logged_contracts import (
    LEAVES,
    Inner,
    Told,
    fields,
    files,
    log_all,
    log_of,
    logged,
)
from pydantic import (
    AliasChoices,
    AliasPath,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    computed_field,
    create_model,
)
from pydantic_core import from_json, to_json

from heliostat.serving.bodies import Bodies
from heliostat.serving.prediction_log import cells
from heliostat.serving.prediction_log.arrow import Batch, asked_in, record_batch, schema_of
from heliostat.serving.prediction_log.columns import Columns, Shape
from heliostat.serving.prediction_log.lines import Lines
from heliostat.serving.prediction_log.masking import hide
from heliostat.spec.addresses import StoreAddress


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), definitions=fields())
def test_what_was_sent_comes_back_whatever_the_contract_and_all_files_have_one_schema(tmp_path_factory, data, definitions):
    made, required, optional = definitions
    row = create_model("Row", __config__=ConfigDict(extra="forbid", use_enum_values=False), **made)
    sent = data.draw(st.lists(st.fixed_dictionaries(required, optional=optional), min_size=1, max_size=4))
    bodies = [to_json(each, inf_nan_mode="constants") for each in sent]
    reader = Bodies(row, 1000)
    bodies = [body for body in bodies if _fits(reader, body)]
    if len(bodies) > 1:
        bodies.append(b'{"rows": [' + b" ,\n".join(bodies) + b"]}\n")
    tmp_path = tmp_path_factory.mktemp("any")
    address = StoreAddress(uri=f"file://{tmp_path}/objects")
    log_all(address, row, tmp_path, bodies)
    back = logged(address, tmp_path)
    assert len(back) == len(bodies)
    assert list(map(_text, back)) == list(map(_text, bodies))
    nothing = io.BytesIO()
    pq.write_table(schema_of(Columns.of(row, Told)).empty_table(), nothing)
    for table in files(address):
        assert table.schema.equals(pq.read_schema(nothing), check_metadata=True)


@pytest.mark.parametrize("number", range(len(LEAVES)))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_each_type_comes_back_from_its_column(number, data):
    of, values = LEAVES[number]
    row = create_model("Row", value=(of, ...))
    columns = Columns.of(row, Told)
    sent = data.draw(st.lists(st.fixed_dictionaries({"value": values}), min_size=1, max_size=5))
    batch = Batch(["r"] * len(sent), list(range(len(sent))), [0] * len(sent), ["1"] * len(sent), [1.0] * len(sent))
    batch.asked, batch.answered = from_json(to_json(sent, inf_nan_mode="constants")), [{"p": 1.0}] * len(sent)
    found, _ = record_batch(batch, columns, schema_of(columns))
    back = asked_in(pa.Table.from_batches([found]))
    assert [_text(to_json(each)) for _, _, each in back] == [_text(to_json(each)) for each in batch.asked]


def _text(body: bytes) -> str:
    """The same for what is the same JSON: `4` is not `4.0`, and the order in an object is nothing."""
    return json.dumps(from_json(body), sort_keys=True)


def _fits(reader: Bodies, body: bytes) -> bool:
    try:
        reader.read(body)
    except ValueError:
        return False
    return True


@pytest.fixture
def address(tmp_path):
    return StoreAddress(uri=f"file://{tmp_path}/objects")


def stored(address, row, tmp_path, *sent):
    """One file of these rows."""
    log_all(address, row, tmp_path, [each if isinstance(each, bytes) else to_json(each) for each in sent])
    [table] = files(address)
    return table


def test_a_union_of_numbers_and_texts_is_stored_after_five_hundred_numbers(address, tmp_path):
    class Row(BaseModel):
        code: int | str

    table = stored(address, Row, tmp_path, *({"code": number} for number in range(500)), {"code": "A1"})
    assert [from_json(value) for value in table["input_code"].to_pylist()] == [*range(500), "A1"]
    assert table["misfit"].null_count == 501


def test_an_empty_map_and_a_file_of_nothing_but_nulls_have_the_contracts_types(address, tmp_path):
    class Row(BaseModel):
        extras: dict[str, float] = {}
        note: str | None = None
        lists: list[int] | None = None
        inner: Inner | None = None

    table = stored(address, Row, tmp_path, {}, {"extras": {}}, {"note": None})
    assert table.schema.field("input_extras").type == pa.map_(pa.string(), pa.float64())
    assert table.schema.field("input_note").type == pa.string()
    assert table.schema.field("input_lists").type == pa.list_(pa.int64())
    assert table["input_extras"].to_pylist() == [None, [], None]
    assert [json.loads(body) for body in logged(address, tmp_path)] == [{}, {"extras": {}}, {"note": None}]


def test_a_number_beyond_64_bits_costs_its_cell_and_nothing_else(address, tmp_path, caplog):
    class Row(BaseModel):
        number: int
        other: int

    # No request may hold one: what is logged is not read again, and must not depend on that.
    sent = [{"number": 1, "other": 2}, {"number": 2**70, "other": 3}, {"number": -(2**70), "other": 4}]
    log = log_of(address, Row, tmp_path)
    for number, each in enumerate(sent):
        log.add(b"r-%d" % number, to_json(each), 1, b'{"p":1.0}', 0.001)
    log.close()
    [table] = files(address)
    assert table["input_number"].to_pylist() == [1, None, None]
    assert table["input_other"].to_pylist() == [2, 3, 4]
    assert table["input"].to_pylist()[0] is None
    assert from_json(table["input"].to_pylist()[1])["number"] == 2**70
    assert table["misfit"].to_pylist()[1] == f"input_number: {2**70} is not an integer of 64 bits"
    assert [json.loads(body)["number"] for body in logged(address, tmp_path)] == [1, 2**70, -(2**70)]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1, "told once"
    assert "input_number" in told[0]


def test_times_stand_on_the_clock_that_was_sent_and_with_a_zone_of_their_own_as_instants(address, tmp_path):
    class Row(BaseModel):
        when: dt.datetime
        moment: AwareDatetime

    zoned = {"when": "2013-07-09T19:30:00+02:00", "moment": "2013-07-09T19:30:00+02:00"}
    plain = {"when": "2013-07-09T19:30:00", "moment": "2013-07-09T17:30:00Z"}
    table = stored(address, Row, tmp_path, zoned, plain)
    assert table["input_when"].to_pylist() == [dt.datetime(2013, 7, 9, 19, 30)] * 2
    assert table["input_moment"].to_pylist() == [dt.datetime(2013, 7, 9, 17, 30, tzinfo=dt.UTC)] * 2
    assert [text is None for text in table["input"].to_pylist()] == [False, True], "the columns say all that has no zone"
    assert json.loads(logged(address, tmp_path)[0]) == zoned


@pytest.mark.parametrize(
    "text",
    ["2013-01-06 06:10:00", "2013-W01-1T06:10:00", "20130106T061000.000", "2013-01-06T24:00:00", "2013-01-06T06:10:00.500000",
     "2013-01-06T06-10-00", "2013-13-06T06:10:00", "2013-01-06t06:10:00", "2013-01-06T06:10+01", "2013-01-06T06:10:0\u0666"],
)  # fmt: skip
def test_times_that_look_like_those_of_python_are_told_apart_from_them(text):
    plain = "2013-01-06T06:10:00"
    assert cells._times([plain, None]) == [dt.datetime(2013, 1, 6, 6, 10), None]
    for texts in ([text], [plain, text], [text, plain]):
        found = cells._times(texts)
        assert found is None or [each.isoformat() for each in found] == texts


def test_fields_are_known_by_any_name_that_a_client_may_use(address, tmp_path):
    class Row(BaseModel):
        model_config = ConfigDict(extra="forbid", validate_by_name=True, validate_by_alias=True)
        one: int = Field(alias="in")
        two: int = Field(validation_alias=AliasChoices("b", "c"))
        three: int = Field(default=0, validation_alias=AliasPath("deep", 0))

        @computed_field
        @property
        def double(self) -> int:
            return 2 * self.one

    sent = [{"in": 1, "b": 2}, {"one": 3, "c": 4}, {"in": 5, "b": 6}]
    table = stored(address, Row, tmp_path, *sent)
    assert table["input_in"].to_pylist() == [1, 3, 5]
    assert table["input_b"].to_pylist() == [2, 4, 6]
    assert "input_double" not in table.column_names, "nobody sent it"
    assert [json.loads(body) for body in logged(address, tmp_path)] == sent


def test_what_a_contract_does_not_look_at_comes_back_too(address, tmp_path):
    class Row(BaseModel):
        size: float

    sent = [{"size": 1.5}, {"size": 2.5, "note": "for people"}]
    table = stored(address, Row, tmp_path, *sent)
    assert [text is None for text in table["input"].to_pylist()] == [True, False]
    assert [json.loads(body) for body in logged(address, tmp_path)] == sent


def test_a_name_that_a_row_shares_with_the_envelope_confuses_nothing(address, tmp_path):
    class Row(BaseModel):
        rows: int = 0
        note: str = ""

    sent = [{"note": '{"rows": [1]}'}, {"note": "x", "rows": 7}]
    bodies = [to_json({"rows": sent}), b'{"rows":[{"rows":1}],"rows":[{"rows":2},{"note":"]}"}]}', to_json(sent[1])]
    log_all(address, Row, tmp_path, bodies)
    assert [json.loads(body) for body in logged(address, tmp_path)] == [
        {"rows": sent},
        {"rows": [{"rows": 2}, {"note": "]}"}]},
        sent[1],
    ]


def test_a_path_into_what_was_sent_comes_back_too(address, tmp_path):
    class Row(BaseModel):
        three: int = Field(validation_alias=AliasPath("deep", 0))

    stored(address, Row, tmp_path, {"deep": [7]})
    assert [json.loads(body) for body in logged(address, tmp_path)] == [{"deep": [7]}]


def test_a_secret_reaches_neither_spool_nor_store(address, tmp_path):
    class Owner(BaseModel):
        name: str
        token: SecretStr = Field(alias="t")

    class Row(BaseModel):
        key: SecretStr
        owners: list[Owner] = []
        either: SecretStr | int = 0
        size: float

    lines = Lines("1-abc", Columns.of(Row, Told), hide)
    body = {"key": "hush", "size": 1, "owners": [{"name": "ada", "t": "hush"}], "either": "hush", "elsewhere": "hush"}
    assert b"hush" not in (line := lines.of([(b"r", 0.0, to_json(body), 1, b"{}", 0.0, None)]))
    assert b"ada" in line
    log_all(address, Row, tmp_path, [to_json(body)])
    [table] = files(address)
    assert "hush" not in str(table.to_pylist())
    assert table["input_key"].to_pylist() == ["**********"]
    assert table["input_size"].to_pylist() == [1.0]


def test_answers_have_the_contracts_types_too(address, tmp_path):
    class Answer(BaseModel):
        label: Literal["late", "on time"]
        score: float | None
        price: decimal.Decimal
        at: AwareDatetime | None = None

        @computed_field
        @property
        def rounded(self) -> int:
            return 1

    class Row(BaseModel):
        size: float

    log = log_of(address, Row, tmp_path, Answer)
    log.add(b"r", b'{"size":1}', 1, to_json(Answer(label="late", score=math.nan, price=decimal.Decimal("1.10"))), 0.0)
    log.close()
    [table] = files(address)
    [found] = table.to_pylist()
    assert found["prediction_score"] is None, "as the client was told"
    assert (found["prediction_label"], found["prediction_price"], found["prediction_rounded"]) == ("late", "1.10", 1)
    assert table.schema.field("prediction_at").type == pa.timestamp("us", "UTC")


def test_what_arrow_takes_none_of_is_a_misfit_of_its_row(address, tmp_path, monkeypatch):
    class Foreign:
        def isoformat(self):
            return "2013-07-09"

    read = cells._CELL[Shape.DATE]
    odd = "2013-07-09"
    monkeypatch.setitem(cells._CELL, Shape.DATE, lambda value, kind: Foreign() if value == odd else read(value, kind))

    class Row(BaseModel):
        day: dt.date

    days = ["2013-07-08", odd, "2013-07-10"]
    table = stored(address, Row, tmp_path, *({"day": day} for day in days))
    assert table["input_day"].to_pylist() == [dt.date(2013, 7, 8), None, dt.date(2013, 7, 10)]
    assert table["misfit"].to_pylist()[1].startswith("input_day: ")
    assert [json.loads(body)["day"] for body in logged(address, tmp_path)] == days


def test_a_contract_says_its_columns_without_pyarrow():
    columns = Columns.of(create_model("Row", **{f"f{n}": (of, ...) for n, (of, _) in enumerate(LEAVES)}), Told)
    assert Columns.model_validate_json(columns.model_dump_json(exclude_defaults=True)) == columns
    assert TypeAdapter(Columns).json_schema()
    shapes = {column.kind.shape for column in columns.input}
    assert shapes >= {Shape.INSTANT, Shape.TIME, Shape.DATE, Shape.CLOCK, Shape.DECIMAL, Shape.STRUCT, Shape.JSON, Shape.MAP}
