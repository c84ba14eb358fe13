"""A real Gitea on loopback, and a CI system for it: each event of its webhook runs the workflow by `act`, in host mode.

Both are built by `scripts/forge_tools`. What `act` does otherwise than a runner of Gitea's: `actions/checkout` is passed over,
for it stands in a fresh clone already, and which events start a job is decided here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from over_http import over_http
from repository_of import Repository

import heliostat

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
TOOLS = Path(os.environ.get("HELIOSTAT_FORGE_TOOLS") or _CACHE / "heliostat" / "forge-tools")
"""Where `scripts/forge_tools` puts Gitea and act."""
OWNER, REPOSITORY = "acme", "models"
NAME = f"{OWNER}/{REPOSITORY}"
_PASSWORD = "none-of-anybody-s-1"
_SETTINGS = """\
APP_NAME = Forge
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = {folder}
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
STATIC_ROOT_PATH = {static}
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
[security]
INSTALL_LOCK = true
SECRET_KEY = of-this-test-alone
[webhook]
ALLOWED_HOST_LIST = loopback
[service]
DISABLE_REGISTRATION = true
[indexer]
ISSUE_INDEXER_TYPE = db
[actions]
ENABLED = {actions}
[log]
LEVEL = Warn
"""


def missing_tools() -> list[str]:
    """Which of them are not there."""
    return [name for name in ("gitea", "act", "gitea-static") if not (TOOLS / name).exists()]


@dataclass
class RealForge:
    """A Gitea with one repository, its user's token, and what its webhook told."""

    url: str
    token: str
    folder: Path
    """Where it keeps all that it knows."""
    events: queue.Queue[tuple[str, dict[str, Any]]] = field(default_factory=queue.Queue)

    @property
    def remote(self) -> str:
        """The repository for git, with who may push."""
        return f"http://{OWNER}:{self.token}@{self.url.removeprefix('http://')}/{NAME}.git"

    def call(self, method: str, path: str, **said: Any) -> Any:
        answer = httpx.request(
            method, f"{self.url}/api/v1{path}", json=said or None, headers={"Authorization": f"token {self.token}"}, timeout=60
        )
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def comment(self, number: int, text: str, token: str) -> int:
        """What somebody comments on a pull request; its id."""
        answer = httpx.post(
            f"{self.url}/api/v1/repos/{NAME}/issues/{number}/comments",
            json={"body": text},
            headers={"Authorization": f"token {token}"},
            timeout=60,
        )
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def person(self, name: str) -> str:
        """Make somebody who has an account and nothing else; their token."""
        admin(self.folder, "create", "--username", name, "--password", _PASSWORD, "--email", f"{name}@example.com",
              "--must-change-password=false")  # fmt: skip
        return admin(self.folder, "generate-access-token", "--username", name, "--scopes", "all", "--raw")

    def run_of(self, event: str, seconds: float = 120.0) -> dict[str, Any]:
        """The run of its own CI system that an event began, which no runner takes; with what a runner is told of it."""
        until, wanted = time.monotonic() + seconds, "ref, commit_sha, workflow_id, event_payload, concurrency_group"
        while time.monotonic() < until:
            with contextlib.closing(sqlite3.connect(f"file:{self.folder}/gitea.db?mode=ro", uri=True)) as database:
                runs = "action_run JOIN action_run_attempt ON action_run_attempt.run_id = action_run.id"
                found = database.execute(f"SELECT {wanted} FROM {runs} WHERE trigger_event = ?", (event,)).fetchone()
            if found is not None:
                return dict(zip(wanted.split(", "), found, strict=True))
            time.sleep(0.2)
        raise AssertionError(f"no run of {event} was begun")

    def takes(self, repository: Repository) -> None:
        """Push the first commit, and wait until the forge, which looks at pushes later, does not call it empty."""
        repository.git("remote", "add", "origin", self.remote)
        repository.git("push", "-q", "origin", "main")
        until = time.monotonic() + 120
        while self.call("GET", f"/repos/{NAME}")["empty"]:
            assert time.monotonic() < until, "the forge does not see what was pushed"
            time.sleep(0.1)

    def event(self, kind: str, action: str, seconds: float = 120.0) -> dict[str, Any]:
        """The next event of a kind; others before it are passed over."""
        until = time.monotonic() + seconds
        while True:
            found, payload = self.events.get(timeout=max(0.1, until - time.monotonic()))
            if (found, payload.get("action", "")) == (kind, action):
                return payload

    def take(self, request: httpx.Request) -> httpx.Response:
        """What the webhook is told."""
        self.events.put((request.headers["x-gitea-event"], json.loads(request.content)))
        return httpx.Response(200, json={})


