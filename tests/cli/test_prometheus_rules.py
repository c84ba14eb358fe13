"""Rules for Prometheus: each is right, and asks for what a controller tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from ruamel.yaml import YAML
from test_dashboard import METRICS

from heliostat.platforms.prometheus_rules import as_yaml

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool of Prometheus is not on PATH")
RULES = [rule for group in YAML(typ="safe").load(as_yaml())["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_parses_and_asks_for_what_there_is(rule):
    promql_parser.parse(rule["expr"])
    named = re.findall(r"(heliostat_\w+)(?:\{([^}]*)\})?", rule["expr"])
    assert named
    for name, labels in named:
        assert name in METRICS
        assert set(re.findall(r"(\w+)\s*[=!]", labels)) <= METRICS[name]
    told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    # What is joined `on ()` has no labels, and takes none away.
    assert told <= set.intersection(*(METRICS[name] for name, _ in named if METRICS[name] or not told))
    assert re.fullmatch(r"\d+[mh]", rule["for"]) and rule["labels"]["severity"] in {"warning", "critical"}


def test_names_are_told_apart():
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)


def test_the_command_writes_them(desk):
    assert desk.ok("monitor", "rules").rstrip() == as_yaml().rstrip()
    desk.ok("monitor", "rules", "-o", "rules.yaml")
    assert (desk.folder / "rules.yaml").read_text() == as_yaml()


@needs_promtool
def test_promtool_takes_them(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(as_yaml())
    subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.yaml")], check=True)


def hold(folder: Path, rule: str, series: dict[str, str], expected: dict[str, list[dict[str, Any]]]) -> None:
    """Hold what a rule tells at some times against what is expected, by promtool, with a value a minute of each series."""
    (folder / "rules.yaml").write_text(as_yaml())
    asked = [{"eval_time": time, "alertname": rule, "exp_alerts": found} for time, found in expected.items()]
    told = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": told, "alert_rule_test": asked}
    (folder / "test.yaml").write_text(json.dumps({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


FAILED = 'heliostat_tasks_ended_total{application="flights", state="failed", instance="a"}'


@needs_promtool
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("_x20 1x60", {"19m": 0, "23m": 1, "50m": 0}),
        ("3x20 4x60", {"8m": 0, "23m": 1, "50m": 0}),
        ("3x50", {"20m": 0, "40m": 0}),
    ],
    ids=["the first one", "one more", "none"],
)
def test_a_task_that_failed_for_good_is_told_once_though_it_is_the_first(tmp_path, values, expected):
    text = "flights: 1 tasks failed for good"
    found = [{"exp_labels": {"application": "flights", "severity": "warning"}, "exp_annotations": {"summary": text}}]
    series = {FAILED: values, "heliostat_store_writes": "1x80"}
    hold(tmp_path, "HeliostatDeadLetters", series, {time: found * count for time, count in expected.items()})


@needs_promtool
def test_a_monitor_is_silent_once_its_look_is_two_hours_late(tmp_path):
    series = {'heliostat_monitor_next_look_timestamp_seconds{application="flights"}': "3600x200"}
    text = "flights: a look of its monitor is late by 2h 20m 0s"
    found = [{"exp_labels": {"application": "flights", "severity": "warning"}, "exp_annotations": {"summary": text}}]
    hold(tmp_path, "HeliostatMonitorSilent", series, {"150m": [], "200m": found})
