"""Data that is held to a schema before it becomes a snapshot, and what is kept beside one."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError
from small_snapshots import small

from heliostat.data.inference import infer, infer_transformed
from heliostat.data.profiles import Profile
from heliostat.data.profiling import profile
from heliostat.data.schema import ColumnExpectations, ListLength, Schema, Transformed
from heliostat.data.storage import from_bytes
from heliostat.data.summary import summary
from heliostat.jobs import data_of
from heliostat.jobs import snapshot as job
from heliostat.ml import datasets
from heliostat.ml.datasets import DataSource, Parts, Tables
from heliostat.ml.snapshots.holding import hold, transformed_parts
from heliostat.ml.snapshots.splits import TableSplit
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import SnapshotManifest, profile_key
from heliostat.spec.jobs import SnapshotSpecification
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

IDENTITY, CODE = "1" * 64, "2" * 64
_GENERATOR = np.random.default_rng(0)


def table(rows: int = 400, shift: float = 0.0) -> pa.Table:
    return pa.table(
        {
            "size": _GENERATOR.normal(10 + shift, 1, rows),
            "colour": _GENERATOR.choice(["red", "blue"], rows),
            "customer": [f"c{number}" for number in _GENERATOR.integers(0, 10_000, rows)],
            "arrived": pa.array(_GENERATOR.integers(0, 100, rows), pa.int64()),
            "late": _GENERATOR.random(rows) < 0.3,
        }
    )


ALL = table()
SPLITS = {"train": ALL.slice(0, 300), "validation": ALL.slice(300, 50), "test": ALL.slice(350)}


def schema(**changes: object) -> Schema:
    return infer(profile(ALL), "late", ["arrived"]).model_copy(update=changes)


def changed(name: str, values: object, rows: pa.Table) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, pa.array(values))


class World:
    """A data function of a workload, and the job that calls it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, address: StoreAddress) -> None:
        self.address, self.data = address, Tables(**SPLITS, label="late", sources=(DataSource(uri="file:///x", rows=400),))
        monkeypatch.setattr(data_of, "load_entry_point", lambda _: lambda parameters: self.data)

    def make(self, expected: Schema | None = None, previous: str | None = None) -> dict:
        job.snapshot(
            SnapshotSpecification(
                name="flights",
                entry_point="workloads.flights.dataset:snapshot",
                parameters={"days": 3},
                identity=IDENTITY,
                code_digest=CODE,
                data_schema=expected.to_yaml() if expected is not None else None,
                previous=previous,
                store=self.address,
                result_key="datasets/flights/made/it.json",
            )
        )
        return json.loads(open_store(self.address).get("datasets/flights/made/it.json"))


@pytest.fixture
def world(monkeypatch, tmp_path):
    return World(monkeypatch, StoreAddress(uri=f"file://{tmp_path}/objects"))


def test_a_snapshot_says_how_it_was_made_and_of_what(world):
    manifest = SnapshotManifest.model_validate(world.make())
    assert manifest.made is not None
    assert (manifest.made.code_digest, manifest.made.parameters) == (CODE, {"days": 3})
    assert [source.uri for source in manifest.made.sources] == ["file:///x"]
    kept = json.loads(open_store(world.address).get(f"datasets/flights/{manifest.digest}/manifest.json"))
    assert "made" not in kept, "the same content may come of other code: the snapshot itself says nothing of it"


def test_each_split_has_its_profile_beside_it(world):
    manifest = world.make()
    store = open_store(world.address)
    for split, rows in SPLITS.items():
        kept = from_bytes(store.get(profile_key("flights", manifest["digest"], split)))
        figures = summary(kept)
        assert kept.rows == rows.num_rows
        assert figures["columns"]["size"]["max"] == max(rows["size"].to_pylist())
        assert set(figures["label"]["classes"]) == {"true", "false"}


def test_an_older_snapshot_gets_its_profiles_when_it_is_adopted(world):
    manifest = world.make()
    store = open_store(world.address)
    for split in SPLITS:
        store.delete(profile_key("flights", manifest["digest"], split))
    assert world.make()["digest"] == manifest["digest"]
    assert all(store.exists(profile_key("flights", manifest["digest"], split)) for split in SPLITS)