def _command(folder: Path) -> tuple[list[str], dict[str, str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GITEA_")}
    environment |= {"HOME": str(folder), "USER": environment.get("USER") or "root"}
    return [str(TOOLS / "gitea"), "--config", str(folder / "app.ini"), "--work-path", str(folder)], environment


def admin(folder: Path, *arguments: str) -> str:
    """What a command for its users writes last."""
    gitea, environment = _command(folder)
    done = subprocess.run([*gitea, "admin", "user", *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


@contextmanager
def real_forge(folder: Path, *, with_actions: bool = False) -> Iterator[RealForge]:
    """A Gitea with the empty repository `acme/models`, whose webhook tells of pull requests and comments.

    `with_actions`: its own CI system begins runs, too, without a runner that takes them.
    """
    folder.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "app.ini"
    actions = str(with_actions).lower()
    settings.write_text(_SETTINGS.format(folder=folder, port=port, static=TOOLS / "gitea-static", actions=actions))
    gitea, environment = _command(folder)
    with (folder / "gitea.log").open("wb") as log:
        process = subprocess.Popen([*gitea, "web"], env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        _await(url, process, folder / "gitea.log")
        who = ("--username", OWNER)
        admin(folder, "create", *who, "--password", _PASSWORD, "--email", "acme@example.com", "--admin",
              "--must-change-password=false")  # fmt: skip
        forge = RealForge(url, admin(folder, "generate-access-token", *who, "--scopes", "all", "--raw"), folder)
        forge.call("POST", "/user/repos", name=REPOSITORY, default_branch="main")
        with over_http(forge.take) as hook:
            config = {"url": f"{hook}/", "content_type": "json"}
            events = ["pull_request", "pull_request_sync", "pull_request_comment", "issue_comment", "push"]
            forge.call("POST", f"/repos/{NAME}/hooks", type="gitea", active=True, config=config, events=events)
            yield forge
    finally:
        process.terminate()
        process.wait(30)


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/api/v1/version", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


@dataclass
class Runner:
    """Jobs by `act`, each run in a clone of its own."""

    folder: Path
    forge: RealForge
    variables: Mapping[str, str]
    """`vars` of the forge."""
    secrets: Mapping[str, str]
    environment: Mapping[str, str]
    """What the machine that runs jobs has."""
    _runs: int = 0

    def run(self, event: str, payload: Mapping[str, Any], ref: str, *arguments: str) -> str:
        """Run the workflow's jobs of an event on what a ref of the repository has; what they wrote."""
        self._runs += 1
        place = self.folder / f"run-{self._runs}"
        place.mkdir(parents=True)
        clone = place / "clone"
        self._git(place, "clone", "-q", self.forge.remote, str(clone))
        self._git(clone, "fetch", "-q", "origin", ref)
        self._git(clone, "checkout", "-q", "--detach", "FETCH_HEAD")
        (place / "event.json").write_text(json.dumps(payload))
        for name, values in (("secrets", self.secrets), ("variables", self.variables), ("environment", self._environment())):
            (place / name).write_text("".join(f"{each}={value}\n" for each, value in values.items()))
        command = [
            *(str(TOOLS / "act"), event, "--directory", str(clone), "--workflows", ".gitea/workflows"),
            *("--platform", "ubuntu-latest=-self-hosted", "--eventpath", str(place / "event.json"), "--no-cache-server"),
            *("--secret-file", str(place / "secrets"), "--var-file", str(place / "variables")),
            *("--env-file", str(place / "environment"), "--action-cache-path", str(place / "cache"), "--concurrent-jobs", "1"),
            *arguments,
        ]
        home = {**os.environ, "HOME": str(place)}
        done = subprocess.run(command, env=home, capture_output=True, text=True, errors="replace", check=False, timeout=1200)
        told = done.stdout + done.stderr
        assert done.returncode == 0, told
        for secret in (*self.secrets.values(), self.forge.token):
            assert secret not in told, "a secret is in the log"
        return told

    def _environment(self) -> dict[str, str]:
        library = str(Path(heliostat.__file__).parents[1])
        return {
            "GITEA_ACTIONS": "true",
            "GITHUB_REPOSITORY": NAME,
            "HELIOSTAT_FORGE_URL": self.forge.url,
            "PYTHONPATH": library,
            "GIT_TERMINAL_PROMPT": "0",
            **self.environment,
        }

    @staticmethod
    def _git(folder: Path, *arguments: str) -> None:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def with_this_python(workflow: str) -> str:
    """A workflow whose jobs take the libraries that are here, in the place of fetching them, and keep no artefacts: the action
    for these is at a forge that is not here.
    """
    workflow = re.sub(r"      - uses: actions/upload-artifact@.*\n(        .*\n)+", "", workflow)
    fetched = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"
    assert fetched in workflow
    return workflow.replace(fetched, f"ln -sfn {sys.prefix} .venv")
