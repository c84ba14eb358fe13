"""The template as it is in the library: right by itself, and of this version."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from heliostat import __version__
from heliostat.scaffold import rendering, template

ROOT = Path(__file__).parents[2]
TEMPLATE = template.read()


def test_it_pins_the_library_that_it_is_part_of() -> None:
    assert f"heliostat=={__version__}" in TEMPLATE["requirements.txt"].splitlines()


@pytest.mark.parametrize("path", [path for path in TEMPLATE if path.startswith("policies/")])
def test_its_policies_are_those_of_this_repository(path: str) -> None:
    assert TEMPLATE[path] == (ROOT / path).read_text()


def test_its_project_is_kept_as_this_repository_s_is_and_names_no_folder_of_a_plugin() -> None:
    theirs, ours = yaml.safe_load(TEMPLATE["Pulumi.yaml"]), yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert {key: theirs[key] for key in ("runtime", "main", "stackConfigDir", "backend", "options")} == {
        key: ours[key] for key in ("runtime", "main", "stackConfigDir", "backend", "options")
    }
    assert "plugins" not in theirs
    assert TEMPLATE["infra/__main__.py"] == (ROOT / "infra/__main__.py").read_text()
    assert tomllib.loads(TEMPLATE["heliostat.toml"]) == tomllib.loads((ROOT / "heliostat.toml").read_text())


def test_its_workflow_for_branches_is_the_one_that_the_documents_explain() -> None:
    assert TEMPLATE[".github/workflows/delivery.yml"] == (ROOT / "deploy/ci/github.yml").read_text()


def test_an_environment_trains_what_the_first_stack_trains_so_that_it_can_take_it() -> None:
    local, preview = (yaml.safe_load(TEMPLATE[path])["config"] for path in (rendering.CONFIG, rendering.ENVIRONMENTS))
    ours, theirs = (each[rendering.SECTION][rendering.EXAMPLE] for each in (local, preview))
    assert (ours["training"], ours["gate"]) == (theirs["training"], theirs["gate"])
    assert preview["heliostat:platformStack"] == "organization/${PROJECT}/local"


def test_what_an_engine_installs_from_the_program_s_folder_is_the_repository_s_list() -> None:
    assert "-r ../requirements.txt" in TEMPLATE["infra/requirements.txt"].splitlines()


def test_what_tools_left_in_the_folder_is_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "infra/__pycache__").mkdir(parents=True)
    (tmp_path / "infra/__pycache__/x.pyc").write_bytes(b"\xff")
    (tmp_path / "infra/a.py").write_text("a")
    monkeypatch.setattr(template, "FOLDER", tmp_path)
    assert template.read() == {"infra/a.py": "a"}


def test_the_tests_of_a_new_repository_pass_with_a_second_workload(tmp_path: Path) -> None:
    files = {**rendering.repository(TEMPLATE, "platform"), **rendering.workload(TEMPLATE, "little-birds", "binary")}
    files[rendering.CONFIG] = rendering.with_section(files[rendering.CONFIG], TEMPLATE, "little-birds", "binary")
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout
    assert "16 passed, 1 deselected" in done.stdout


def test_the_workflow_tests_and_previews_pull_requests() -> None:
    workflow = yaml.safe_load(TEMPLATE[".github/workflows/heliostat.yml"])
    steps = [step.get("run", "") for step in workflow["jobs"]["test"]["steps"]]
    assert any("heliostat preview" in step for step in steps)
    assert any(step.endswith("pytest") for step in steps)