@pytest.mark.parametrize("label", [None, "late"])
def test_a_profile_of_parts_is_that_of_the_table(label):
    with small(rows=64, file=128) as address:
        parts = Parts(*([rows.slice(first, 37) for first in range(0, rows.num_rows, 37)] for rows in SPLITS.values()), "late")
        manifest = datasets.save(parts, "flights", open_store(address))
        kept = from_bytes(open_store(address).get(profile_key("flights", manifest["digest"], "train")))
    whole = profile(SPLITS["train"])
    assert kept.columns["size"].numbers.finite.histogram.counts.tolist() == (
        whole.columns["size"].numbers.finite.histogram.counts.tolist()
    )


def test_data_as_expected_becomes_a_snapshot(world):
    assert world.make(schema())["made"]["schemaDigest"] == schema().digest


def test_a_failed_expectation_stops_the_snapshot_with_all_findings_and_the_rows(world):
    wrong = changed("colour", ["red"] * 49 + ["green"], SPLITS["test"])
    far = changed("size", [1e6, *SPLITS["train"]["size"].to_pylist()[1:]], SPLITS["train"])
    world.data = Tables(far, SPLITS["validation"], wrong, "late")
    with pytest.raises(PermanentError) as caught:
        world.make(schema())
    told = str(caught.value)
    assert "train: the column 'size': 1 rows are above the maximum" in told
    assert "test: the column 'colour': 1 rows have texts that are not among the 2 expected: 'green'" in told
    store = open_store(world.address)
    report = json.loads(store.get(f"datasets/flights/refused/{IDENTITY}.json"))
    assert f"{IDENTITY}.json" in told
    assert report["findings"][0]["examples"][0]["size"] == 1e6
    assert report["findings"][1]["rows"] == [49]
    assert [info.key for info in store.list("datasets/flights/")] == [f"datasets/flights/refused/{IDENTITY}.json"]


def test_what_no_model_is_given_stops_nothing_and_is_told(world):
    late = changed("arrived", [10**9] + [5] * 299, SPLITS["train"])
    world.data = Tables(late, SPLITS["validation"], SPLITS["test"], "late")
    (finding,) = world.make(schema())["made"]["findings"]
    assert finding["column"] == "arrived"
    assert finding["examples"][0]["arrived"] == 10**9


def test_a_feature_that_knows_the_label_stops_the_snapshot(world):
    told = pa.array(["yes" if late else "no" for late in ALL["late"].to_pylist()])
    rows = ALL.append_column("told", told)
    expected = infer(profile(rows), "late", ["arrived"])
    world.data = Tables(rows.slice(0, 300), rows.slice(300, 50), rows.slice(350), "late")
    with pytest.raises(PermanentError, match=r"the column 'told' alone predicts 'late' with ROC AUC 1\.000"):
        world.make(expected)
    leakage = expected.leakage.model_copy(update={"allowed": ("told",)})
    assert world.make(expected.model_copy(update={"leakage": leakage}))["made"]


def transforming(by: str = "transformed_here:named", **columns: object) -> Schema:
    whole = {"colour": {"type": "double", "minimum": 0, "maximum": 1}, "sizes": {"type": "list<double>"}, **columns}
    return schema(transformed=Transformed.model_validate({"by": by, "columns": whole}))


def test_data_that_is_as_expected_after_the_transformation_becomes_a_snapshot(world):
    plain = world.make(schema())["digest"]
    assert world.make(transforming())["digest"] == plain, "what is expected of it makes no other data"
    assert transforming().digest != schema().digest


