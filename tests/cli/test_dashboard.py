import json
import re
from pathlib import Path

import promql_parser
import pytest

from heliostat.platforms.grafana import as_json
from heliostat.systems.objects import Directory

# what a controller tells of itself, and its labels
METRICS = {
    "heliostat_requests_total": {"application", "version", "route"},
    "heliostat_failed_requests_total": {"application", "version", "route"},
    "heliostat_rejected_requests_total": {"application", "version", "route"},
    "heliostat_request_duration_seconds_bucket": {"application", "version", "route", "le"},
    "heliostat_traffic_weight": {"application", "version"},
    "heliostat_replicas": {"application", "version", "state"},
    "heliostat_rollout_phase": {"application", "phase"},
    "heliostat_rollout_step": {"application"},
    "heliostat_rollouts_total": {"application", "strategy", "result"},
    "heliostat_analysis_value": {"application", "check", "side"},
    "heliostat_analysis_verdict": {"application", "check"},
    "heliostat_shift_seconds": {"application"},
    "heliostat_refused": {"application"},
    "heliostat_ledger_waiting": set(),
    "heliostat_cluster_answers": set(),
    "heliostat_traffic_plane_up": set(),
    "heliostat_store_writes": set(),
    "heliostat_tasks": {"application", "state"},
    "heliostat_task_workers": {"application", "version", "state"},
    "heliostat_tasks_oldest_seconds": {"application"},
    "heliostat_tasks_ended_total": {"application", "state"},
    "heliostat_postprocessed_answers_total": {"application", "version", "step", "outcome", "reason"},
    "heliostat_postprocessing_removed_total": {"application", "version", "step", "outcome", "reason"},
    "heliostat_requests_without_consent_total": {"application", "version", "replica"},
    "heliostat_requests_unexpected_total": {"application", "version", "replica", "field", "expectation"},
    "heliostat_monitor_findings": {"application", "aspect", "state"},
    "heliostat_monitor_value": {"application", "aspect", "subject"},
    "heliostat_monitor_limit": {"application", "aspect", "subject"},
    "heliostat_monitor_alarms": {"application", "severity"},
    "heliostat_monitor_looked_timestamp_seconds": {"application"},
    "heliostat_monitor_next_look_timestamp_seconds": {"application"},
    "heliostat_monitor_undelivered": {"application"},
}


@pytest.fixture(scope="module")
def dashboard():
    return json.loads(as_json())


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard):
    """Every query's legend and its expression, Grafana's own variables filled in as Grafana does."""
    asked = [(target.get("legendFormat", ""), target["expr"]) for panel in panels(dashboard) for target in panel["targets"]]
    asked += [("", one["expr"]) for one in dashboard["annotations"]["list"]]
    return [
        (legend, re.sub(r"\$__(rate_interval|range)", "1m", text).replace("$application", "flights")) for legend, text in asked
    ]


def selectors(node):
    """Each metric that an expression selects, with the labels that it is selected by."""
    found = {}
    for name, labels in re.findall(r"(heliostat_\w+)(?:\{([^}]*)\})?", node.prettify()):
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*=~?", labels))
    return found


def test_every_expression_is_right_and_every_metric_and_label_is_there(dashboard):
    for legend, text in queries(dashboard):
        for name, labels in selectors(promql_parser.parse(text)).items():
            assert name in METRICS, f"{name} of {text}"
            assert labels <= METRICS[name], text
            grouped = {label for by in re.findall(r"by \(([^)]*)\)", text) for label in re.split(r",\s*", by)}
            assert grouped <= METRICS[name], text
            assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= METRICS[name], legend


def test_every_metric_of_the_controller_is_shown(dashboard):
    shown = {name for _, text in queries(dashboard) for name in selectors(promql_parser.parse(text))}
    assert shown == set(METRICS)


async def test_what_it_asks_for_is_what_a_controller_tells(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "controller"))
    from fake_cluster import TOKEN, FakeCluster

    async with FakeCluster(tmp_path).raw() as client:
        answer = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    series = {"counter": "", "gauge": "", "histogram": "_bucket"}
    told = {name + series[kind] for name, kind in re.findall(r"^# TYPE (heliostat_\w+) (\w+)", answer.text, re.MULTILINE)}
    assert set(METRICS) == told


async def test_a_series_has_the_labels_that_panels_and_rules_ask_by(tmp_path, monkeypatch):
    for folder in ("controller", "rollout"):
        monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / folder))
    from fake_cluster import TOKEN, FakeCluster
    from prometheus_client.parser import text_string_to_metric_families
    from test_controller import bring, desired
    from test_monitor_metrics import written

    cluster = FakeCluster(tmp_path)
    written(Directory(tmp_path / "objects"))
    async with cluster.running() as client:
        await bring(client, desired(1))
        async with cluster.raw() as raw:
            answer = await raw.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).add(frozenset(sample.labels))
    told = {name: found[name] for name in METRICS if name in found}
    assert told == {name: {frozenset(METRICS[name])} for name in told}
    assert {name for name in METRICS if "_monitor_" in name} <= told.keys() and len(told) >= 15


def test_panels_lie_side_by_side_and_not_on_each_other(dashboard):
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_has_an_id_a_description_and_queries_of_the_chosen_source(dashboard):
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels(dashboard):
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters)) > 0


def test_the_command_writes_it(desk):
    assert json.loads(desk.ok("rollout", "dashboard"))["title"] == "Heliostat: rollouts"
    desk.ok("rollout", "dashboard", "-o", "board.json")
    assert json.loads((desk.folder / "board.json").read_text())["uid"] == "heliostat-rollouts"
