"""A version that serves still is watched through the contract that it serves with, whatever the newest one has."""

from __future__ import annotations

import datetime as dt
import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaged import CONTRACT, PREDICTOR, workload
from watched_birds import DAY, MONDAY, QUALITY, Watched, birds, snapshot

from heliostat.jobs import monitor
from heliostat.jobs.monitoring import own_code
from heliostat.monitoring import intervals
from heliostat.monitoring.state import MonitorState
from heliostat.packaging.contents import Contents
from heliostat.spec.findings import State
from heliostat.spec.ledger import Entry, EntryKind, key_of
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import BlueGreen
from heliostat.systems.errors import RetryableError
from heliostat.testing.declarations import desired, version

TOP = "watched_terns"
NEXT = MONDAY + DAY + dt.timedelta(hours=2)
BEFORE, CANDIDATE = "models:/birds/3", "models:/birds/4"
NEWEST = {
    "contract": CONTRACT.format(top=TOP)
    .replace("    seen: dt.datetime\n", "    seen: dt.datetime\n    wind: float\n")
    .replace("    kilometres: float\n", "    distance: float\n")
    .replace("Range(kilometres=score)", "Range(distance=score)")
    .replace("19, 30)),)", "19, 30), wind=0.0),)"),
    "predictor": PREDICTOR.replace('columns["weight"]) / 3', 'columns["weight"]) / 3 + np.asarray(columns["wind"])'),
}
"""What the checkout has by now: one more input, which its predictor needs, and another name of the answer."""


@pytest.fixture
def before(tmp_path: Path) -> Contents:
    return workload(tmp_path / "before", TOP)


@pytest.fixture
def world(tmp_path: Path, before: Contents, monkeypatch: pytest.MonkeyPatch) -> Watched:
    snapshot(tmp_path / "store", before)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # what a node keeps lies below
    monkeypatch.setattr(own_code.model_cache, "fetch", lambda *_, whole: before.model)
    monkeypatch.setattr(intervals, "_DRAWS", 30)
    found = Watched(tmp_path, before)
    monkeypatch.setattr(monitor, "registered_data", lambda _: lambda uri: found.digest)
    packed(found, tmp_path / "before/code")
    workload(tmp_path / "newest", TOP, **NEWEST)
    serves(found)
    return found


