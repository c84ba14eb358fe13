"""Inside a checkout the command finds its state, its stack and its passphrase, and says which it took."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.cli import say
from heliostat.cli.checkout import CheckoutError, Settings, find, invocation, read
from heliostat.engine.state.secrets import Crypter

ROOT = Path(__file__).parents[2]
PROJECT = "name: demo\nruntime: python\nbackend: {url: 'file://./.heliostat/state'}\n"
SETTINGS = 'stack = "local"\n[passphrases]\nlocal = "pass"\n[passphrase-files]\nprod = "secrets/prod"\n'


@pytest.fixture
def checkout(tmp_path):
    root = tmp_path / "checkout"
    (root / "infra").mkdir(parents=True)
    (root / "Pulumi.yaml").write_text(PROJECT)
    (root / "heliostat.toml").write_text(SETTINGS)
    return root


@pytest.fixture
def heliostat(checkout, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "HELIOSTAT_"))}
    environment |= {"PULUMI_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def run(*arguments, cwd=checkout, **variables):
        script = Path(sys.executable).with_name("heliostat")
        return subprocess.run(
            [str(script), *arguments],
            cwd=cwd,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )

    run.environment = environment
    return run


def test_all_is_found_where_nothing_is_said(checkout, tmp_path):
    found = find(["up"], {"PULUMI_HOME": str(tmp_path)}, checkout / "infra")
    assert found.variables == {
        "PULUMI_BACKEND_URL": f"file://{checkout}/.heliostat/state",
        "PULUMI_STACK": "local",
        "PULUMI_CONFIG_PASSPHRASE": "pass",
        "HELIOSTAT_PLACE_TOLD": "1",
    }
    assert found.note == (
        f"stack local (heliostat.toml), state in {checkout}/.heliostat/state (Pulumi.yaml), passphrase of heliostat.toml"
    )
    assert "state in .heliostat/state (" in find(["up"], {"PULUMI_HOME": str(tmp_path)}, checkout).note


def test_the_environment_always_wins(checkout):
    said = {"PULUMI_BACKEND_URL": "s3://bucket", "PULUMI_STACK": "dev", "PULUMI_CONFIG_PASSPHRASE": ""}
    found = find(["up"], said, checkout)
    assert (found.variables, found.note) == ({}, "")
    assert "PULUMI_CONFIG_PASSPHRASE" not in find(["up"], {"PULUMI_CONFIG_PASSPHRASE_FILE": "f"}, checkout).variables


@pytest.mark.parametrize(
    "arguments",
    [
        ("up", "-s", "prod"),
        ("up", "-sprod"),
        ("--color", "never", "up", "--stack=organization/demo/prod"),
        ("stack", "init", "prod"),
        ("stack", "select", "--create", "prod"),
        ("cancel", "prod", "--yes"),
        ("up", "-m", "-s local", "-s", "prod"),
    ],
)
def test_a_passphrase_is_that_of_the_stack_that_is_meant(checkout, tmp_path, arguments):
    found = find(arguments, {"PULUMI_HOME": str(tmp_path)}, checkout)
    assert found.variables["PULUMI_CONFIG_PASSPHRASE_FILE"] == f"{checkout}/secrets/prod"
    assert "PULUMI_CONFIG_PASSPHRASE" not in found.variables
    assert "PULUMI_STACK" not in found.variables


def test_a_variable_of_one_stack_s_own_goes_before_the_passphrase_of_a_job_s_others(checkout, tmp_path):
    said = {"PULUMI_HOME": str(tmp_path), "PULUMI_CONFIG_PASSPHRASE": "of others", "HELIOSTAT_PASSPHRASE_EU_PROD": "own"}
    found = find(["up", "-s", "organization/demo/eu-prod"], said, checkout)
    assert found.variables["PULUMI_CONFIG_PASSPHRASE"] == "own" and "own" not in found.note
    assert "PULUMI_CONFIG_PASSPHRASE" not in find(["up", "-s", "staging"], said, checkout).variables
    said["HELIOSTAT_PASSPHRASE_EU_PROD"] = ""  # a secret of CI that nobody made
    assert "PULUMI_CONFIG_PASSPHRASE" not in find(["up", "-s", "eu-prod"], said, checkout).variables


def test_a_stack_that_the_file_s_passphrase_opens_has_that_one_whatever_the_shell_has_for_others(checkout, tmp_path):
    said = {"PULUMI_HOME": str(tmp_path), "PULUMI_CONFIG_PASSPHRASE": "of others"}
    config = checkout / "Pulumi.local.yaml"
    config.write_text(f"encryptionsalt: {Crypter.new('pass').salt}\n")
    found = find(["up"], said, checkout)
    assert found.variables["PULUMI_CONFIG_PASSPHRASE"] == "pass" and "passphrase of heliostat.toml" in found.note
    by_file = {"PULUMI_HOME": str(tmp_path), "PULUMI_CONFIG_PASSPHRASE_FILE": "f"}
    assert find(["up"], by_file, checkout).variables["PULUMI_CONFIG_PASSPHRASE"] == "pass"
    config.write_text(f"encryptionsalt: {Crypter.new('of others').salt}\n")
    assert "PULUMI_CONFIG_PASSPHRASE" not in find(["up"], said, checkout).variables, "the environment wins"
    config.write_text("encryptionsalt: [1\n")
    assert "PULUMI_CONFIG_PASSPHRASE" not in find(["up"], said, checkout).variables


def test_a_stack_that_is_selected_comes_before_the_one_of_the_file(checkout, heliostat):
    assert heliostat("stack", "init", "local").returncode == 0
    assert heliostat("stack", "init", "other", PULUMI_CONFIG_PASSPHRASE="x").returncode == 0
    assert heliostat("stack", "--show-name").stdout == "other\n"
    assert heliostat("stack", "select", "local").returncode == 0
    ran = heliostat("stack", "--show-name", cwd=checkout / "infra")
    assert ran.stdout == "local\n"
    assert "state in" in ran.stderr
    assert "stack local" not in ran.stderr, "nobody took it: it was selected"


def test_a_project_without_any_of_it_is_as_it_was(tmp_path):
    (tmp_path / "Pulumi.yaml").write_text("name: demo\nruntime: nodejs\n")
    assert find(["up"], {}, tmp_path).variables == {}
    assert find(["up", "-C", "nowhere"], {}, tmp_path).variables == {}
    (tmp_path / "Pulumi.yaml").write_text("name: [\n")
    assert find(["up"], {}, tmp_path).variables == {}


def test_help_and_commands_of_no_stack_say_nothing(checkout, tmp_path):
    for arguments in ([], ["--help"], ["up", "--help"], ["about"]):
        assert find(arguments, {"PULUMI_HOME": str(tmp_path)}, checkout).note == ""
    assert find(["up"], {"HELIOSTAT_PLACE_TOLD": "1"}, checkout).note == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stack = 1", "stack: 1 is no name"),
        ("stacks = 'x'", "stacks: there is no such key"),
        ("[passphrases]\nlocal = 1", "passphrases: has to be a table of texts"),
        ("passphrase-files = 'x'", "passphrase-files: has to be"),
        ("stack = ", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_named_with_its_mistakes(tmp_path, text, told):
    (tmp_path / "heliostat.toml").write_text(text)
    with pytest.raises(CheckoutError, match=re.escape(told)) as caught:
        read(tmp_path / "heliostat.toml")
    assert str(tmp_path / "heliostat.toml") in str(caught.value)


def test_this_checkout_says_how_its_local_stack_is_found():
    said = read(ROOT / "heliostat.toml")
    assert said == Settings("local", {"local": "local", "preview": "local"}, {}, said.policy_packs)


def test_no_policy_pack_judges_this_checkout_s_local_stack_and_one_each_other():
    (pack,) = read(ROOT / "heliostat.toml").policy_packs
    assert not pack.judges("local")
    for stack in ("aws", "gcp", "kubernetes"):
        assert pack.judges(stack)
        assert (ROOT / pack.config_of(stack)).is_file()


def test_this_checkout_s_makefile_sets_no_variable_of_the_place():
    assert "PULUMI" not in (ROOT / "Makefile").read_text()


# --- as a process


def test_the_official_cli_works_on_the_same_stack(checkout, heliostat, tmp_path):
    (tmp_path / "bin").mkdir()
    pulumi = tmp_path / "bin" / "pulumi"
    pulumi.write_text('#!/bin/sh\necho "$PULUMI_BACKEND_URL $PULUMI_STACK $PULUMI_CONFIG_PASSPHRASE $*"\n')
    pulumi.chmod(0o755)
    ran = heliostat("up", cwd=checkout / "infra", PATH=f"{tmp_path}/bin:/usr/bin:/bin")
    assert ran.stdout == f"file://{checkout}/.heliostat/state local pass up\n"
    assert ran.stderr.startswith("heliostat: stack local (heliostat.toml), ")


def test_no_folder_below_the_checkout_gets_a_state_of_its_own(checkout, heliostat):
    assert heliostat("stack", "init", "local", cwd=checkout / "infra").returncode == 0
    assert json.loads(heliostat("stack", "ls", "--json").stdout)[0]["name"] == "local"
    assert not (checkout / "infra" / ".heliostat").exists()


def test_a_hint_runs_as_it_is_printed(checkout, heliostat):
    ran = heliostat("stack")
    assert ran.returncode == 6
    hint = re.search(r"`([^`]* stack init local)`", ran.stderr).group(1)
    done = subprocess.run(shlex.split(hint), cwd=checkout, env=heliostat.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert heliostat("stack").returncode == 0


def test_no_hint_leads_to_a_second_state(checkout, heliostat, tmp_path):
    heliostat("stack", "init", "local")
    ran = heliostat("stack", PULUMI_BACKEND_URL=f"file://{tmp_path}")
    assert ran.returncode == 6
    assert "stack init" not in ran.stderr
    assert f"but file://{checkout}/.heliostat/state has it; unset PULUMI_BACKEND_URL" in ran.stderr


def test_a_hint_names_the_stack_that_was_named_and_the_command_as_it_is_called(tmp_path, monkeypatch, capsys):
    script = tmp_path / ".venv" / "bin" / "heliostat"
    script.parent.mkdir(parents=True)
    script.touch()
    monkeypatch.setattr(sys, "argv", [".venv/bin/heliostat"])
    monkeypatch.setenv("PATH", "/usr/bin")
    assert invocation(["up"], tmp_path) == ".venv/bin/heliostat"
    assert invocation(["-C", "a b", "up"], tmp_path) == ".venv/bin/heliostat -C 'a b'"
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.chdir(tmp_path)
    assert invocation(["up"], tmp_path) == "heliostat"
    say.begin(".venv/bin/heliostat", "prod")
    try:
        told = say.runnable(
            "`heliostat up`, `heliostat up -s x`, `heliostat stack ls`, heliostat rollout watch a; heliostat is"
        )
    finally:
        say.begin()
    assert told == (
        "`.venv/bin/heliostat up -s prod`, `.venv/bin/heliostat up -s x`, `.venv/bin/heliostat stack ls`, "
        ".venv/bin/heliostat rollout watch a; heliostat is"
    )


def test_data_that_looks_like_a_hint_is_data(checkout, heliostat):
    heliostat("stack", "init", "local")
    heliostat("config", "set", "a", "`heliostat up`")
    assert heliostat("config", "get", "a").stdout == "`heliostat up`\n"


def test_environments_have_the_passphrase_of_their_template_and_ci_leaves_each_stack_its_own(checkout, tmp_path):
    text = SETTINGS.replace("[passphrases]\n", '[passphrases]\npreview = "small"\n') + '[environments]\nidle = "1d"\n'
    (checkout / "heliostat.toml").write_text(text)
    home = {"PULUMI_HOME": str(tmp_path)}
    for command in (["env", "up"], ["ci", "comment"], ["ci", "close"]):
        found = find(command, home, checkout)
        assert found.variables["PULUMI_CONFIG_PASSPHRASE"] == "small" and found.stack == "preview"
        assert "PULUMI_STACK" not in found.variables
    found = find(["ci", "preview"], home, checkout).variables
    assert found.keys() == {"PULUMI_BACKEND_URL"}


def test_a_mistake_in_what_is_said_of_environments_is_told_with_the_others(checkout):
    (checkout / "heliostat.toml").write_text('stack = 3\n[environments]\nidle = "soon"\n')
    with pytest.raises(CheckoutError, match=r"environments\.idle[\s\S]*stack"):
        read(checkout / "heliostat.toml")
