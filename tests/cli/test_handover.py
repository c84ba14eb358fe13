import os
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.cli.handover import Choice, EngineChoiceError, choose, path_of_plugins


@pytest.fixture
def with_cli(tmp_path):
    """A PATH with an official CLI that says what it is called with."""
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "pulumi"\nprintf " <%s>" "$@"\nexit 7\n')
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


@pytest.fixture
def without_cli(tmp_path):
    return {"PATH": str(tmp_path)}


def test_the_official_cli_takes_over_where_it_is_there(with_cli):
    assert choose(["up", "--yes", "-s", "dev"], with_cli) == Choice("pulumi", ("up", "--yes", "-s", "dev"))
    assert choose(["-C", "folder", "stack", "ls"], with_cli).engine == "pulumi"


def test_without_the_official_cli_the_embedded_engine_works(without_cli):
    assert choose(["up"], without_cli) == Choice("embedded", ("up",))


def test_the_choice_of_an_engine_wins_and_is_not_passed_on(with_cli):
    assert choose(["--engine", "embedded", "up"], with_cli) == Choice("embedded", ("up",))
    assert choose(["--engine=embedded", "-C", "x", "up"], with_cli) == Choice("embedded", ("-C", "x", "up"))
    assert choose(["up"], with_cli | {"HELIOSTAT_ENGINE": "embedded"}).engine == "embedded"
    assert choose(["--engine", "pulumi", "up"], with_cli | {"HELIOSTAT_ENGINE": "embedded"}).engine == "pulumi"


def test_what_comes_after_the_command_belongs_to_it(with_cli):
    assert choose(["config", "set", "--", "--engine", "x"], with_cli).arguments == ("config", "set", "--", "--engine", "x")


def test_commands_that_only_heliostat_has_stay_with_it(with_cli):
    assert choose(["rollback", "7"], with_cli).engine == "embedded"
    assert choose(["--help"], with_cli).engine == "embedded"


def test_an_engine_that_is_not_there_or_is_none_is_an_error(without_cli):
    with pytest.raises(EngineChoiceError, match="not on PATH"):
        choose(["--engine", "pulumi", "up"], without_cli)
    with pytest.raises(EngineChoiceError, match="'terraform'"):
        choose(["--engine", "terraform", "up"], without_cli)
    with pytest.raises(EngineChoiceError, match="needs a value"):
        choose(["--engine"], without_cli)


def test_flags_about_rollouts_become_variables_for_the_plugin_of_the_official_cli(with_cli):
    choice = choose(["up", "--wait", "--yes", "--retry-refused", "-s", "dev"], with_cli)
    assert choice.arguments == ("up", "--yes", "-s", "dev")
    assert choice.variables == {"HELIOSTAT_WAIT": "1", "HELIOSTAT_DETACH": "", "HELIOSTAT_RETRY_REFUSED": "1"}
    assert choose(["update", "--detach"], with_cli).variables == {"HELIOSTAT_DETACH": "1", "HELIOSTAT_WAIT": ""}
    assert choose(["preview", "--retry-refused"], with_cli).arguments == ("preview",)
    assert choose(["up"], with_cli).variables == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ("up", "-m", "--detach"),
        ("up", "--", "--wait"),
        ("preview", "--wait"),
        ("refresh", "--detach"),
        ("stack", "tag", "set", "--wait"),
    ],
)
def test_what_only_looks_like_such_a_flag_is_left_alone(with_cli, arguments):
    choice = choose(arguments, with_cli)
    assert (choice.arguments, choice.variables) == (arguments, {})


def test_leaving_and_staying_at_once_is_an_error_before_the_cli_is_called(with_cli):
    with pytest.raises(EngineChoiceError, match="give one of them"):
        choose(["up", "--detach", "--wait"], with_cli)
    ran = heliostat("up", "--detach", "--wait", **with_cli)
    assert (ran.returncode, ran.stdout) == (2, "")


def test_the_official_cli_gets_the_variables_in_its_environment(with_cli, tmp_path):
    (tmp_path / "bin" / "pulumi").write_text('#!/bin/sh\nprintf "<%s> <%s> %s" "$HELIOSTAT_DETACH" "$HELIOSTAT_WAIT" "$*"\n')
    assert heliostat("up", "--detach", "-y", HELIOSTAT_WAIT="1", **with_cli).stdout == "<1> <> up -y"


def heliostat(*arguments, **environment):
    command = [sys.executable, "-m", "heliostat.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def test_the_process_becomes_the_official_cli_with_the_same_arguments_and_exit_code(with_cli):
    ran = heliostat("up", "--target", "a b", **with_cli)
    assert (ran.stdout, ran.returncode) == ("pulumi <up> <--target> <a b>", 7)


def test_a_wrong_choice_ends_with_one_line_and_no_traceback(tmp_path):
    ran = heliostat("--engine", "pulumi", "up", PATH=str(tmp_path))
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: ")
    assert "Traceback" not in ran.stderr


def test_the_command_is_at_its_own_code_without_heavy_imports():
    heavy = ("grpc", "pulumi", "rich", "boto3", "ruamel", "cryptography")
    code = f"import sys; from heliostat.cli.commands import heliostat; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_official_cli_finds_our_plugin_beside_this_command(with_cli, tmp_path):
    program = tmp_path / "bin" / "pulumi"
    program.write_text("#!/bin/sh\ncommand -v pulumi-resource-heliostat\n")
    command = [sys.executable, "-m", "heliostat.cli.main", "--engine", "pulumi", "up"]
    environment = {"PATH": f"{program.parent}:/usr/bin:/bin"}
    said = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()
    assert said == str(Path(sys.executable).with_name("pulumi-resource-heliostat"))


@pytest.mark.parametrize(
    ("path", "wanted"), [("/a:/b", "/a:/b:/ours"), ("/ours:/a", "/ours:/a"), ("", "/ours")], ids=["last", "once", "alone"]
)
def test_our_folder_comes_last_on_the_path_of_the_official_cli(path, wanted):
    assert path_of_plugins(path, "/ours") == wanted
