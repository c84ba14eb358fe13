"""On a real Gitea with a real runner: production that somebody started too early goes on by itself, once."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from real_forge import NAME, TOOLS, RealForge, missing_tools, real_forge, with_this_python
from repository_of import Repository

from heliostat.gitops.resuming import resumption
from heliostat.systems.forges.gitea import Gitea

WORKFLOW = Path(__file__).parents[2] / "deploy" / "ci" / "gitea.yml"
MISSING = [*missing_tools(), *(["gitea-runner"] if not (TOOLS / "gitea-runner").exists() else [])]

pytestmark = [
    pytest.mark.forge,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} cannot be had: see scripts/forge_tools"),
]


@contextmanager
def runner(folder: Path, forge: RealForge) -> Iterator[None]:
    """Take the forge's jobs on this machine, without a container."""
    folder.mkdir()
    token = forge.call("POST", f"/repos/{NAME}/actions/runners/registration-token")["token"]
    command = str(TOOLS / "gitea-runner")
    named = ("--no-interactive", "--instance", forge.url, "--token", token, "--name", "here", "--labels", "ubuntu-latest:host")
    subprocess.run([command, "register", *named], cwd=folder, check=True, capture_output=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([command, "daemon"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def with_a_stand_in(told: Path) -> str:
    """The workflow, whose jobs' command says what it is called with and ends as staging stands."""
    workflow = with_this_python(re.sub(r"      - uses: actions/checkout@.*\n(        .*\n)+", "", WORKFLOW.read_text()))
    script = f'echo "$@" >> {told}/called; case "$2" in ready) exit $(cat {told}/code) ;; esac'
    made = f"mkdir -p .venv/bin && printf '%s\\n' '#!/bin/sh' '{script}' > .venv/bin/heliostat && chmod +x .venv/bin/heliostat"
    return re.sub(r"(?m)^      - run: ln -sfn .* \.venv$", lambda _: f"      - run: |\n          {made}", workflow)


def jobs(forge: RealForge) -> dict[str, str]:
    """How the jobs of the last run that somebody started stand."""
    last, *_ = forge.call("GET", f"/repos/{NAME}/actions/runs?event=workflow_dispatch&limit=1")["workflow_runs"]
    found = forge.call("GET", f"/repos/{NAME}/actions/runs/{last['id']}/jobs")["jobs"]
    return {each["name"]: each.get("conclusion") or each["status"] for each in found}


def wait(what: Callable[[], Any], log: Path) -> None:
    until = time.monotonic() + 180
    while not what():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.5)


def test_what_was_started_too_early_goes_on_once_staging_is_through(tmp_path: Path):
    told = tmp_path / "told"
    told.mkdir()
    (told / "code").write_text("75")
    with real_forge(tmp_path / "gitea", with_actions=True) as forge, runner(tmp_path / "runner", forge):
        forge.takes(Repository(tmp_path / "work", {".gitea/workflows/heliostat.yml": with_a_stand_in(told)}))
        client, log = Gitea(forge.url, NAME, forge.token), tmp_path / "runner" / "log"

        def start(**inputs: str) -> None:
            path = f"/repos/{NAME}/actions/workflows/heliostat.yml/dispatches"
            forge.call("POST", path, ref="refs/heads/main", inputs=inputs)

        def resume() -> str:
            found = resumption(client.gates("main", "ready", "production"), "ready")
            if found.gate is not None:
                client.begin_again(found.gate)
            return found.told

        def applied() -> int:
            return (told / "called").read_text().count("ci apply production")

        assert resume() == "no run waits at ready"
        start(wait="true")
        wait(lambda: jobs(forge).get("production") == "skipped" and jobs(forge)["ready"] == "success", log)
        assert applied() == 0
        # Once more while staging still goes on: nothing is applied by that either.
        assert "is begun again" in resume()
        wait(lambda: (told / "called").read_text().count("ci ready") == 2 and jobs(forge).get("production") == "skipped", log)
        assert applied() == 0
        (told / "code").write_text("0")
        assert "is begun again" in resume()
        wait(lambda: jobs(forge).get("production") == "success", log)
        assert applied() == 1
        assert "is through" in resume() and applied() == 1

        (told / "code").write_text("75")
        start(wait="false")
        wait(lambda: jobs(forge).get("ready") == "failure", log)
        assert resume() == "no run waits at ready", json.dumps(jobs(forge))
        assert applied() == 1
