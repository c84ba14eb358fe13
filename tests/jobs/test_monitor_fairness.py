"""Fairness where groups are personal: as the log has them, never in clear, and not at all of what is never logged."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from personal_fakes import contract
from test_monitor_personal import MONDAY, World, people

from heliostat.inspection import mistakes as inspection
from heliostat.jobs.monitoring import model as monitor_model
from heliostat.ml.ground_truth import Label, record
from heliostat.monitoring.looking import WindowReport
from heliostat.spec.findings import State
from heliostat.spec.inspection import Asked, InspectionTask, Role
from heliostat.spec.monitoring import window_key

PARITY = {"metric": "demographic_parity_difference", "atMost": 0.3, "minRows": 50}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """People of one place are hardly ever selected; a place that the training had does not come any more."""
    monkeypatch.setattr(monitor_model, "load_entry_point", lambda _: contract())
    made = World(tmp_path)
    made.fill()
    [info] = [each for each in made.store.list("predictions/loans/") if each.key.endswith(".parquet")]
    table = pq.read_table(io.BytesIO(made.store.get(info.key)))
    place = np.array(people(7)["postcode"])
    draw = np.random.default_rng(0).random(table.num_rows)
    table = table.set_column(table.column_names.index("prediction_score"), "prediction_score", pa.array(
        np.where(place == "SW1Y-4JH", draw * 0.55, draw)
    ))  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(table.filter(pa.array(place != "XY9Z-8WV")), buffer)
    made.store.put(info.key, buffer.getvalue())
    return made


def test_groups_are_what_the_log_has_and_others_are_told_to_be_none(world: World) -> None:
    columns = ("postcode", "age", "name", "email")
    watched = {"fairness": [{"column": column, **PARITY} for column in columns]}
    state = world.look(world.digests[0], monitor=watched)
    found = {name: state.findings[f"loans/fairness/demographic_parity_difference by {name}"] for name in columns}
    report = WindowReport.model_validate_json(world.store.get(window_key("loans", f"{MONDAY:%Y-%m-%d}")))
    assert found["postcode"].state is State.BREACH and "gone: XY (" in found["postcode"].text
    assert set(report.fairness[0].groups) == {"SW", "AB"}, "truncated, as at the edge"
    assert set(report.fairness[1].groups) <= {f"{age}" for age in range(20, 80, 10)}
    assert found["name"].state is State.UNKNOWN and "no row of the log has a value of 'name'" in found["name"].text
    assert found["email"].state is State.UNKNOWN and "there are 0" in found["email"].text
    everything = state.model_dump_json() + report.model_dump_json()
    assert "example.org" not in everything and "SW1Y" not in everything and "Person" not in everything
    assert "loans/fairness/demographic_parity_difference by postcode" in [each.key for each in state.open_alarms]


def test_an_inspection_tells_which_inputs_are_never_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "load_entry_point", lambda _: contract())
    found = inspection.inspected(InspectionTask(asked=(Asked(entry_point="loans:CONTRACT", role=Role.CONTRACT),)))
    assert "name" in found.unlogged and not {"postcode", "age", "email"} & {*found.unlogged}


def test_late_labels_tell_the_rates_that_need_them(world: World) -> None:
    watched = {"fairness": [{"column": "postcode", "metric": "equal_opportunity_difference", "atMost": 0.1, "minRows": 50}]}
    key = "loans/fairness/equal_opportunity_difference by postcode"
    before = world.look(world.digests[0], monitor=watched).findings[key]
    assert (before.state, before.text) == (State.UNKNOWN, "there are no labels")
    record(world.address, "loans", [Label(f"r-{number}", float(number % 2)) for number in range(600)])
    after = world.look(world.digests[0], monitor=watched).findings[key]
    assert after.state is State.BREACH and "surest to differ are AB (" in after.text and "labelled rows" in after.text
