"""What runs in a process of its own is started by its module's name, which no type checker and no import reads."""

from __future__ import annotations

import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import heliostat
from heliostat.jobs import scoring
from heliostat.serving.replica import build
from heliostat.spec.controller import ControllerSettings

TOP = Path(heliostat.__file__).parent
NAME = re.compile(r'"(heliostat\.(?:analysis|inspection|jobs|ml|serving)(?:\.\w+)*)(?::\w+)?"')


def test_every_module_that_the_library_names_in_a_text_is_there() -> None:
    named = {name for path in TOP.rglob("*.py") for name in NAME.findall(path.read_text())} - {scoring._UNNAMED}
    assert {"heliostat.jobs.train", "heliostat.inspection", "heliostat.analysis"} <= named
    assert [name for name in sorted(named) if find_spec(name) is None] == []


def test_each_program_can_be_started() -> None:
    for name in ("analysis", "inspection"):
        assert find_spec(f"heliostat.{name}.__main__")


def test_serve_builds_what_the_controllers_settings_name() -> None:
    module, _, attribute = ControllerSettings.model_fields["serving_entry_point"].default.partition(":")
    assert getattr(importlib.import_module(module), attribute) is build