def test_what_is_not_as_expected_after_the_transformation_stops_the_snapshot_with_the_rows(world):
    world.data = Tables(
        changed("size", [-0.5] + [10.0] * 299, SPLITS["train"]), *[SPLITS[name] for name in ("validation", "test")], "late"
    )
    logarithm = {"type": "double", "maxInfinite": 0.0}
    expected = transforming(logarithm=logarithm, gone={"type": "double"}).model_copy(
        update={"columns": {**schema().columns, "size": ColumnExpectations(type="double")}}
    )
    with pytest.raises(PermanentError) as caught:
        world.make(expected)
    told = str(caught.value)
    assert "train: after transformed_here:named, the column 'logarithm': 1 rows are infinite" in told
    assert "train: after transformed_here:named, the column 'gone' is not there" in told
    (report, other) = json.loads(open_store(world.address).get(f"datasets/flights/refused/{IDENTITY}.json"))["findings"]
    assert (report["rows"], report["examples"][0]["size"]) == ([0], -0.5)
    assert other["rows"] == []


@pytest.mark.parametrize(
    ("by", "text"),
    [
        ("transformed_here:fails", "transformed_here:fails fails on 300 rows: KeyError: 'coulour'"),
        ("transformed_here:loses", "transformed_here:loses made 299 rows of 300: it must keep each"),
        ("transformed_here:matrix", "transformed_here:matrix returned ndarray: it must return columns by name"),
        (
            "transformed_here:gone",
            "the transformation transformed_here:gone cannot be loaded: module 'transformed_here' has no 'gone'",
        ),
        ("nowhere:named", "the transformation nowhere:named cannot be loaded: No module named 'nowhere'"),
    ],
)
def test_a_transformation_that_fails_stops_the_snapshot(world, by, text):
    with pytest.raises(PermanentError, match=re.escape(text)):
        world.make(transforming(by))


def test_data_that_is_wrong_before_the_transformation_is_not_transformed(world):
    wrong = changed("colour", ["green"] * 300, SPLITS["train"])
    world.data = Tables(wrong, SPLITS["validation"], SPLITS["test"], "late")
    with pytest.raises(PermanentError) as caught:
        world.make(transforming())
    assert "300 rows have texts" in str(caught.value) and "after transformed_here" not in str(caught.value)


def test_what_is_expected_after_the_transformation_is_inferred(world):
    split = TableSplit(SPLITS["train"])
    found = infer_transformed(profile(transformed_parts("transformed_here:named", split, "late")), "transformed_here:named")
    assert (found.columns["colour"].minimum, found.columns["colour"].maximum) == (0, 1.1)
    assert found.columns["sizes"].length == ListLength(minimum=2, maximum=2)
    assert hold(schema(transformed=found), {name: TableSplit(rows) for name, rows in SPLITS.items()}, "late").holds
    with pytest.raises(ValidationError, match="colour has absentIn, which is of columns before the transformation"):
        transforming(colour={"type": "double", "absentIn": ["serving"]})


def leaking(**given: object) -> Schema:
    return Schema.model_validate({**schema().model_dump(mode="json"), "leakage": given})


def test_a_group_or_a_row_in_two_splits_stops_the_snapshot(world):
    world.data = Tables(SPLITS["train"], SPLITS["train"].slice(0, 20), SPLITS["test"], "late")
    with pytest.raises(PermanentError, match="groups of 'customer' are in train and in validation"):
        world.make(leaking(group="customer"))
    with pytest.raises(PermanentError, match="20 of 20 rows of validation are in train too"):
        world.make(leaking(nearDuplicates={"columns": ["size", "colour"]}))


@pytest.mark.parametrize(
    ("leakage", "values", "expected"),
    [
        ({"knowsLabel": 0.9}, lambda rows: pc.multiply(rows["late"].cast(pa.int64()), 7), "'outcome' alone predicts 'late'"),
        ({"event": "asked"}, lambda rows: pc.add(rows["asked"], timedelta(days=1)), "'outcome' is later than 'asked' in 300"),
    ],
)
def test_a_column_that_the_schema_does_not_have_is_looked_at_for_leaks_too(world, leakage, values, expected):
    def asked(rows):
        return rows.append_column("asked", pa.array([datetime(2026, 3, 1)] * rows.num_rows, pa.timestamp("us")))

    wanted = Schema.model_validate({
        **schema().model_dump(mode="json"), "leakage": leakage,
        "columns": {**schema().model_dump(mode="json")["columns"], "asked": {"type": "timestamp[us]"}},
    })  # fmt: skip
    rows = {name: asked(split) for name, split in SPLITS.items()}
    world.data = Tables(**rows, label="late")
    world.make(wanted)
    world.data = Tables(**{name: each.append_column("outcome", values(each)) for name, each in rows.items()}, label="late")
    with pytest.raises(PermanentError, match=expected) as told:
        world.make(wanted)
    assert "the schema does not have it: leave it out, or name it in `columns`" in str(told.value)
    columns = {
        **wanted.columns,
        "outcome": ColumnExpectations(type=str(values(rows["train"]).type), known_at_prediction=False),
    }
    assert world.make(wanted.model_copy(update={"columns": columns}))["made"], "somebody has looked at it"


