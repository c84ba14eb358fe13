"""Mistakes of a stack's config name the file that is in use, and where in it they stand."""

import json
from pathlib import Path
from types import SimpleNamespace

import pulumi
import pytest

from heliostat import program

TEXT = """\
config:
  heliostat:platform:
    kind: local
  # without the project's name
  workloads:
    flights:
      serving: {replicas: 0,
        color: red}
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "workloads" / "flights").mkdir(parents=True)
    (tmp_path / "workloads" / "flights" / "workload.py").touch()
    (tmp_path / "configs").mkdir()
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")
    monkeypatch.delenv("HELIOSTAT_CONFIG_FILE", raising=False)
    workloads = {"flights": {"serving": {"replicas": 0, "color": "red"}}}
    said = {"heliostat:platform": '{"kind": "local"}', "heliostat:workloads": json.dumps(workloads)}
    monkeypatch.setattr(program.runtime_config, "CONFIG", SimpleNamespace(get=lambda: said))
    return tmp_path


def told(checkout: Path) -> list[str]:
    with pytest.raises(pulumi.RunError) as caught:
        program.read(checkout / "workloads")
    return str(caught.value).splitlines()


def test_a_mistake_has_its_line_and_column(checkout):
    (checkout / "configs" / "Pulumi.dev.yaml").write_text(TEXT)
    lines = told(checkout)
    assert lines[0] == "2 mistakes in configs/Pulumi.dev.yaml:"
    assert lines[1].startswith("  configs/Pulumi.dev.yaml:7:17: heliostat:workloads.flights.serving.replicas: ")
    assert lines[2].startswith("  configs/Pulumi.dev.yaml:8:9: heliostat:workloads.flights.serving.color: ")


def test_the_file_that_was_given_is_the_one_that_is_named(checkout, monkeypatch, tmp_path):
    other = tmp_path.parent / "other.yaml"
    other.write_text(TEXT)
    monkeypatch.setenv("HELIOSTAT_CONFIG_FILE", str(other))
    assert told(checkout)[1].startswith(f"  {other}:7:17: ")


def test_a_file_that_is_not_there_gives_no_line(checkout):
    assert told(checkout)[1].startswith("  configs/Pulumi.dev.yaml: heliostat:workloads.flights.serving.replicas: ")
