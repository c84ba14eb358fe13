"""Jobs of a schedule that go on with one update at one instant, and beside a push's: processes with checkouts of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from heliostat.engine.state.backend import Backend, StackRef

STAGING = StackRef("models", "staging")
PROGRAM = """
import os, time
import pulumi

if not pulumi.runtime.is_dry_run():
    with open(os.environ["TALLY"], "a") as tally:
        tally.write(os.environ.get("HELIOSTAT_CONTINUES", "up") + "\\n")
    time.sleep(1.0)
pulumi.export("done", True)
"""


class Jobs:
    """Checkouts of one repository, whose stack's state is at `state`."""

    def __init__(self, folder: Path, state: str) -> None:
        self.folder, self.tally = folder, folder / "tally"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "HELIOSTAT_"))}
        self.environment = kept | {
            "PULUMI_BACKEND_URL": state,
            "PULUMI_CONFIG_PASSPHRASE": "of the stack",
            "HELIOSTAT_ENGINE": "embedded",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TALLY": str(self.tally),
        }
        origin = folder / "origin"
        (origin / "infra").mkdir(parents=True)
        (origin / "infra/__main__.py").write_text(PROGRAM)
        runtime = f"{{name: python, options: {{virtualenv: {sys.prefix}}}}}"
        (origin / "Pulumi.yaml").write_text(f"name: models\nruntime: {runtime}\nmain: infra\n")
        (origin / "Pulumi.staging.yaml").write_text("config: {}\n")
        (origin / ".gitignore").write_text("__pycache__\n")
        assert self.wait(self.start(origin, "stack", "init", "staging", "--no-select"))[0] == 0
        self.git(origin, "init", "-q", "-b", "main")
        self.git(origin, "add", ".")
        self.git(origin, "commit", "-qm", "one")
        self.commit = self.git(origin, "rev-parse", "HEAD")
        for name in ("a", "b"):
            self.git(folder, "clone", "-q", str(origin), name)

    def left(self) -> None:
        """What an update of the commit left has ended."""
        urn = "urn:pulumi:staging::models::heliostat:index:TrainJob::bees"
        work = {"urn": urn, "message": "the training of bees goes on", "commit": self.commit, "since": 1.0}
        said = {"works": [work], "commit": self.commit, "plan": "", "stopped": ""}
        Backend.open(self.environment["PULUMI_BACKEND_URL"]).bucket.write(STAGING.going_on, json.dumps(said).encode())
        self.tally.unlink(missing_ok=True)

    def start(self, folder: Path, *arguments: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "heliostat.cli.main", *arguments]
        said = {**self.environment, "PULUMI_HOME": f"{folder}.home"}
        return subprocess.Popen(argv, cwd=folder, env=said, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def at_once(self, *commands: tuple[str, ...]) -> list[tuple[int, str]]:
        return [
            self.wait(each)
            for each in [self.start(self.folder / name, *command) for name, command in zip("ab", commands, strict=True)]
        ]

    def wait(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        told, _ = process.communicate(timeout=120)
        return process.returncode, told

    @property
    def done(self) -> list[str]:
        return self.tally.read_text().split() if self.tally.exists() else []

    def git(self, folder: Path, *arguments: str) -> str:
        argv = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.long)])
def jobs(request: pytest.FixtureRequest, tmp_path: Path, s3_credentials: None) -> Jobs:
    if request.param == "file":
        (tmp_path / "state").mkdir()
        return Jobs(tmp_path, f"file://{tmp_path}/state")
    endpoint = request.getfixturevalue("s3_endpoint")
    bucket = f"state-{os.urandom(4).hex()}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return Jobs(tmp_path, f"s3://{bucket}?endpoint={endpoint}&region=us-east-1&s3ForcePathStyle=true")


def test_one_of_several_goes_on_and_nothing_is_done_twice(jobs: Jobs) -> None:
    jobs.left()
    go_on = ("ci", "continue", "-s", "staging")
    ended = jobs.at_once(go_on, go_on)
    told = "\n".join(text for _, text in ended)
    assert [code for code, _ in ended] == [0, 0], told
    assert jobs.done == [jobs.commit], told
    assert told.count("staging: done") == 1 and told.count("staging: nothing") + told.count("staging: on its way") == 1, told

    jobs.left()
    (code, by_schedule), (code_of_push, by_push) = jobs.at_once(go_on, ("up", "--yes", "--skip-preview", "-s", "staging"))
    assert code == 0, by_schedule
    if code_of_push:  # it came second, and is told who was first
        assert "is locked" in by_push and jobs.done == [jobs.commit], by_push
    else:
        assert jobs.done in (["up"], [jobs.commit, "up"]), "what a push brought is not gone over by what was left before it"
    lock = Backend.open(jobs.environment["PULUMI_BACKEND_URL"]).bucket.list(".pulumi/locks")
    assert lock == []
