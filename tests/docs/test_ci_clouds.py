"""What docs/ci-clouds.md has people copy, as far as no cloud is needed to see that it is right."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore import xform_name
from google.auth import identity_pool

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci-clouds.md").read_text()
AWS_COMMANDS = re.findall(r"^    (aws (?:.*\\\n)*.*)$", PAGE, re.MULTILINE)
PROVIDER = "projects/1234567890/locations/global/workloadIdentityPools/ci/providers/github"
ACCOUNT = "heliostat-plan@acme-ml.iam.gserviceaccount.com"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("command", AWS_COMMANDS, ids=lambda command: " ".join(command.split()[1:3]))
def test_aws_knows_each_command_with_its_options(command: str):
    _, service, operation, *arguments = shlex.split(command.replace("\\\n", " "))
    model = botocore.session.get_session().get_service_model("s3" if service == "s3api" else service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    takes = model.operation_model(operations[operation]).input_shape
    assert takes is not None
    known = {xform_name(name, "-") for name in takes.members}
    # The one option of the CLI's own that stands here.
    options = {each.removeprefix("--") for each in arguments if each.startswith("--")} - {"region"}
    assert options <= known
    assert {xform_name(name, "-") for name in takes.required_members} <= options


def test_there_are_commands_of_aws():
    assert len(AWS_COMMANDS) >= 7


def test_who_may_assume_a_role_is_said_in_full():
    trusts = [each for each in map(json.loads, blocks("json")) if "Principal" in each["Statement"][0]]
    assert len(trusts) == 2
    for trust in trusts:
        [statement] = trust["Statement"]
        issuer = statement["Principal"]["Federated"].partition("oidc-provider/")[2]
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        asked = statement["Condition"]["StringEquals"]
        assert asked.keys() == {f"{issuer}:aud", f"{issuer}:sub"} and "*" not in str(asked)


def written(script: str, names: dict[str, str], folder: Path) -> dict[str, Any]:
    """The credentials that a step writes, run in a folder."""
    environment = {"PATH": os.environ["PATH"], **{name: value.format(folder=folder) for name, value in names.items()}}
    done = subprocess.run(["bash", "-euc", script], env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*google.json")
    described: dict[str, Any] = json.loads(path.read_text())
    credentials = identity_pool.Credentials.from_file(str(path))
    assert credentials.service_account_email == ACCOUNT
    assert described["audience"] == f"//iam.googleapis.com/{PROVIDER}"
    return described


def test_github_s_step_for_google_writes_credentials_that_ask_for_a_token_of_the_job(tmp_path: Path):
    [[step]] = [each for each in map(yaml.safe_load, blocks("yaml")) if isinstance(each, list)]
    assert step["env"].keys() == {"PROVIDER", "ACCOUNT"}
    names = {"RUNNER_TEMP": "{folder}", "GITHUB_ENV": "{folder}/env", "PROVIDER": PROVIDER, "ACCOUNT": ACCOUNT}
    token = {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://run.test/token?v=2", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of the run"}
    source = written(step["run"], names | token, tmp_path)["credential_source"]
    assert source["url"] == f"https://run.test/token?v=2&audience=https://iam.googleapis.com/{PROVIDER}"
    assert source["headers"] == {"Authorization": "Bearer of the run"}
    assert (tmp_path / "google.json").stat().st_mode & 0o077 == 0, "nobody else reads the run's token"
    assert (tmp_path / "env").read_text().splitlines() == [
        f"GOOGLE_APPLICATION_CREDENTIALS={tmp_path}/google.json",
        "GOOGLE_CLOUD_PROJECT=acme-ml",
    ]


def test_gitlab_s_job_for_google_writes_credentials_with_the_job_s_token(tmp_path: Path):
    [job] = [each[".cloud"] for each in map(yaml.safe_load, blocks("yaml")) if ".cloud" in each]
    as_in_the_template = yaml.safe_load((ROOT / "deploy" / "ci" / "gitlab.yml").read_text())[".cloud"]
    install, *rest = job["before_script"]
    assert job.keys() == as_in_the_template.keys() and install == as_in_the_template["before_script"][0]
    names = {
        "CI_PROJECT_DIR": "{folder}/models",
        "GOOGLE_PROVIDER": PROVIDER,
        "GOOGLE_ACCOUNT": ACCOUNT,
        "GOOGLE_TOKEN": "a.b.c",
    }
    source = written("\n".join(rest), names, tmp_path)["credential_source"]
    assert Path(source["file"]).read_text().strip() == "a.b.c"