def test_leaks_are_looked_for_in_parts_as_in_tables():
    with small(rows=64, file=128) as address:
        again = SPLITS["train"].slice(7, 20)
        other = changed("customer", [f"d{number}" for number in range(50)], SPLITS["test"])
        parts = Parts([SPLITS["train"].slice(0, 150), SPLITS["train"].slice(150)], [again], [other], "late")
        found = []

        def look(splits: object) -> None:
            found.append(hold(leaking(group="customer", knowsLabel=0.9), splits, "late"))

        datasets.save(parts, "flights", open_store(address), hold=look)
    assert [leak.kind for leak in found[0].leaks] == ["group in two splits"]


def test_what_is_looked_for_in_columns_that_are_no_times_is_told(world):
    with pytest.raises(PermanentError, match=r"`leakage`: the column 'arrived' is not there, or is no timestamp"):
        world.make(leaking(event="arrived"))


def test_a_distribution_is_held_to_the_snapshot_before(world):
    columns = dict(schema().columns)
    given = {**columns["size"].model_dump(mode="json"), "maximum": None, "minimum": None}
    columns["size"] = columns["size"].model_validate({**given, "drift": {"distance": "wasserstein", "limit": 0.5}})
    expected = schema(columns=columns)
    first = world.make(expected)
    before = f"datasets/flights/{first['digest']}"
    moved = table(300, shift=2)
    world.data = Tables(moved, SPLITS["validation"], SPLITS["test"], "late")
    with pytest.raises(PermanentError, match="train: the column 'size' has drifted: wasserstein"):
        world.make(expected, previous=before)
    assert world.make(expected, previous="datasets/flights/gone")["made"], "without a reference there is none to be far from"


def test_a_damaged_profile_of_the_snapshot_before_is_told_with_its_key_and_what_to_do(world):
    columns = dict(schema().columns)
    given = columns["size"].model_dump(mode="json")
    columns["size"] = columns["size"].model_validate({**given, "drift": {"distance": "wasserstein", "limit": 9}})
    expected = schema(columns=columns)
    before = f"datasets/flights/{world.make(expected)['digest']}"
    store = open_store(world.address)
    key = f"{before}/profiles/train.arrow"
    whole = store.get(key)
    store.put(key, whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(PermanentError, match=f"{key}, which drift is measured against, .* delete the object"):
        world.make(expected, previous=before)
    store.delete(key)
    assert world.make(expected, previous=before)["made"]


def test_a_schema_of_another_label_is_told(world):
    other = Schema.model_validate({"label": "size", "columns": schema().model_dump(mode="json")["columns"]})
    with pytest.raises(PermanentError, match="the label is 'late', and the schema has 'size'"):
        world.make(other)


def test_rows_of_later_parts_are_counted_from_the_split_s_first():
    wrong = changed("colour", ["red"] * 290 + ["pink"] + ["red"] * 9, SPLITS["train"])
    with small(rows=64, file=128) as address:
        parts = Parts([wrong], [SPLITS["validation"]], [SPLITS["test"]], "late")
        found = []
        datasets.save(parts, "flights", open_store(address), hold=lambda splits: found.append(hold(schema(), splits, "late")))
    (finding,) = found[0].stopping
    assert finding.finding.rows == (290,)
    assert finding.examples[0]["colour"] == "pink"


def test_profiles_of_splits_merge_to_that_of_all():
    splits = {name: profile(TableSplit(rows).table) for name, rows in SPLITS.items()}
    assert Profile.merged([*splits.values()]).rows == ALL.num_rows
