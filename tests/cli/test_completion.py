"""What a shell completes, and how little of the command it starts for that."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from platform_stack import PlatformStack

from heliostat.cli.commands import heliostat
from heliostat.cli.operators.completion_script import SHELLS, VARIABLE, script

HEAVY = {"pydantic", "httpx", "rich", "ray", "mlflow", "pandas", "boto3", "grpc", "pulumi", "uvicorn", "psutil"}
SCRIPT = Path(sys.executable).with_name("heliostat")


def completed(*words):
    """What the last word is completed to."""
    *before, last = words
    return [item.value for item in ShellComplete(heliostat, {}, "heliostat", VARIABLE).get_completions(before, last)]


@pytest.fixture
def platform(stack):
    stack.monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")
    found = PlatformStack(stack)
    applications = [("Application", {"name": name, "url": f"http://x/{name}"}) for name in ("flights", "fares", "ray")]
    found.exports(resources=applications)
    return stack


def test_commands_and_their_options_are_completed(desk):
    assert completed("st") == ["status", "stack", "state"]
    assert completed("rollout", "re") == ["report"]
    assert {"--lines", "--follow", "--json"} <= set(completed("logs", "--"))
    assert completed("open", "") == ["mlflow", "ray", "report", "docs", "app"]
    assert completed("--engine", "embedded", "doc") == ["doctor"]


def test_stacks_are_those_with_state_and_those_with_a_config(stack):
    (stack.folder / "Pulumi.prod.yaml").write_text("config: {}\n")
    stack.ok("stack", "init", "staging", "--no-select")
    (stack.folder / "Pulumi.staging.yaml").unlink()
    assert completed("status", "-s", "") == ["dev", "prod", "staging"]
    assert completed("up", "--stack", "p") == ["prod"]
    assert completed("stack", "select", "st") == ["staging"]


def test_applications_and_parts_are_completed_and_a_name_of_both_by_kind(platform):
    assert completed("rollout", "status", "f") == ["fares", "flights"]
    assert completed("open", "docs", "fl") == ["flights"]
    assert completed("logs", "") == ["app/ray", "controller", "fares", "flights", "haproxy", "mlflow", "part/ray"]


def test_applications_are_those_of_the_stack_that_is_named_before(platform):
    platform.ok("stack", "init", "other", "--no-select")
    assert completed("history", "-s", "other", "") == []
    assert completed("history", "-s", "dev", "fl") == ["flights"]


def test_what_cannot_be_found_out_completes_to_nothing(desk):
    assert completed("rollout", "status", "") == []
    (desk.folder / "Pulumi.yaml").write_text("name: [")
    assert completed("status", "-s", "") == []
    (desk.folder / "Pulumi.yaml").unlink()
    assert completed("status", "-s", "") == []


def test_state_in_a_bucket_is_not_asked_for(stack):
    stack.monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://somewhere/far")
    stack.monkeypatch.setattr("heliostat.engine.state.backend.open_bucket", lambda url: pytest.fail(f"{url} was opened"))
    assert completed("status", "-s", "") == ["dev"]
    assert completed("logs", "") == ["controller", "haproxy", "mlflow", "ray"]


PROGRAM = """
import sys
from heliostat.cli.main import main
sys.argv = ["heliostat", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules)
"""


def run(*arguments, **variables):
    """What the command writes, and the modules that it imported."""
    argv, environment = [sys.executable, "-c", PROGRAM, *arguments], os.environ | variables
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    *lines, modules = done.stdout.splitlines()
    return lines, set(modules.split()), done.stderr


def packages(modules):
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("words", [("heliostat", "st"), ("heliostat", "logs", "f"), ("heliostat", "up", "-s", "d")])
def test_nothing_heavy_is_imported_and_nothing_is_told_beside_it(platform, words):
    asked = {VARIABLE: "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    found, modules, told = run(**asked)
    assert found[0].startswith("plain,")
    assert packages(modules) & HEAVY == set()
    assert told == ""


def test_the_list_of_commands_imports_nothing_that_it_does_not_need():
    lines, modules, _ = run("--help")
    assert "Show every part of the platform" in "\n".join(lines)
    assert packages(modules) & (HEAVY | {"ruamel", "asyncio", "tempfile", "tomllib", "cryptography"}) == set()
    assert not any(name.startswith(("heliostat.spec", "heliostat.cli.session", "heliostat.cli.rollouts")) for name in modules)


@pytest.mark.parametrize("shell", SHELLS)
def test_each_script_says_how_to_install_it(desk, shell):
    written = desk.ok("completion", shell)
    assert written.rstrip("\n") == script(shell).rstrip("\n")
    assert f"completion {shell}" in written
    assert f"{VARIABLE}={shell}_complete" in written
    if shell == "zsh":
        assert written.startswith("#compdef heliostat\n")


def test_another_shell_is_told_with_those_that_there_are(desk):
    ran = desk("completion", "tcsh")
    assert ran.code == 2
    assert "'bash', 'zsh', 'fish'" in ran.err


def test_bash_itself_completes_with_the_script(platform):
    lines = (
        f'source <("{SCRIPT}" completion bash)',
        f'COMP_WORDS=("{SCRIPT}" logs fl); COMP_CWORD=2',
        f'_heliostat_completion "{SCRIPT}"; echo "${{COMPREPLY[@]}}"',
    )
    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "flights\n", done.stderr
