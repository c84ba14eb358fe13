"""Rules for Prometheus: each is right, and asks for what a controller tells."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
from ruamel.yaml import YAML
from test_dashboard import METRICS

from heliostat.platforms.prometheus_rules import as_yaml

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
    assert told <= set.intersection(*(METRICS[name] for name, _ in named))
    assert re.fullmatch(r"\d+[mh]", rule["for"]) and rule["labels"]["severity"] in {"warning", "critical"}


def test_names_are_told_apart():
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)


def test_the_command_writes_them(desk):
    assert desk.ok("monitor", "rules").rstrip() == as_yaml().rstrip()
    desk.ok("monitor", "rules", "-o", "rules.yaml")
    assert (desk.folder / "rules.yaml").read_text() == as_yaml()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool of Prometheus is not on PATH")
def test_promtool_takes_them(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(as_yaml())
    subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.yaml")], check=True)
