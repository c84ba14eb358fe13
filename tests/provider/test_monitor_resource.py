"""Monitor: a look when it is declared, a schedule for the controller, and what it found in every update."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ml_world import World

from heliostat.monitoring.alarms import Alarm, Alarms, Status
from heliostat.monitoring.state import MonitorState
from heliostat.provider.monitor import MonitorHandler
from heliostat.spec.findings import Aspect, Finding, Severity, State
from heliostat.spec.inspection import Inspection
from heliostat.spec.monitor_resources import MonitorInputs
from heliostat.spec.monitoring import MonitorSpecification, states
from heliostat.spec.predictions import Scheduled, schedule_key
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store
from heliostat.systems.revisions import Revisions
from heliostat.testing.jobs import JobResult

HANDLER = MonitorHandler()
CONTRACT = "workloads.flights.contract:CONTRACT"
NOW = datetime(2026, 3, 2, tzinfo=UTC)
BAD = Finding(
    monitor="flights", aspect=Aspect.QUALITY, subject="roc_auc", state=State.BREACH, severity=Severity.CRITICAL,
    window="2026-03-01", at=NOW, text="roc_auc is 0.58 on 900 labelled rows, below 0.62",
)  # fmt: skip
GOOD = BAD.model_copy(update={"state": State.OK, "text": "roc_auc is 0.66"})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    world.install(monkeypatch)
    (tmp_path / "objects").mkdir()

    def looked(specification: dict[str, Any]) -> JobResult:
        left(world, GOOD)
        open_store(world.store).put(specification["resultKey"], b'{"reference": "r", "window": "2026-03-01"}')
        return JobResult()

    world.outcome = looked
    return world


def left(world: World, finding: Finding) -> None:
    """Keep a state as a look leaves it."""
    alarm = Alarm(key=finding.key, status=Status.FIRING, severity=finding.severity, finding=finding, since=finding.at)
    alarms = Alarms(alarms={finding.key: alarm} if finding.state is State.BREACH else {})
    state = MonitorState(looked_at=NOW, findings={finding.key: finding}, alarms=alarms)
    Revisions(open_store(world.store), states("flights")).change(lambda _: state.model_dump_json().encode())


def inputs(world: World, **changes: Any) -> MonitorInputs:
    monitor = {"field": "late_probability", "drift": {}, "schedule": "5 * * * *", **changes.pop("monitor", {})}
    given = {
        "name": "flights", "code": world.code, "contract": CONTRACT, "model_uri": "models:/flights/3",
        "dataset": world.dataset, "monitor": monitor,
        "store": world.store, "ray": world.ray, "tracking_uri": "http://mlflow", **changes,
    }  # fmt: skip
    return MonitorInputs.model_validate(given)


async def test_a_declaration_is_looked_at_once_and_put_on_schedule(world: World) -> None:
    first = await HANDLER.create(world.context, inputs(world))
    assert await HANDLER.create(world.context, inputs(world)) == first
    [asked] = world.submitted
    assert "heliostat.jobs.monitor" in asked["entrypoint"]
    assert (asked["datasetKey"], asked["monitor"]["field"]) == (f"datasets/flights/{'d' * 64}", "late_probability")
    assert first.outputs.reference == "r"
    store = open_store(world.store)
    scheduled = Scheduled.model_validate_json(store.get(schedule_key("monitor.flights")))
    assert (scheduled.module, scheduled.runs, scheduled.schedule) == (
        "heliostat.jobs.monitor", "monitors/flights/runs/", "5 * * * *",
    )  # fmt: skip
    specification = MonitorSpecification.model_validate_json(store.get(scheduled.specification))
    assert (specification.model_uri, specification.result_key) == ("models:/flights/3", "")


@pytest.mark.parametrize("change", [{"model_uri": "models:/flights/4"}, {"monitor": {"predictionDrift": {}}}], ids=str)
async def test_another_version_or_declaration_is_looked_at_anew(world: World, change: dict[str, Any]) -> None:
    first = (await HANDLER.create(world.context, inputs(world))).outputs
    await HANDLER.update(world.context, "flights", first, inputs(world, **change))
    assert len(world.submitted) == 2


async def test_what_was_declared_before_and_is_again_is_looked_at_again(world: World) -> None:
    def looked(specification: dict[str, Any]) -> JobResult:
        declared = specification["monitor"]["schedule"]
        state = MonitorState(looked_at=NOW, declared=declared, reference="a" * 64)
        Revisions(open_store(world.store), states("flights")).change(lambda _: state.model_dump_json().encode())
        told = {"reference": "a" * 64, "window": "", "declared": declared}
        open_store(world.store).put(specification["resultKey"], json.dumps(told).encode())
        return JobResult()

    world.outcome = looked
    for schedule in ("5 * * * *", "6 * * * *", "5 * * * *", "5 * * * *"):
        await HANDLER.create(world.context, inputs(world, monitor={"schedule": schedule}))
    assert [asked["monitor"]["schedule"] for asked in world.submitted] == ["5 * * * *", "6 * * * *", "5 * * * *"]


async def test_every_update_shows_the_newest_finding_and_how_many_alarms_are_open(world: World) -> None:
    made = (await HANDLER.create(world.context, inputs(world))).outputs
    world.told["info"].clear()
    assert await HANDLER.read(world.context, "flights", made) == made
    assert world.told["info"] == ["flights: roc_auc is 0.66 (window 2026-03-01)"]
    left(world, BAD)
    await HANDLER.read(world.context, "flights", made)
    assert world.told["warn"] == [
        "flights: roc_auc is 0.58 on 900 labelled rows, below 0.62 (window 2026-03-01)",
        "flights: 1 alarm is open: `heliostat monitor alarms flights`",
    ]


async def test_what_is_gone_comes_back_and_a_deletion_keeps_what_was_found(world: World) -> None:
    made = (await HANDLER.create(world.context, inputs(world))).outputs
    store = open_store(world.store)
    store.delete(schedule_key("monitor.flights"))
    assert await HANDLER.read(world.context, "flights", made) is None
    await HANDLER.create(world.context, inputs(world))
    assert await HANDLER.read(world.context, "flights", made) == made
    await HANDLER.delete(world.context, "flights", made)
    assert not store.exists(schedule_key("monitor.flights"))
    assert [*store.list(states("flights"))]


async def test_a_preview_says_who_is_told(world: World) -> None:
    await HANDLER.preview(world.context, None, inputs(world))
    hook = {"sinks": [{"kind": "webhook", "name": "hook", "url": "http://127.0.0.1:9/"}]}
    await HANDLER.preview(world.context, None, inputs(world, monitor=hook))
    quiet, told = world.told["info"]
    assert quiet.endswith("told to nobody: no sink is declared")
    assert told == "flights will be watched at `5 * * * *` (UTC) by the controller; alarms go to hook"


async def test_every_mistake_is_told_before_anything_starts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inspected(*_: Any) -> Inspection:
        return Inspection(answer={"late": True}, inputs=("carrier", "origin", "sex"), unlogged=("sex",))

    monkeypatch.setattr("heliostat.provider.inspecting.inspect", inspected)
    wrong = {"drift": {"columns": ["carier"], "limits": {"orgin": {"distance": "psi", "least": 0.2}}},
             "quality": [{"metric": "accurracy", "limit": 0.5, "slices": ["dest"]}],
             "fairness": [{"column": column, "atMost": 0.1} for column in ("carrier", "sex", "age")]}  # fmt: skip
    given = inputs(world, monitor=wrong).model_dump(mode="json", by_alias=True)
    told = {each.path: each.reason for each in await HANDLER.mistakes(given)}
    assert set(told) == {
        "monitor.drift.columns[0]", "monitor.drift.limits.orgin", "monitor.quality[0].metric", "monitor.quality[0].slices[0]",
        "monitor.field", "monitor.fairness[1].column", "monitor.fairness[2].column",
    }  # fmt: skip
    assert "'sex' is never logged" in told["monitor.fairness[1].column"]
    assert told["monitor.field"] == "the answer has no field 'late_probability'; it has late"
    right = inputs(world, monitor={"field": "late"}).model_dump(mode="json", by_alias=True)
    assert await HANDLER.mistakes(right) == []


async def test_a_model_of_others_is_watched_without_data_and_what_needs_them_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await HANDLER.create(world.context, inputs(world, dataset=None))
    [asked] = world.submitted
    assert (asked["datasetKey"], asked["datasetDigest"]) == ("", None)

    async def inspected(*_: Any) -> Inspection:
        return Inspection(answer={"late_probability": True}, inputs=("carrier",))

    monkeypatch.setattr("heliostat.provider.inspecting.inspect", inspected)
    wrong = inputs(world, dataset=None, monitor={"skew": {}, "referenceRows": 500}).model_dump(mode="json", by_alias=True)
    assert [each.path for each in await HANDLER.mistakes(wrong)] == ["monitor.skew"]
    trained = inputs(world, monitor={"referenceRows": 500}).model_dump(mode="json", by_alias=True)
    assert [each.path for each in await HANDLER.mistakes(trained)] == ["monitor.referenceRows"]


async def test_a_budget_of_retrainings_needs_the_price_of_an_hour(world: World) -> None:
    budget = {"retraining": {"triggers": [{"kind": "upstream"}], "budgetUsd": 10}}
    with pytest.raises(PermanentError, match="what a training costs is not known: it runs on no group of nodes"):
        await HANDLER.preview(world.context, None, inputs(world, monitor=budget, scaling={"workers": 2}))
    with pytest.raises(PermanentError, match="its sites train it"):
        await HANDLER.preview(world.context, None, inputs(world, monitor=budget))
    await HANDLER.preview(world.context, None, inputs(world, monitor=budget, scaling={"workers": 2, "group": "later"}))
    machine = {"cloud": "aws", "region": "us-east-1", "name": "m5.xlarge"}
    group = {"name": "cpus", "group": {"kind": "cpu", "cpus": 4, "memoryGib": 16, "max": 4, "machine": machine}}
    await HANDLER.create(world.context, inputs(world, monitor=budget, scaling={"workers": 2, "group": "cpus"}, group=group))
    assert 0.05 < world.submitted[-1]["usdAnHour"] < 1
