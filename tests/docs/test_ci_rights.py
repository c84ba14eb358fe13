"""What docs/ci-clouds.md grants each job is enough and no more: backend and commands under policies that moto enforces."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
import yaml
from moto import settings as moto_settings
from moto.server import DomainDispatcherApplication

from heliostat.engine.stackerrors import StorageError
from heliostat.engine.state import history, locks
from heliostat.engine.state.backend import Backend, StackRef
from heliostat.spec.branch_environments import environment_name

pytestmark = pytest.mark.timeout(600)
PAGE = (Path(__file__).parents[2] / "docs" / "ci-clouds.md").read_text()
STATE = "acme-ml-state"
NAME = environment_name("feature/x")
PROGRAM = """
import pulumi

config = pulumi.Config("heliostat")
if config.get("platformStack"):
    platform = pulumi.StackReference(config.require("platformStack")).require_output("platform")
    pulumi.export("flights", {"url": pulumi.Output.concat(platform["publicUrl"], "/flights")})
else:
    pulumi.export("platform", {"publicUrl": config.require("url")})
    pulumi.export("token", pulumi.Config().get_secret("token"))
"""
TEMPLATE = """\
config:
  heliostat:platformStack: organization/models/staging
  heliostat:workloads: {flights: {}}
"""
OBJECTS = f"projects/_/buckets/{STATE}/objects/"


def granted(file: str) -> Any:
    """The policy, or the condition, that the page calls so."""
    found = re.search(rf"`{re.escape(file)}`[^`]*(?:`[^`\n]+`[^`]*)*?```(?:json|yaml)\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, file
    return yaml.safe_load(found[1])


def of_staging(policy: Any) -> Any:
    return json.loads(json.dumps(policy).replace("production", "staging"))


POLICIES = {
    "preview": [granted("read.json"), granted("preview.json")],
    "plan": [granted("read.json"), granted("plan.json")],
    "staging": [granted("read.json"), of_staging(granted("production.json"))],
    "production": [granted("read.json"), granted("production.json")],
    "continue": [granted("read.json"), of_staging(granted("production.json")), granted("production.json")],
}
READABLE = granted("read.yaml")
CONDITIONS = {
    "preview": [granted("preview.yaml")],
    "plan": [],
    "staging": [of_staging(granted("production.yaml"))],
    "production": [granted("production.yaml")],
    "continue": [of_staging(granted("production.yaml")), granted("production.yaml")],
}


def may(role: str, action: str, resource: str) -> bool:
    """Whether S3 lets a role do so: by the policies as AWS reads them, of which none here has a condition."""
    statements = [each for policy in POLICIES[role] for each in policy["Statement"]]
    assert not any("Condition" in each for each in statements)
    hits = [
        each["Effect"]
        for each in statements
        if action in each["Action"] and any(fnmatchcase(resource, pattern) for pattern in each["Resource"])
    ]
    return "Allow" in hits and "Deny" not in hits


def may_write_in_google(role: str, key: str) -> bool:
    """Whether Google's conditions let a role write an object of the state; of CEL only what stands here is known."""
    return any(_holds(each["expression"], f"{OBJECTS}{key}") for each in CONDITIONS[role])


def _holds(expression: str, name: str) -> bool:
    for part in re.split(r"\s*\|\|\s*", expression.strip()):
        said = re.fullmatch(r'resource\.name(?:\.startsWith\("([^"]+)"\)| == "([^"]+)")', part)
        assert said is not None, part
        if (said[1] and name.startswith(said[1])) or name == said[2]:
            return True
    return False


@dataclass
class Clouded:
    """A checkout whose state is in a bucket of moto's, which asks who somebody is and what he may."""

    root: Path
    endpoint: str
    keys: dict[str, tuple[str, str]]
    """The access key of each role."""
    asked: list[tuple[str, str, str]] = field(default_factory=list, repr=False)
    """Role, action and key of each request for the state."""

    def __call__(self, role: str, *arguments: str, code: int = 0) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "HELIOSTAT_", "AWS_"))}
        kept |= {
            "PULUMI_HOME": f"{self.root}/.home",
            "PULUMI_BACKEND_URL": f"s3://{STATE}?endpoint={self.endpoint}&region=us-east-1&s3ForcePathStyle=true",
            "PULUMI_CONFIG_PASSPHRASE": "of branches",
            "HELIOSTAT_PASSPHRASE_PRODUCTION": "" if role == "preview" else "of production alone",
            "HELIOSTAT_ENGINE": "embedded",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        kept["AWS_ACCESS_KEY_ID"], kept["AWS_SECRET_ACCESS_KEY"] = self.keys[role]
        argv = [sys.executable, "-m", "heliostat.cli.main", *arguments]
        ran = subprocess.run(argv, cwd=self.root, env=kept, capture_output=True, text=True, check=False, timeout=240)
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def git(self, *arguments: str) -> None:
        argv = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        subprocess.run(argv, cwd=self.root, check=True, capture_output=True)

    def written(self, role: str) -> set[str]:
        return {key for who, action, key in self.asked if who == role and action in ("s3:PutObject", "s3:DeleteObject")}


ACTIONS = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}


