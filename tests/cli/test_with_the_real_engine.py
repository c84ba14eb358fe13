"""The command as a process of its own, with the real engine and a real program that needs no plugin."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import pulumi

config = pulumi.Config()
if config.get_bool("fails"):
    raise Exception("the program is broken")
pulumi.export("greeting", pulumi.Output.concat("Hello ", config.require("name")))
pulumi.export("token", config.require_secret("token"))
if config.get("reads"):
    pulumi.export("copied", pulumi.StackReference(config.require("reads")).require_output("token"))
"""


@pytest.fixture
def heliostat(tmp_path):
    runtime = f"{{name: python, options: {{virtualenv: {sys.prefix}}}}}"
    (tmp_path / "Pulumi.yaml").write_text(f"name: demo\nruntime: {runtime}\nmain: infra\n")
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra/__main__.py").write_text(PROGRAM)
    (tmp_path / "state").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "HELIOSTAT_"))}
    environment["PULUMI_BACKEND_URL"] = f"file://{tmp_path}/state"
    environment["PULUMI_HOME"] = f"{tmp_path}/home"
    environment["PULUMI_CONFIG_PASSPHRASE"] = "pass"

    def run(*arguments, code=0):
        command = [sys.executable, "-m", "heliostat.cli.main", "--engine", "embedded", *arguments]
        ran = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr
        return ran

    for stack in ("dev", "other"):
        run("stack", "init", stack)
        run("config", "set", "name", "World", "-s", stack)
        run("config", "set", "--secret", "token", "geheim", "-s", stack)
    return run


def test_a_stack_goes_its_whole_way(heliostat, tmp_path):
    state = tmp_path / "state/.pulumi/stacks/demo/dev.json"
    up = heliostat("up", "--yes", "-s", "dev").stdout
    assert '+ greeting : "Hello World"' in up
    assert "+ token    : [secret]" in up
    assert "geheim" not in state.read_text()

    before = state.read_bytes()
    assert "= 1 unchanged" in heliostat("up", "--yes", "--skip-preview", "--expect-no-changes", "-s", "dev").stdout
    assert state.read_bytes() == before, "an update that changes nothing writes nothing"

    heliostat("config", "set", "reads", "dev", "-s", "other")
    heliostat("up", "--yes", "--skip-preview", "-s", "other")
    assert json.loads(heliostat("stack", "output", "--json", "-s", "other").stdout)["copied"] == "[secret]"
    assert heliostat("stack", "output", "copied", "--show-secrets", "-s", "other").stdout == "geheim\n"

    heliostat("destroy", "--yes", "-s", "dev")
    heliostat("stack", "rm", "dev", "--yes")
    history = json.loads(heliostat("stack", "history", "--json", "-s", "other").stdout)
    assert [entry["result"] for entry in history] == ["succeeded"]


def test_a_program_that_fails_is_told_with_its_own_words_and_an_exit_code(heliostat):
    heliostat("config", "set", "fails", "true", "-s", "dev")
    ran = heliostat("up", "--yes", "--skip-preview", "-s", "dev", code=1)
    assert "the program is broken" in ran.stdout
    said = json.loads(heliostat("preview", "--json", "-s", "dev", code=1).stdout)
    assert any("the program is broken" in told["message"] for told in said["diagnostics"])


LEAKING = """
import json, sys
import pulumi

token = pulumi.Config().require("token")
print("to stdout:", token)
print(json.dumps([token]), file=sys.stderr)
pulumi.log.warn(f"logged: {token}")
pulumi.export("url", f"https://me:{token}@host")
if pulumi.Config().get("fails"):
    raise ValueError(token)
"""


def test_a_secret_is_in_nothing_that_is_printed_or_recorded(heliostat, tmp_path):
    (tmp_path / "infra/__main__.py").write_text(LEAKING)
    said = [heliostat("up", "--yes", "-s", "dev", "-m", "rotates geheim")]
    heliostat("config", "set", "fails", "true", "-s", "dev")
    said.append(heliostat("preview", "--diff", "-s", "dev", code=1))
    said.append(heliostat("preview", "--json", "-s", "dev", code=1))
    said.append(heliostat("up", "--yes", "--skip-preview", "-s", "dev", code=1))
    said += [heliostat(*command, "-s", "dev") for command in (["stack"], ["stack", "output"], ["stack", "history", "--json"])]
    for ran in said:
        assert "geheim" not in ran.stdout + ran.stderr
    assert said[0].stdout.count("[secret]") == 8
    assert "ValueError: [secret]" in said[1].stdout
    kept = [file for file in (tmp_path / "state").rglob("*") if file.is_file()]
    assert len(kept) > 4
    assert not [file for file in kept if b"geheim" in file.read_bytes()]
    assert heliostat("stack", "output", "url", "--show-secrets", "-s", "dev").stdout == "https://me:geheim@host\n"


UNPLUGGED = """
import pulumi
import pulumi_aws as aws

versions = {"status": "Enabled"}
bucket = aws.s3.Bucket("bucket", tags={"token": pulumi.Config().require_secret("token")})
aws.s3.BucketVersioning("versions", bucket=bucket.bucket, versioning_configuration=versions)
"""


def test_a_preview_without_a_plugin_lists_its_steps_with_their_inputs_and_up_makes_nothing(heliostat, tmp_path):
    (tmp_path / "infra/__main__.py").write_text(UNPLUGGED)
    told = heliostat("preview", "--json", "-s", "dev").stdout
    document = json.loads(told)
    news = {step["urn"].rsplit("::", 1)[1]: step.get("newState", {}) for step in document["steps"]}
    assert news["bucket"]["inputs"] == {"tags": {"token": "[secret]"}}
    assert news["versions"]["inputs"] == {"bucket": "[unknown]", "versioningConfiguration": {"status": "Enabled"}}
    assert news["bucket"]["outputs"]["arn"] == "[unknown]"
    assert "geheim" not in told
    notices = [one for one in document["diagnostics"] if one["message"].startswith("no provider has checked this plan's")]
    assert [one["severity"] for one in notices] == ["warning"]

    refused = heliostat("up", "--yes", "-s", "dev", code=1)
    assert "no plugin for provider 'aws'" in refused.stdout
    assert "official CLI" in refused.stdout
    assert not json.loads(heliostat("stack", "export", "-s", "dev").stdout)["deployment"].get("resources")
