"""`heliostat import` and `about`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.cli.codegen import program
from heliostat.engine.state.snapshot import Resource, Secret

PROVIDER = Path(__file__).parents[1] / "engine" / "provider"
LAB = "urn:pulumi:dev::demo::lab:index:Lab::mine"


@pytest.fixture
def heliostat(tmp_path):
    """The command in a project whose plugin is the engine's own test provider."""
    plugins = f"{{providers: [{{name: lab, path: {PROVIDER}}}]}}"
    (tmp_path / "Pulumi.yaml").write_text(f"name: demo\nruntime: python\nplugins: {plugins}\n")
    (tmp_path / "state").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "HELIOSTAT_"))}
    environment |= {
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_HOME": f"{tmp_path}/home",
        "PULUMI_CONFIG_PASSPHRASE": "pass",
        "LAB_LOG": f"{tmp_path}/calls",
        "LAB_GONE": "gone",
    }

    def run(*arguments, code=0):
        command = [sys.executable, "-m", "heliostat.cli.main", "--engine", "embedded", *arguments]
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran

    run("stack", "init", "dev")
    return run


def resources(heliostat):
    found = json.loads(heliostat("stack", "export").stdout)["deployment"].get("resources") or []
    return {one["urn"]: one for one in found}


def test_a_resource_is_read_into_the_state_and_its_code_is_printed(heliostat):
    out = heliostat("import", "lab:index:Lab", "mine", "the-id", "--yes").stdout
    assert "= 1 imported" in out
    assert "Please copy the following code into your Pulumi application." in out
    code = 'import pulumi\nimport pulumi_lab as lab\n\nmine = lab.Lab("mine",\n    v=1,\n    opts = '
    assert out.endswith(code + "pulumi.ResourceOptions(protect=True))\n\n")
    found = resources(heliostat)
    assert [one.rsplit("::", 1)[1] for one in found] == ["demo-dev", "default", "mine"]
    assert (found[LAB]["id"], found[LAB]["inputs"], found[LAB]["protect"]) == ("the-id", {"v": 1}, True)
    assert [entry["kind"] for entry in json.loads(heliostat("stack", "history", "--json").stdout)] == ["resource-import"]

    ran = heliostat("import", "lab:index:Lab", "mine", "x", "--yes", code=1)
    assert f"resource '{LAB}' already exists" in ran.stdout
    ran = heliostat("import", "lab:index:Lab", "other", "gone", "--yes", "--skip-preview", code=1)
    assert "resource 'gone' does not exist" in ran.stdout
    heliostat("import", "lab:index:Lab", "child", "c", "--parent", f"mine={LAB}", "--protect=false", "--yes", "--skip-preview")
    assert list(found := resources(heliostat))[3:] == ["urn:pulumi:dev::demo::lab:index:Lab$lab:index:Lab::child"]
    assert "protect" not in list(found.values())[3]


def test_a_call_that_cannot_be_meant_is_told(heliostat):
    assert "PACKAGE:MODULE:TYPE" in heliostat("import", "lab", "a", "b", code=2).stderr
    assert "TYPE, NAME and ID" in heliostat("import", "lab:index:Lab", "a", code=2).stderr
    assert resources(heliostat) == {}


def test_the_code_is_python_and_holds_no_secret():
    inputs = {"bucketName": "b", "tags": {"a b": [1, True, None]}, "class": "x", "pw": Secret("geheim"), "empty": {}}
    one = Resource("urn:pulumi:dev::p::aws:s3/bucket:Bucket::my-bucket", "aws:s3/bucket:Bucket", custom=True, inputs=inputs)
    text = program([one])
    compile(text, "program", "exec")
    assert "geheim" not in text
    assert 'my_bucket = aws.s3.Bucket("my-bucket",\n    bucket_name="b",' in text
    assert 'pw=config.require_secret("my_bucket_pw")' in text
    assert "class_=" in text
    plain = Resource("urn:pulumi:dev::p::heliostat:index:Dataset::d", "heliostat:index:Dataset", custom=True)
    assert program([plain]) == 'import pulumi\nimport heliostat.resources as heliostat\n\nd = heliostat.Dataset("d")\n'


def test_about_says_what_works_here_and_no_secret(stack):
    out = stack.ok("about")
    for part in ("CLI", "Project", "Current stack", "Backend", "organization/demo/dev", f"file://{stack.state}"):
        assert part in out
    said = json.loads(stack.ok("about", "--json"))
    assert said["currentStack"] == {
        "name": "dev",
        "fullyQualifiedName": "organization/demo/dev",
        "resources": [],
        "pendingOps": [],
    }
    assert {"name": "PULUMI_CONFIG_PASSPHRASE", "value": "[secret]"} in said["environment"]
    assert said["backend"]["url"] == f"file://{stack.state}"
    stack.monkeypatch.chdir(stack.folder.parent)
    ran = stack("about")
    assert ran.code == 0
    assert "warning: " in ran.err
