"""What a failed job tells of data with personal columns: errors stand in logs, and quote no values of them."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliostat.data.inference import infer
from heliostat.data.storage import from_bytes
from heliostat.jobs import data_of, personal_texts, row_errors, snapshot, specification
from heliostat.jobs.batch import rows as batch_rows
from heliostat.jobs.personal_columns import treated
from heliostat.jobs.personal_texts import PersonalTexts
from heliostat.ml.datasets import Tables, save
from heliostat.serving.prediction_log.columns import Column, Kind, Shape
from heliostat.serving.prediction_log.masking import Masking
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.jobs import SnapshotSpecification
from heliostat.spec.personal import PersonalMark, Treatment
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store
from heliostat.systems.personal_keys import Keyring

EMAIL, NAME = "ada.lovelace@example.org", "Augusta Kingç 'Ada'"
PERSONAL = ("email", "name", "age", "phone", "code")
SCHEMA = """
label: late
columns:
  email: {type: string, values: [nobody], knownAtPrediction: KNOWN}
  carrier: {type: string, values: [UA]}
  age: {type: int64, maximum: 30}
  late: {type: double}
"""


def people(rows: int = 40) -> pa.Table:
    return pa.table(
        {
            "email": [EMAIL, *(f"p{number}@example.org" for number in range(1, rows))],
            "name": [NAME] * rows,
            "age": pa.array([36] * rows, pa.int64()),
            "phone": pa.array([4915112345678 + number for number in range(rows)], pa.int64()),
            "code": ["F"] * rows,
            "carrier": ["XX"] * rows,
            "income": [float(number) for number in range(rows)],
            "late": [float(number % 2) for number in range(rows)],
        }
    )


class World:
    """A data set, and what becomes of a job that makes it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.store = StoreAddress(uri=f"file://{folder}/objects")
        (folder / "rows").mkdir()
        pq.write_table(people(), folder / "rows" / "a.parquet")
        self.source: dict[str, Any] = {"kind": "files", "uri": f"file://{folder}/rows"}

    def failed(self, function: Any, personal: tuple[str, ...] = PERSONAL, **given: Any) -> tuple[str, type]:
        """What the job's log says, as `heliostat.jobs.specification` writes it, and of which kind the error is."""
        self.monkeypatch.setattr(data_of, "load_entry_point", lambda _: function)
        split = {"kind": "group", "column": "income", "validation": 0.3, "test": 0.3}
        ingestion = {"source": self.source, "label": "late", "split": split}
        asked = SnapshotSpecification(
            name="loans", entry_point="w.d:snapshot", parameters={}, identity="7" * 64, code_digest="2" * 64,
            store=self.store, result_key="datasets/loans/made/a.json", personal=personal, **{"ingestion": ingestion, **given},
        )  # fmt: skip
        open_store(self.store).put("jobs/a.json", asked.model_dump_json().encode())
        where = {"store": self.store.model_dump(mode="json"), "key": "jobs/a.json"}
        self.monkeypatch.setattr(sys, "argv", ["job", json.dumps(where)])
        self.monkeypatch.setattr(specification, "lower_priority", lambda: None)
        told: list[str] = []
        self.monkeypatch.setattr(specification, "fail", lambda kind, message: told.append(message))
        kinds: list[type] = []

        def work(given: SnapshotSpecification) -> None:
            try:
                snapshot.snapshot(given)
            except Exception as error:
                kinds.append(type(error))
                raise

        with pytest.raises(SystemExit):
            specification.run(SnapshotSpecification, work)
        return told[0], kinds[0]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def clear(text: str) -> list[str]:
    return [each for each in (EMAIL, "Augusta", "lovelace", "Kingç", "4915112345678") if each in text]


def quoting(parameters: Any, rows: pa.Table) -> Any:
    row = rows.to_pylist()[0]
    raise ValueError(f"no income of {row['email']!r}, {row['name']!r}, {row['phone']}, {row['code']!r} ({len(rows)} rows)")


def test_a_function_that_quotes_a_row_is_told_of_without_what_is_personal_in_it(world: World) -> None:
    text, _ = world.failed(quoting)
    assert clear(text) == [] and "'F'" not in text
    assert "no income of" in text and "(40 rows)" in text, "the rest stays, and counts are no ages"
    assert "in quoting" in text, "and so do the lines of code"
    as_it_is, kind = world.failed(quoting, personal=())
    assert len(clear(as_it_is)) == 5 and kind is ValueError, "where nothing is marked, it is told as it is"


def test_of_a_function_that_reads_by_itself_the_lines_are_told_and_not_the_words(world: World) -> None:
    def reading(parameters: Any) -> Any:
        try:
            raise KeyError(EMAIL)
        except KeyError as error:
            raise ValueError(f"no such person: {EMAIL}") from error

    text, _ = world.failed(reading, ingestion=None)
    assert clear(text) == []
    assert text.index("KeyError, raised here") < text.index("ValueError, raised here")
    assert "in reading" in text and "is not told" in text


