"""Our plugin is started before the engine, wherever it is found, and for nobody who does not use it."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import heliostat
from heliostat.cli import ahead

FOLDER = Path(heliostat.__file__).parent / "provider"
BESIDE = Path(sys.executable).parent


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What is started for a project that names `plugins`, with resources of these types in its state."""
    commands = []
    monkeypatch.setattr(ahead.launching, "start", lambda command, *_: commands.append(command) or SimpleNamespace())

    def start(plugins, types):
        commands.clear()
        project = SimpleNamespace(name="p", root=tmp_path, main=Path("/"), plugins=plugins, runtime_options={})
        resources = [{"type": each} for each in types]
        session = SimpleNamespace(project=project, seen=SimpleNamespace(deployment={"resources": resources}))
        ahead._start(ahead.Ahead(), session, {"PATH": "/usr/bin:/bin"}, program=False)
        return [(command[-2], command[-1]) for command in commands]

    return start


def test_the_installed_command_is_started_where_the_project_names_none(started, tmp_path):
    (tmp_path / "heliostat.toml").touch()
    assert started({}, []) == [(str(BESIDE / "pulumi-resource-heliostat"), "--expected=")]


def test_it_is_told_which_resources_it_will_be_asked_for(started):
    types = ["pulumi:providers:heliostat", "heliostat:index:Dataset"]
    assert started({}, types)[0][1] == "--expected=heliostat:index:Dataset,pulumi:providers:heliostat"


def test_a_project_without_our_resources_starts_no_plugin_of_ours(started):
    assert started({}, []) == []
    assert started({}, ["pulumi:providers:aws", "aws:s3/bucket:Bucket"]) == []


def test_the_folder_that_the_project_names_goes_before(started):
    assert [command for command, _ in started({"heliostat": FOLDER}, [])] == [str(FOLDER)]


def test_somebody_else_s_plugin_is_not_started_before_the_engine_s_address_is_known(started, tmp_path):
    (tmp_path / "heliostat.toml").touch()
    assert started({"heliostat": tmp_path}, []) == []