def packed(world: Watched, folder: Path) -> None:
    """The code that serves, as a package in the store."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in folder.rglob("*.py"):
            archive.write(path, f"package/{path.relative_to(folder)}")
    world.store.put("code/before.zip", buffer.getvalue())


def serves(world: Watched, code: str = "code/before.zip") -> None:
    """The version before serves while the candidate waits."""
    of = {"contract": world.contents.entry_point, "code_uri": world.store.uri(code)}
    sides = [desired(version=version(each, model_uri=uri, **of)) for each, uri in ((1, BEFORE), (2, CANDIDATE))]
    found = Entry(
        number=1, id="1", application="birds", at=MONDAY.timestamp(), kind=EntryKind.SHIFT, rollout=2, phase=Phase.WAITING,
        strategy=BlueGreen(), previous=sides[0], target=sides[1], weights={sides[0].version.digest: 1.0},
    )  # fmt: skip
    world.store.put(key_of("birds", 1), found.model_dump_json().encode())


def told(world: Watched, now: dt.datetime, **asked: Any) -> MonitorState:
    """A look with the candidate as what was declared last."""
    monitor.watch(world.specification(now, sinks=[], **asked).model_copy(update={"model_uri": CANDIDATE}))
    return world.state


def states(state: MonitorState) -> dict[str, State]:
    return {key.removeprefix("birds/"): each.state for key, each in state.findings.items()}


def test_what_serves_is_looked_at_by_its_own_contract_and_predictor(world: Watched) -> None:
    world.log(MONDAY)
    world.label(MONDAY)
    watches = {"quality": [QUALITY], "drift": {}, "predictionDrift": {}, "skew": {}}
    state = told(world, NEXT, **watches, fragility={"mostChange": 9.0, "rows": 50})
    assert state.model_uri == BEFORE
    found = states(state)
    wanted = (
        "quality/mean_absolute_error",
        "drift/weight",
        "prediction-drift/prediction",
        "skew/prediction",
        "fragility/inputs",
    )
    assert {found[key] for key in wanted} == {State.OK}
    assert "log/contract" not in found, "it has all that is watched"


def test_what_it_does_not_have_is_told_of_it_and_the_rest_of_the_look_stands(world: Watched) -> None:
    world.log(MONDAY, birds(400, 2, heavier=2.0))
    world.label(MONDAY, birds(400, 2, heavier=2.0))
    quality = {**QUALITY, "slices": ["wind", "kind"]}
    drift = {"columns": ["weight", "wind"], "season": "landed"}
    state = told(world, NEXT, field="distance", quality=[quality], bias={}, predictionDrift={}, drift=drift)
    found = states(state)
    unknown = {"quality/mean_absolute_error", "prediction-bias/ratio", "prediction-drift/prediction", "drift/wind"}
    assert {found[key] for key in {*unknown, "log/contract"}} == {State.UNKNOWN}
    assert state.findings["birds/quality/mean_absolute_error"].text == "version 3 answers no field 'distance', of kilometres"
    assert state.findings["birds/drift/wind"].text == "version 3 takes no input 'wind', of kind, weight, seen"
    assert "version 3 was trained on no column of times 'landed', of seen" in state.findings["birds/log/contract"].text
    assert found["drift/weight"] is State.BREACH and found["log/files"] is State.OK
    assert [each.finding.subject for each in state.open_alarms] == ["weight"]
    specification = world.specification(NEXT, field="distance", quality=[quality], bias={}, predictionDrift={}, drift=drift)
    assert state.declared == monitor.declared_digest(specification.model_copy(update={
        "monitor": specification.monitor.model_copy(update={"sinks": ()})
    })), "what is declared stays what is declared"  # fmt: skip


def test_where_its_code_is_gone_the_newest_contract_stands_in_and_that_is_said_until_it_is_back(
    world: Watched, tmp_path: Path
) -> None:
    content = world.store.get("code/before.zip")
    world.store.delete("code/before.zip")
    shutil.copytree(tmp_path / "before/code" / TOP, tmp_path / "newest/code" / TOP, dirs_exist_ok=True)
    workload(tmp_path / "newest", TOP)  # the newest one takes the same again
    world.log(MONDAY)
    world.label(MONDAY)
    state = told(world, NEXT, quality=[QUALITY])
    finding = state.findings["birds/log/contract"]
    assert finding.state is State.UNKNOWN and "the newest one stands in" in finding.text and "before.zip" in finding.text
    assert states(state)["quality/mean_absolute_error"] is State.OK
    world.store.put("code/before.zip", content)
    state = told(world, NEXT + dt.timedelta(minutes=5), quality=[QUALITY])
    assert state.findings["birds/log/contract"].state is State.OK


def test_code_that_is_here_needs_no_process_of_its_own(
    world: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload(tmp_path / "newest", TOP)
    monkeypatch.chdir(tmp_path / "newest/code")
    monkeypatch.setattr("heliostat.jobs.monitoring.through.in_own_code", lambda *_: pytest.fail("a process was started"))
    world.log(MONDAY)
    assert told(world, NEXT, drift={}).model_uri == BEFORE


def test_a_process_that_ends_while_it_is_asked_has_the_look_come_again(world: Watched, tmp_path: Path) -> None:
    dying = PREDICTOR.replace("        by_kind", "        import os\n        os._exit(9)\n        by_kind")
    (tmp_path / "before/code" / TOP / "predictor.py").write_text(dying)
    packed(world, tmp_path / "before/code")
    world.log(MONDAY)
    with pytest.raises(RetryableError, match=f"answers as {BEFORE} ended while it was asked"):
        told(world, NEXT, quality=[QUALITY])
