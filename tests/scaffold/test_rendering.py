"""The template under other names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from heliostat.scaffold import rendering, template

TEMPLATE = template.read()
LONGEST = "a" * 38 + "-b"


def write(folder: Path, files: rendering.Files) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def test_a_repository_is_what_pulumi_new_makes_of_the_same_template_without_what_only_a_template_has() -> None:
    def as_pulumi(text: str) -> str:
        return text.replace("${PROJECT}", "birds").replace("${DESCRIPTION}", "Birds as code")

    ours = rendering.repository(TEMPLATE, "birds", "Birds as code")
    theirs = {as_pulumi(path): as_pulumi(text) for path, text in TEMPLATE.items()}
    project = yaml.safe_load(theirs.pop("Pulumi.yaml"))
    assert project.pop("template")["description"]
    assert yaml.safe_load(ours.pop("Pulumi.yaml")) == project
    assert ours == theirs
    assert project["name"] == "birds"


def test_no_placeholder_and_no_example_is_left_under_another_name() -> None:
    assert not [path for path, text in rendering.repository(TEMPLATE, "birds").items() if "${PROJECT" in text + path]
    files = rendering.workload(TEMPLATE, "little-birds", "binary")
    assert not [path for path, text in files.items() if rendering.EXAMPLE in (text + path).lower()]
    assert "workloads/little_birds/workload.py" in files
    assert 'TITLE = "Little birds"' in files["workloads/little_birds/contract.py"]


def test_a_workload_has_the_files_of_the_first_one_and_tests_of_its_own() -> None:
    names = {path.replace("birds", rendering.EXAMPLE) for path in rendering.workload(TEMPLATE, "birds", "binary")}
    assert names == {path for path in TEMPLATE if rendering.EXAMPLE in path}


@pytest.mark.parametrize("name", ["b", "zebras", LONGEST])
def test_the_linter_finds_nothing_whatever_the_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, {**rendering.repository(TEMPLATE, name), **rendering.workload(TEMPLATE, name, "binary")})
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--no-cache", tmp_path], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "config",
    [
        "# mine\nconfig:\n  heliostat:platform: {}\n  heliostat:workloads:\n    old: {}  # stays\nencryptionsalt: v1:x\n",
        "config:\n  heliostat:platform: {kind: local}\nencryptionsalt: v1:x\n",
    ],
    ids=["beside another", "the first"],
)
def test_the_section_of_a_workload_is_added_and_every_other_byte_stays(config: str) -> None:
    changed = rendering.with_section(config, TEMPLATE, "birds", "binary")
    before, after = yaml.safe_load(config), yaml.safe_load(changed)
    ours = yaml.safe_load(TEMPLATE[rendering.CONFIG])["config"][rendering.SECTION][rendering.EXAMPLE]
    assert after["config"][rendering.SECTION].pop("birds") == ours
    assert after["config"][rendering.SECTION] == before["config"].get(rendering.SECTION, {})
    rest = changed.splitlines()
    assert all(line in rest for line in config.splitlines())


def code_lines(text: str) -> int:
    """Lines without those that are blank, comments or docstrings."""
    described = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for number, line in lines if line.strip() and not line.strip().startswith("#") and number not in described)


@pytest.mark.parametrize("example", rendering.KINDS.values())
def test_the_smallest_workload_of_a_kind_is_at_most_sixty_lines(example: str) -> None:
    assert sum(code_lines(text) for path, text in TEMPLATE.items() if path.startswith(f"workloads/{example}/")) <= 60
