"""A retraining is wanted when what a model was made of has another version, and waits where its budget is spent."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_monitor_job import NEXT, contents, data, receiver, world
from watched_birds import DAY, MONDAY, Watched

from heliostat.jobs import monitor
from heliostat.jobs.monitoring import costs as monitor_costs
from heliostat.jobs.monitoring import upstream as monitor_upstream
from heliostat.jobs.predicted_rows import versions_in, versions_note
from heliostat.ml.datasets import put_json
from heliostat.monitoring.state import MonitorState
from heliostat.spec.data_sets import DataSource, Making, Parent
from heliostat.spec.monitoring import Refusal
from heliostat.spec.training_report import TrainingReport
from heliostat.systems.errors import RetryableError
from heliostat.systems.mlflow_registry import RegisteredVersion

__all__ = ["contents", "data", "receiver", "world"]


class Models:
    """MLflow, as far as a look asks it."""

    def __init__(self) -> None:
        self.newest = {"embedder": 2}
        self.runs = {"models:/birds/3": "run3"}
        self.is_there = True

    def __call__(self, uri: str) -> Models:
        return self

    def __enter__(self) -> Models:
        if not self.is_there:
            raise RetryableError("MLflow does not answer")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def newest_version(self, name: str) -> RegisteredVersion | None:
        return RegisteredVersion(name, self.newest[name], "r", "s", {}) if name in self.newest else None

    def version(self, uri: str) -> RegisteredVersion | None:
        run = self.runs.get(uri)
        return RegisteredVersion("birds", int(uri[-1]), run, "s", {}) if run is not None else None


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    found = Models()
    monkeypatch.setattr(monitor_upstream, "Registry", found)
    monkeypatch.setattr(monitor_costs, "Registry", found)
    return found


def made(world: Watched, name: str, digest: str, at: float, **given: Any) -> None:
    """A snapshot, and how it was made."""
    manifest = {"name": name, "digest": digest, "uri": "u", "label": "l", "rows": {}, "columns": {}}
    making = Making(identity=digest, at=at, entry_point="w.d:snapshot", code_digest="c" * 64, **given).model_dump(mode="json")
    put_json(world.store, f"datasets/{name}/made/{digest}.json", {**manifest, "made": making})
    if name != "birds":
        put_json(world.store, f"datasets/{name}/{digest}/manifest.json", manifest)


def upstream(*sources: str, **policy: Any) -> dict[str, Any]:
    trigger = {"kind": "upstream", "sources": list(sources)}
    given = {"cooldownSeconds": 0, "refusedCooldownSeconds": 0, "leastNewRows": 0, **policy}
    return {"recency": {"predictionsSeconds": 9e9}, "retraining": {"triggers": [trigger], **given}}


def look(
    world: Watched, at: dt.datetime, price: float | None = None, model: str = "models:/birds/3", **declared: Any
) -> MonitorState:
    specification = world.specification(at, **declared)
    monitor.watch(specification.model_copy(update={"usd_an_hour": price, "model_uri": model}))
    return world.state


def test_a_parent_that_was_made_anew_asks_for_a_retraining_once(world: Watched, models: Models) -> None:
    made(world, "nests", "a" * 64, 1.0)
    made(world, "birds", world.digest, 2.0, parents=(Parent(name="nests", digest="a" * 64),))
    state = look(world, NEXT, **upstream())
    assert state.decision is not None and state.decision.reasons == () and state.problems == ()
    made(world, "nests", "b" * 64, 3.0)
    state = look(world, NEXT + DAY, **upstream())
    assert state.proposal is not None
    assert state.proposal.reasons == (f"nests is {'b' * 12}, and it was made of {'a' * 12}",)
    again = look(world, NEXT + 2 * DAY, **upstream())
    assert again.proposal == state.proposal, "one is running"


def test_models_and_logs_that_data_were_made_with_count_and_its_own_does_not(world: Watched, models: Models) -> None:
    world.store.put("predictions/scouts/date=2026-03-01/a.parquet", b"damaged")
    sources = (
        DataSource(uri="models:/embedder/2"),
        DataSource(uri=world.store.uri("predictions/birds/"), note=versions_note({"1"})),
        DataSource(uri="models:/birds/1"),
        DataSource(uri=world.store.uri("predictions/scouts/"), note=versions_note({"9", "10"})),
    )
    made(world, "birds", world.digest, 2.0, sources=sources)
    state = look(world, NEXT, **upstream())
    assert state.decision is not None and state.decision.reasons == ()
    assert any("scouts has no prediction log that could say" in text for text in state.problems)
    models.newest["embedder"] = 3
    world.log(MONDAY, version="11-aaaaaaaa")
    for info in [*world.store.list("predictions/birds/")]:
        world.store.put(info.key.replace("/birds/", "/scouts/"), world.store.get(info.key))
    state = look(world, NEXT + DAY, **upstream())
    assert state.decision is not None
    assert state.decision.reasons == ("embedder is 3, and it was made of 2; scouts is 11, and it was made of 10",)
    assert look(world, NEXT + 2 * DAY, **upstream("scouts")).decision.reasons == ("scouts is 11, and it was made of 10",)  # type: ignore[union-attr]


def test_answers_that_do_not_say_whose_they_are_are_no_other_version(world: Watched, models: Models) -> None:
    source = DataSource(uri=world.store.uri("predictions/scouts/"), note=versions_note({"11"}))
    made(world, "birds", world.digest, 2.0, sources=(source,))
    world.log(MONDAY, version="11-aaaaaaaa")
    for info in [*world.store.list("predictions/birds/")]:
        table = pq.read_table(io.BytesIO(world.store.get(info.key)))
        later = table.slice(0, 2).set_column(
            table.column_names.index("version"), "version", pa.array([None, ""], pa.string())
        ).set_column(table.column_names.index("time"), "time", pa.array([NEXT] * 2, table["time"].type))  # fmt: skip
        written = io.BytesIO()
        pq.write_table(pa.concat_tables([table, later]), written)
        world.store.put(info.key.replace("/birds/", "/scouts/"), written.getvalue())
    state = look(world, NEXT, **upstream("scouts"))
    assert state.decision is not None and state.decision.reasons == ()


def test_what_nothing_is_known_of_is_said_and_not_taken_for_a_change(world: Watched, models: Models) -> None:
    state = look(world, NEXT, **upstream())
    assert state.problems == ("models:/birds/3 was made of its own rows alone, as far as is known: nothing upstream",)
    made(world, "birds", world.digest, 2.0, sources=(DataSource(uri="models:/embedder/1"),))
    models.is_there = False
    state = look(world, NEXT + DAY, **upstream("embedder"))
    assert state.decision is not None and state.decision.reasons == ()
    world.log(MONDAY)
    state = look(world, NEXT + DAY + dt.timedelta(minutes=1), **upstream("embedder", "nobody"))
    assert any("which version of embedder there is now is not known" in text for text in state.problems)


def test_versions_are_read_of_a_source_s_note() -> None:
    assert versions_in(versions_note({"10", "9"})) == ["9", "10"]
    assert versions_in("a note of somebody's") == versions_in(versions_note(())) == []


def trained(world: Watched, run: str, seconds: float) -> None:
    report = TrainingReport(name="birds", run_id=run, seconds=seconds, workers=())
    world.store.put(f"trainings/birds/{run}.report.json", report.model_dump_json().encode())


def test_a_budget_counts_what_trainings_took_at_the_price_of_their_nodes(world: Watched, models: Models) -> None:
    trained(world, "run3", 1_800)
    made(world, "birds", world.digest, 2.0, sources=(DataSource(uri="models:/embedder/1"),))
    asked = upstream(budgetUsd=12)
    first = look(world, NEXT, price=10.0, **asked)
    assert first.proposal is not None and first.proposal.expected_cost_usd == 5.0
    assert "cost about 5.00 USD" in first.proposal.facts[1]
    trained(world, "candidate", 3_600)
    refused = Refusal(at=NEXT.timestamp() + 60, candidate="models:/m-1", reasons=("worse",))
    world.store.put("monitors/birds/refusals/candidate.json", refused.model_dump_json().encode())
    state = look(world, NEXT + DAY, price=10.0, **asked)
    assert state.retrainings[-1].cost_usd == 10.0, "the candidate's own"
    assert state.decision is not None and not state.decision.proposed
    assert state.decision.held_back == (
        "10.00 USD were spent in the period and another 5.00 would be more than the budget of 12.00",
    )
    later = look(world, NEXT + 40 * DAY, price=10.0, **asked)
    assert later.decision is not None and later.decision.proposed, "another period"


def test_without_a_report_of_its_training_a_budget_proposes_nothing_and_says_why(world: Watched, models: Models) -> None:
    made(world, "birds", world.digest, 2.0, sources=(DataSource(uri="models:/embedder/1"),))
    state = look(world, NEXT, price=10.0, **upstream(budgetUsd=12))
    assert state.proposal is None and state.decision is not None
    assert state.decision.held_back[0].startswith("what it costs is not known, and a budget is declared")
    models.is_there = False
    assert look(world, NEXT + DAY, price=10.0, **upstream(budgetUsd=12)).proposal is None


def test_an_accepted_retraining_cost_what_its_version_s_training_took(world: Watched, models: Models) -> None:
    trained(world, "run3", 1_800)
    made(world, "birds", world.digest, 2.0, sources=(DataSource(uri="models:/embedder/1"),))
    asked = upstream(budgetUsd=100)
    look(world, NEXT, price=10.0, **asked)
    models.runs["models:/birds/4"] = "run4"
    trained(world, "run4", 7_200)
    state = look(world, NEXT + DAY, price=10.0, model="models:/birds/4", **asked)
    assert [(each.outcome, each.cost_usd) for each in state.retrainings] == [("accepted", 20.0)]
    assert json.loads(state.retrainings[0].model_dump_json())["costUsd"] == 20.0
