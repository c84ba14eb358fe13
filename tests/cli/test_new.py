"""`heliostat new`: what it makes, and what it refuses without making anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.engine.config.stackconfig import StackConfig
from heliostat.engine.state.backend import Backend, StackRef
from heliostat.engine.state.secrets import Crypter


def command(folder, *arguments, code=0, **variables):
    names = ("PULUMI_", "HELIOSTAT_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(names)} | variables
    run = [sys.executable, "-m", "heliostat.cli.main", "--engine", "embedded", *arguments]
    ran = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran


@pytest.fixture
def outside(desk, monkeypatch):
    """A folder beside the project, from where new ones are made."""
    folder = desk.folder.parent / "outside"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_a_new_repository_can_be_previewed_at_once(tmp_path):
    made = command(tmp_path, "new", "my-platform")
    root = tmp_path / "my-platform"
    assert "a first workload, 'tumours'" in made.stdout
    assert "cd my-platform" in made.stderr
    assert (root / ".venv/bin/python").exists()
    assert "name: my-platform\n" in (root / "Pulumi.yaml").read_text()
    previewed = command(root, "preview")
    assert "heliostat:index:Application tumours create" in previewed.stdout
    assert "11 to create" in previewed.stdout
    added = command(root, "new", "workload", "little-birds")
    assert "Changed configs/Pulumi.local.yaml\nChanged configs/Pulumi.preview.yaml" in added.stdout
    assert "little-birds:" in (root / "configs/Pulumi.preview.yaml").read_text()
    assert "16 to create" in command(root, "preview").stdout


def test_the_shell_s_passphrase_of_other_stacks_is_not_that_of_a_new_repository(tmp_path):
    command(tmp_path, "new", "mine", PULUMI_CONFIG_PASSPHRASE="of others")
    for stack in ("local", "preview"):
        salt = StackConfig(tmp_path / f"mine/configs/Pulumi.{stack}.yaml", "mine").salt
        Crypter(salt, "local").verify()  # as the files say
    told = command(tmp_path / "mine", "preview", PULUMI_CONFIG_PASSPHRASE="of others")
    assert "passphrase of heliostat.toml" in told.stderr and "11 to create" in told.stdout


def test_code_beside_the_workloads_travels_where_it_is_named_and_the_preview_tells_where_it_is_not(tmp_path):
    command(tmp_path, "new", "mine")
    dataset, settings = tmp_path / "mine/workloads/tumours/dataset.py", tmp_path / "mine/heliostat.toml"
    (tmp_path / "mine/shared").mkdir()
    (tmp_path / "mine/shared/rows.py").touch()
    dataset.write_text(dataset.read_text() + "\n\nimport shared.rows\n")
    told = command(tmp_path / "mine", "preview", code=1).stdout
    assert "workloads/tumours/dataset.py imports shared/rows.py, which does not travel with the code" in told
    assert "add 'shared' to `sources` in heliostat.toml" in told
    settings.write_text('sources = ["shared"]\n' + settings.read_text())
    assert "11 to create" in command(tmp_path / "mine", "preview").stdout


def test_a_repository_inside_of_another_project_is_its_own(tmp_path):
    command(tmp_path, "new", "outer")
    command(tmp_path / "outer", "new", "inner")
    for place, name in ((tmp_path / "outer", "outer"), (tmp_path / "outer/inner", "inner")):
        backend = Backend.open(f"file://{place}/.heliostat/state")
        assert [ref.full_name for ref in backend.stacks(None)] == [f"organization/{name}/local"]


def test_the_folder_s_name_is_the_project_s_where_none_is_given(outside, desk):
    desk.ok("new", "birds")
    desk.ok("new", "repository", "some", "--name", "bees")
    names = [(outside / folder / "Pulumi.yaml").read_text().splitlines()[0] for folder in ("birds", "some")]
    assert names == ["name: birds", "name: bees"]
    assert Path.cwd() == outside


def test_the_stack_is_made_where_state_is_kept(outside, desk):
    desk.ok("new", "birds")
    assert Backend.open(f"file://{desk.state}").exists(StackRef("birds", "local"))


def test_an_environment_and_a_repository_that_are_there_stay(outside, desk):
    (outside / "birds/.git").mkdir(parents=True)
    (outside / "birds/.venv").mkdir()
    desk.ok("new", "birds")
    assert list((outside / "birds/.venv").iterdir()) == []


def test_without_a_virtual_environment_one_is_made_that_sees_what_is_installed(outside, desk, monkeypatch):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    desk.ok("new", "birds")
    assert "include-system-site-packages = true" in (outside / "birds/.venv/pyvenv.cfg").read_text()


def test_nothing_is_made_where_something_is_wrong_and_all_of_it_is_told(outside, desk):
    (outside / "Birds").mkdir()
    (outside / "Birds/notes.txt").touch()
    ran = desk("new", "Birds", "--kind", "ranking")
    assert ran.code == 2
    assert all(text in ran.err for text in ("'Birds'", "there are: binary", "it holds notes.txt"))
    assert [path.name for path in (outside / "Birds").iterdir()] == ["notes.txt"]


def test_a_file_is_no_folder(outside, desk):
    (outside / "birds").touch()
    assert "is a file" in desk("new", "birds").err


def test_a_workload_s_section_goes_into_the_config_of_the_stack_that_is_meant(outside, desk, monkeypatch):
    desk.ok("new", "platform")
    monkeypatch.chdir(outside / "platform")
    local, other = (Path("configs", f"Pulumi.{name}.yaml") for name in ("local", "other"))
    other.write_text("config:\n  heliostat:platform: {kind: local}  # mine\n")
    before = local.read_text()
    desk.ok("new", "workload", "birds", "-s", "other")
    assert (local.read_text(), "birds:" in other.read_text(), "# mine" in other.read_text()) == (before, True, True)
    assert "there is no configs/Pulumi.gone.yaml" in desk("new", "workload", "bees", "-s", "gone").err


def test_a_workload_that_is_there_is_not_made_again(outside, desk, monkeypatch):
    desk.ok("new", "platform")
    monkeypatch.chdir(outside / "platform")
    contract = Path("workloads/tumours/contract.py")
    contract.write_text("mine")
    ran = desk("new", "workload", "tumours")
    assert "workloads/tumours/contract.py is there already" in ran.err
    assert "configs/Pulumi.local.yaml has a workload 'tumours' already" in ran.err
    assert contract.read_text() == "mine"


def test_outside_of_a_repository_there_is_nothing_to_add_a_workload_to(outside, desk):
    assert "run this in a project" in desk("new", "workload", "birds").err