@pytest.fixture
def clouded(s3_endpoint: str, s3_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clouded]:
    clients = {name: boto3.client(name, endpoint_url=s3_endpoint, region_name="us-east-1") for name in ("iam", "s3")}
    clients["s3"].create_bucket(Bucket=STATE)
    everything = {"Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}], "Version": "2012-10-17"}
    keys = {}
    for role, policies in {**POLICIES, "person": [everything]}.items():
        user = f"{role}-{os.urandom(4).hex()}"
        clients["iam"].create_user(UserName=user)
        for number, policy in enumerate(policies):
            clients["iam"].put_user_policy(UserName=user, PolicyName=str(number), PolicyDocument=json.dumps(policy))
        key = clients["iam"].create_access_key(UserName=user)["AccessKey"]
        keys[role] = key["AccessKeyId"], key["SecretAccessKey"]
    made = Clouded(tmp_path, s3_endpoint, keys)
    roles = {key: role for role, (key, _) in keys.items()}
    answer = DomainDispatcherApplication.__call__

    def recorded(self: Any, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        bucket, _, key = unquote(urlsplit(environ["PATH_INFO"]).path).lstrip("/").partition("/")
        who = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        if bucket == STATE and who is not None:
            action = ACTIONS[environ["REQUEST_METHOD"]] if key else "s3:ListBucket"
            made.asked.append((roles.get(who[1], who[1]), action, key))
            if source := unquote(environ.get("HTTP_X_AMZ_COPY_SOURCE", "")):
                made.asked.append((roles.get(who[1], who[1]), "s3:GetObject", source.partition("/")[2]))
        return answer(self, environ, start)

    monkeypatch.setattr(DomainDispatcherApplication, "__call__", recorded)
    with monkeypatch.context() as enforced:
        enforced.setattr(moto_settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0.0)
        yield made
    for found in clients["s3"].list_objects_v2(Bucket=STATE).get("Contents", []):
        clients["s3"].delete_object(Bucket=STATE, Key=found["Key"])
    clients["s3"].delete_bucket(Bucket=STATE)


def checkout(made: Clouded) -> None:
    root = made.root
    runtime = f"{{name: python, options: {{virtualenv: {sys.prefix}}}}}"
    (root / "Pulumi.yaml").write_text(f"name: models\nruntime: {runtime}\nmain: infra\n")
    (root / ".gitignore").write_text(".home\n.heliostat\n__pycache__\n")
    (root / "infra").mkdir()
    (root / "infra/__main__.py").write_text(PROGRAM)
    for stack in ("staging", "production"):
        (root / f"Pulumi.{stack}.yaml").write_text(f"config:\n  heliostat:url: http://{stack}.test\n")
        made("person", "stack", "init", stack, "--no-select")
    made("person", "config", "set", "--secret", "token", "geheim", "-s", "production")
    (root / "Pulumi.preview.yaml").write_text(TEMPLATE)
    made.git("init", "-q", "-b", "main")
    made.git("add", ".")
    made.git("commit", "-qm", "one")
    for stack in ("staging", "production"):
        made("person", "up", "--yes", "--skip-preview", "-s", stack)


def refused(told: str, key: str) -> None:
    """It says which key, and that it is a right that is missing; and nothing else went wrong."""
    assert f"s3://{STATE}/{key}" in told and "has no right to" in told, told
    assert "Traceback" not in told and len(told.splitlines()) < 8, told


@pytest.mark.parametrize(("role", "own"), [("preview", NAME), ("staging", "staging"), ("production", "production")])
def test_a_backend_with_the_rights_of_a_role_holds_and_writes_its_own_stack_alone(
    clouded: Clouded, monkeypatch: pytest.MonkeyPatch, role: str, own: str
):
    def opened(by: str) -> Backend:
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        for name, value in zip(names, clouded.keys[by], strict=True):
            monkeypatch.setenv(name, value)
        return Backend.open(f"s3://{STATE}?endpoint={clouded.endpoint}&region=us-east-1&s3ForcePathStyle=true")

    by_a_person, others = opened("person"), {"staging", "production", NAME} - {own}
    for stack in sorted({*others, own}):
        by_a_person.create(StackRef("models", stack), None)
    backend = opened(role)
    mine = StackRef("models", own)
    with locks.locked(backend.bucket, mine.full_name, pytest.fail):
        backend.write(mine, backend.bucket.read(mine.file) or b"")
        backend.keep_copies(mine)
        key = history.begin(backend, mine, history.Entry("update", 1, 1, "in-progress", {}))
        history.add(backend, mine, history.Entry("update", 1, 2, "succeeded", {}), key)
    for other in others:
        theirs = StackRef("models", other)
        assert backend.exists(theirs), "it is read"
        with pytest.raises(StorageError) as caught, locks.locked(backend.bucket, theirs.full_name, pytest.fail):
            pass
        refused(str(caught.value), f".pulumi/locks/organization/models/{other}/")
        for act in (lambda: backend.write(theirs, b"{}"), lambda: backend.remove(theirs)):  # noqa: B023 -- called at once
            with pytest.raises(StorageError, match="has no right to it"):
                act()
    assert not backend.exists(StackRef("models", "never-made")), "what is not there is told apart from what may not be read"


@pytest.mark.long
def test_each_job_does_what_it_is_for_and_can_change_nothing_else(clouded: Clouded):
    checkout(clouded)
    clouded.git("checkout", "-q", "-b", "feature/x")
    for stack in ("staging", "production"):
        (clouded.root / f"Pulumi.{stack}.yaml").write_text(
            (clouded.root / f"Pulumi.{stack}.yaml").read_text().replace(".test", ".example")
        )
    clouded.git("commit", "-qam", "two")

    # a pull request's job: it plans for staging, is told that production's secrets are not its own, and has an environment
    told = clouded("preview", "ci", "preview", "--base", "main", "--stack", "staging")
    assert "| staging |" in told
    told = clouded("preview", "ci", "preview", "--base", "main", "--stack", "production", code=1)
    assert "incorrect passphrase" in told and "geheim" not in told
    assert not clouded.written("preview"), "a plan writes nothing"
    clouded("preview", "env", "up", "--branch", "feature/x")
    clouded("preview", "env", "extend", "feature/x")
    for stack in ("staging", "production"):
        locks = f".pulumi/locks/organization/models/{stack}/"
        refused(clouded("preview", "destroy", "--yes", "--skip-preview", "-s", stack, code=1), locks)
        refused(clouded("plan", "up", "--yes", "--skip-preview", "-s", stack, code=1), locks)

    # after the merge
    clouded("plan", "ci", "preview", "--since-applied", "--stack", "staging", "--stack", "production")
    clouded("plan", "refresh", "--preview-only", "--expect-no-changes", "-s", "production")
    told = clouded("plan", "env", "down", "feature/x", "--yes", code=1)
    refused(told, f".heliostat/environments/models/{NAME}.json")
    refused(
        clouded("staging", "up", "--yes", "--skip-preview", "-s", "production", code=1),
        ".pulumi/locks/organization/models/production/",
    )
    refused(
        clouded("production", "up", "--yes", "--skip-preview", "-s", "staging", code=1),
        ".pulumi/locks/organization/models/staging/",
    )
    clouded("staging", "ci", "apply", "staging")
    clouded("production", "ci", "apply", "production")
    clouded("continue", "ci", "continue", "-s", "staging", "-s", "production")
    clouded("continue", "up", "--yes", "--skip-preview", "-s", "staging")
    clouded("preview", "env", "down", "feature/x", "--yes")

    held_to_what_is_granted(clouded)


def held_to_what_is_granted(made: Clouded) -> None:
    """What was done, moto allowed; AWS itself, which asks more of a copy, and Google have to allow it as well."""
    for role in POLICIES:
        done = [(action, key) for who, action, key in made.asked if who == role and is_of(role, action, key)]
        assert [each for each in done if each[0] == "s3:PutObject"] or role == "plan"
        for action, key in done:
            assert may(role, action, f"arn:aws:s3:::{STATE}/{key}".rstrip("/")), (role, action, key)
            assert action in READS or may_write_in_google(role, key), (role, key)
            assert action not in READS or not key or _holds(READABLE["expression"], f"{OBJECTS}{key}"), (role, key)
    used = made.written("preview")
    for each in written_by("preview"):
        assert any(fnmatchcase(f"arn:aws:s3:::{STATE}/{key}", each) for key in used), f"{each} is granted for nothing"


READS = ("s3:GetObject", "s3:ListBucket")


def is_of(role: str, action: str, key: str) -> bool:
    """Whether a request was none of those that were to be refused."""
    stacks = {"preview": (NAME,), "plan": (), "staging": ("staging",), "production": ("production",)}
    of = stacks.get(role, ("staging", "production"))
    return action in READS or any(re.search(rf"/models/{re.escape(each)}[./]", key) for each in of)


def written_by(role: str) -> list[str]:
    """What of the state a role may write."""
    resources = [
        r for p in POLICIES[role] for each in p["Statement"] if "s3:PutObject" in each["Action"] for r in each["Resource"]
    ]
    return [each for each in resources if each.startswith(f"arn:aws:s3:::{STATE}/")]


KEYS_OF = {
    "stacks": ".pulumi/stacks/{project}/{stack}.json",
    "backup": ".pulumi/stacks/{project}/{stack}.json.bak",
    "history": ".pulumi/history/{project}/{stack}/{stack}-1.history.json",
    "backups": ".pulumi/backups/{project}/{stack}/{stack}.1.json",
    "locks": ".pulumi/locks/organization/{project}/{stack}/1.json",
    "going on": ".heliostat/going-on/{project}/{stack}.json",
}


@pytest.mark.parametrize("key", KEYS_OF.values(), ids=[*KEYS_OF])
@pytest.mark.parametrize("role", POLICIES)
def test_a_role_may_write_its_own_stacks_and_no_other_whatever_that_is_called(role: str, key: str):
    own = {"preview": {NAME, "env-"}, "plan": set(), "staging": {"staging"}, "production": {"production"}}
    mine = own.get(role, {"staging", "production"})
    for stack in ("staging", "production", "production-2", "preproduction", "feature-x", "environment", NAME, "env-"):
        for project in ("models", "models-2", "other"):
            written = key.format(project=project, stack=stack)
            wanted = stack in mine and project == "models"
            for action in ("s3:PutObject", "s3:DeleteObject"):
                assert may(role, action, f"arn:aws:s3:::{STATE}/{written}") == wanted, written
            assert may_write_in_google(role, written) == wanted, written


@pytest.mark.parametrize("role", POLICIES)
def test_what_is_known_of_environments_is_written_by_what_makes_them_alone(role: str):
    key = f".heliostat/environments/models/{NAME}.json"
    assert may(role, "s3:PutObject", f"arn:aws:s3:::{STATE}/{key}") == may_write_in_google(role, key) == (role == "preview")
    assert not may(role, "s3:PutObject", f"arn:aws:s3:::{STATE}/.pulumi/meta.yaml")


def test_branches_write_nothing_of_production_s_store_and_read_no_predictions_or_labels():
    store = "arn:aws:s3:::acme-models-production"
    for folder in ("datasets", "trainings", "ledger", "predictions", "monitors"):
        assert not may("preview", "s3:PutObject", f"{store}/{folder}/a"), folder
        assert not may("preview", "s3:DeleteObject", f"{store}/{folder}/a"), folder
        assert may("plan", "s3:PutObject", f"{store}/{folder}/a") == (folder == "monitors")
        assert not may("staging", "s3:PutObject", f"{store}/{folder}/a"), folder
        assert may("production", "s3:PutObject", f"{store}/{folder}/a"), folder
        assert may("preview", "s3:DeleteObject", f"arn:aws:s3:::acme-models-branches/{folder}/a"), folder
    assert may("preview", "s3:GetObject", f"{store}/datasets/a")
    for folder in ("predictions", "predictions-unread", "ground-truth", "reviews", "tasks", "batches", "governance"):
        assert not may("preview", "s3:GetObject", f"{store}/{folder}/a"), folder
    assert not may("production", "s3:DeleteObject", f"{store}/ledger/flights/0000000001.json")