def test_what_a_schema_refuses_is_named_by_row_and_the_report_has_the_rows(world: World) -> None:
    text, kind = world.failed(lambda parameters, rows: rows, data_schema=SCHEMA.replace("KNOWN", "true"))
    assert clear(text) == [] and kind is PermanentError
    assert "the column 'email': " in text and "rows do not hold its `values` (rows 0, 1" in text
    assert "do not hold its `maximum`" in text and "as far as" not in text
    assert "'XX'" in text, "what is not personal is quoted as ever"
    report = json.loads(open_store(world.store).get(f"datasets/loans/refused/{'7' * 64}.json"))
    assert clear(json.dumps([each["text"] for each in report["findings"]])) == []
    assert any("email" in row for each in report["findings"] for row in each["examples"]), "where a deletion finds them"


def test_groups_of_people_in_two_splits_are_counted_and_not_named(world: World) -> None:
    schema = "label: late\ncolumns:\n  email: {type: string}\n  late: {type: double}\nleakage: {group: email}\n"
    split = people()

    def twice(parameters: Any) -> Tables:
        return Tables(train=split, validation=split, test=split, label="late")

    text, _ = world.failed(twice, ingestion=None, data_schema=schema)
    assert "groups of 'email'" in text and clear(text) == [] and "example.org" not in text


def test_statistics_and_a_first_schema_count_personal_texts_and_tell_none(world: World) -> None:
    table = people().set_column(1, "name", pa.array([NAME, "Bo"] * 20))
    saved = save(
        Tables(train=table, validation=table, test=table, label="late"), "loans", open_store(world.store),
        more={"personal": list(PERSONAL)},
    )  # fmt: skip
    top = f"datasets/loans/{saved['digest']}"
    told, schema = (json.loads(open_store(world.store).get(f"{top}/{name}.json")) for name in ("statistics", "schema"))
    assert clear(json.dumps([told, schema])) == [] and "King" not in json.dumps([told, schema])
    columns = told["train"]["columns"]
    assert columns["name"] == {"type": "string", "count": 40, "missing": 0, "distinct": 2}
    assert set(columns["phone"]) == {"type", "count", "missing", "notFinite", "distinct", "mean", "std"}
    assert (columns["carrier"]["top"], schema["columns"]["carrier"]["values"]) == ({"XX": 40}, ["XX"])
    profile = from_bytes(open_store(world.store).get(f"{top}/profiles/train.arrow"))
    first = infer(profile, "late", personal=saved["personal"])
    assert (first.columns["name"].values, first.columns["carrier"].values) == (None, ("XX",))


def test_what_is_marked_since_a_snapshot_was_made_is_told_of_no_more_once_it_is_made_again(world: World) -> None:
    data, store = Tables(train=people(), validation=people(), test=people(), label="late"), open_store(world.store)
    digest = save(data, "loans", store)["digest"]
    top = f"datasets/loans/{digest}"
    assert clear(store.get(f"{top}/statistics.json").decode()) != []
    again = save(data, "loans", store, more={"personal": [*PERSONAL, "no column"]})
    assert (again["digest"], again["personal"]) == (digest, sorted(PERSONAL))
    assert json.loads(store.get(f"{top}/manifest.json")) == again
    assert clear((store.get(f"{top}/statistics.json") + store.get(f"{top}/schema.json")).decode()) == []
    assert save(data, "loans", store) == again, "what is marked no more stays untold"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", f"email,late\nx@y.org,1\n{EMAIL},1,2\n", "Row #3: Expected 2 columns, got 3"),
        ("a.jsonl", f'{{"email": "x@y.org"}}\n{{"email": {EMAIL}}}\n', "Invalid value. in row 1"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_by_its_number(world: World, name: str, content: str, said: str) -> None:
    (world.folder / "rows" / name).write_text(content)
    world.source = {**world.source, "format": name.rpartition(".")[2]}
    text, _ = world.failed(lambda parameters, rows: rows, personal=())
    assert said in text and clear(text) == []


def test_a_cursor_that_is_no_time_is_told_by_its_type(world: World, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "people.db")) as database, database:
        database.execute("CREATE TABLE people (email TEXT, late REAL)")
        database.execute("INSERT INTO people VALUES (?, 1.0)", [EMAIL])
    database_ = {"kind": "sqlite", "path": str(tmp_path / "people.db")}
    source = {"kind": "query", "database": database_, "query": "SELECT * FROM people", "cursor": "email"}
    split = {"kind": "group", "column": "email", "validation": 0.3, "test": 0.3}
    ingestion = {"source": source, "label": "late", "split": split, "key": ["email"]}
    text, _ = world.failed(lambda parameters, rows: rows, personal=(), ingestion=ingestion)
    assert "the cursor holds string" in text and clear(text) == []


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1.0, EMAIL], pa.float64()), ([None, EMAIL], pa.timestamp("us")), ([1.0, EMAIL], None)],
)
def test_a_value_of_another_type_is_told_by_its_row_and_its_type(values: list[Any], kind: pa.DataType | None) -> None:
    with pytest.raises(PermanentError, match="the value in row 1 of those that were read together is a str") as raised:
        batch_rows._column("email", values, kind, Counter())
    assert clear(str(raised.value)) == []


