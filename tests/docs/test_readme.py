"""The README's commands: what it tells people to type is there, and does what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from workloads.flights.contract import Flight
from workloads.flights.parameters import Training

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_make_target_that_it_names_is_there() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)\b", README)) - {"it"}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"up", "test", "down", "help"} <= named
    assert named <= targets


def test_the_request_that_it_sends_fits_the_contract() -> None:
    (body,) = re.findall(r"-d '(\{.*?\})'", README, re.DOTALL)
    TypeAdapter(Flight).validate_python(json.loads(body))


def test_the_parameters_that_it_changes_are_the_workload_s() -> None:
    changed = re.findall(r"`(\w+): \.\.\. = (\d+)`", README)
    assert changed
    assert all(Training().overridden({name: int(value)}) for name, value in changed)
    defaults, first = Training().model_dump(), dict(reversed(changed))
    assert all(defaults[name] != int(value) for name, value in first.items()), "a change has to change something"


@pytest.mark.parametrize("engine", ["embedded", "pulumi"])
def test_the_engine_is_chosen_as_it_says(engine: str) -> None:
    assert "heliostat --engine embedded|pulumi COMMAND" in README
    command = [str(Path(sys.executable).with_name("heliostat")), "--engine", engine, "preview", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 or "is not on PATH" in done.stderr, done.stderr


def test_the_list_of_commands_is_printed_without_any_set_up() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "make up" in done.stdout