def test_words_of_arrow_that_nobody_knows_are_not_told_of_a_file_of_text() -> None:
    assert EMAIL not in row_errors.of_file(pa.ArrowInvalid(f"CSV: what is {EMAIL}?"), is_text=True)
    assert row_errors.of_file(OSError("no footer"), is_text=False) == "no footer"


class Named(pa.ExtensionType):
    """Texts with a name of their own."""

    def __init__(self) -> None:
        super().__init__(pa.string(), "test.named")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> Named:
        return cls()


TEXTS = pa.array([EMAIL, "other"])
ENCODED = TEXTS.dictionary_encode()
OF_A_MAP = [[("first", EMAIL)], None]


@pytest.mark.parametrize(
    "values",
    [
        TEXTS.cast(pa.large_string()),
        TEXTS.cast(pa.string_view()),
        ENCODED,
        pa.array([EMAIL.encode(), b"\xff"]),
        pa.array([EMAIL.encode(), b"\xff"], pa.large_binary()),
        pa.array([EMAIL.encode()], pa.binary(len(EMAIL))),
        pa.array([[EMAIL], None], pa.large_list(pa.string())),
        pa.array([[EMAIL]], pa.list_(pa.string(), 1)),
        pa.array([[EMAIL], None], pa.list_view(pa.string())),
        pa.array([[EMAIL], None], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        pa.array([{"mail": EMAIL}, None]),
        pa.array([[{"of": {"mail": EMAIL}}], None]),
        pa.StructArray.from_arrays([ENCODED], ["mail"]),
        pa.array(OF_A_MAP, pa.map_(pa.string(), pa.string())),
        pa.array([[(EMAIL, 1)], None], pa.map_(pa.string(), pa.int64())),
        pa.array([[("first", {"mail": EMAIL})]], pa.map_(pa.string(), pa.struct([("mail", pa.string())]))),
        pa.array([OF_A_MAP, None], pa.list_(pa.map_(pa.string(), pa.string()))),
        pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [TEXTS, pa.array([1, 2])]),
        pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [TEXTS, pa.array([1])]),
        pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), TEXTS[:1]),
        pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array([json.dumps(EMAIL)])),
        pa.ExtensionArray.from_storage(Named(), TEXTS),
    ],
    ids=lambda values: str(values.type),
)
def test_values_are_found_in_columns_of_every_type(values: pa.Array) -> None:
    texts = PersonalTexts(["emails"])
    texts.know(pa.table({"emails": values}))
    told = str(texts.told(ValueError(f'no {EMAIL}, no {EMAIL.encode()!r} and no "{EMAIL}"')))
    assert clear(told) == [] and "is not told" not in told, "the rest of the words stays"


def test_a_map_is_treated_as_the_object_that_a_request_has() -> None:
    column = Column(name="m", kind=Kind(shape=Shape.TEXT, personal=PersonalMark(treatment=Treatment.HASHED)))
    masking = Masking([column], Keyring([("k", b"k" * 32)]).treatment)
    values = pa.chunked_array([pa.array(OF_A_MAP, pa.map_(pa.string(), pa.string()))])
    asked = masking.row({"m": {"first": EMAIL}})["m"]
    assert treated(values, column, masking).to_pylist() == [asked, None] and asked.startswith("hmac:k:")


def test_numbers_are_found_as_what_they_are_and_as_columns_with_missing_values_have_them() -> None:
    texts = PersonalTexts(["phone"])
    texts.know(pa.table({"phone": pa.array([4915112345678.0, float("nan"), float("inf"), None])}))
    assert texts.hidden("no 4915112345678, no 4915112345678.0, nan or inf") == "no <personal>, no <personal>, nan or inf"


def test_of_rows_that_cannot_be_looked_into_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(value: Any) -> Any:
        raise TypeError(f"what is {value}?")

    texts = PersonalTexts(["email"])
    texts.know(people())
    monkeypatch.setattr(personal_texts, "plain_values", unknown)
    told = str(texts.told(ValueError(f"no such person: {EMAIL}")))
    assert clear(told) == [] and "ValueError, raised here" in told and "TypeError" not in told


def test_what_is_retryable_stays_so_and_values_within_lists_are_found() -> None:
    texts = PersonalTexts(["emails"])
    texts.know(pa.table({"emails": [[EMAIL], None], "other": ["other", "words"]}))
    told = texts.told(RetryableError(f"{EMAIL.upper()} is locked, other words are not"))
    assert isinstance(told, RetryableError) and str(told) == "<personal> is locked, other words are not"
    assert texts.hidden("nobody") == "nobody"
