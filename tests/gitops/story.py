"""A repository at two forges, a staging and a production stack, a template, and a command line for CI's jobs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from over_http import over_http
from played_forges import NAME, TOKEN, PlayedForge
from repository_of import FILES, Repository
from served_controllers import ServedController, quick, served

from heliostat.cli.main import run
from heliostat.engine.state import checkpoint, secrets
from heliostat.engine.state.backend import Backend, StackRef
from heliostat.engine.state.snapshot import Resource, Snapshot
from heliostat.gitops import commands

PLUGIN = Path(__file__).parent / "story_plugin"
_PASSPHRASE = "local"
_OF_JOBS = ("GITHUB_", "GITLAB_", "GITEA_", "CI_")
"""What the names of variables begin with that CI systems set."""
_SALT = "v1:uqBNsCzGkMg=:v1:5kSMNS0Hd3GFMxCi:2nPatEpwNQ5BIEFYv0c6K3J2QAJYuQ=="
_STACK = """\
encryptionsalt: {salt}
config:
  heliostat:platformStack: organization/heliostat/{platform}
  heliostat:workloads:
    bees: {bees}
"""
REPOSITORY = {
    **{name: text for name, text in FILES.items() if "wasps" not in name and not name.startswith("configs/")},
    "Pulumi.yaml": f"""\
name: heliostat
runtime: {{name: python}}
main: infra
stackConfigDir: configs
plugins: {{providers: [{{name: heliostat, path: {PLUGIN}}}]}}
""",
    "configs/Pulumi.preview.yaml": _STACK.format(salt=_SALT, platform="tests", bees="{serving: {replicas: 1}}"),
    "configs/Pulumi.staging.yaml": _STACK.format(salt=_SALT, platform="tests", bees="{}"),
    "configs/Pulumi.production.yaml": _STACK.format(
        salt=_SALT, platform="live", bees='{model: "models:/bees/1", serving: {replicas: 2}}  # what customers get'
    ),
    ".gitignore": ".heliostat/\n__pycache__/\n",
}


class PlayedRegistry:
    """The part of MLflow's registry that a promotion reads; version 1 was there before."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        (folder / "versions.json").write_text(json.dumps([{"key": "run-0"}]))

    def known(self, name: str) -> list[dict[str, Any]]:
        """The trainings that were done, or the versions that were registered."""
        file = self.folder / f"{name}.json"
        return json.loads(file.read_text()) if file.is_file() else []

    def answer(self, request: httpx.Request) -> httpx.Response:
        said, versions = request.url.params, self.known("versions")
        if request.url.path.endswith("/model-versions/get") and int(said["version"]) <= len(versions):
            run_id = versions[int(said["version"]) - 1]["key"]
            found = {"name": said["name"], "version": said["version"], "run_id": run_id, "source": "models:/m"}
            return httpx.Response(200, json={"model_version": found})
        if request.url.path.endswith("/runs/get"):
            info = {"run_id": said["run_id"], "status": "FINISHED", "experiment_id": "1"}
            return httpx.Response(200, json={"run": {"info": info, "data": {"params": [{"key": "rounds", "value": "10"}]}}})
        return httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST"})


@dataclass
class World:
    """Two platforms that are up with nothing on them, a registry, and the stacks' state."""

    folder: Path
    registry: PlayedRegistry
    tests: ServedController
    """Of the platform that staging and environments are on."""
    live: ServedController
    environment: dict[str, str]
    """What says where all of it is."""

    def left_of(self, environment: str, *further: Path) -> list[str]:
        """Files of state and objects that are an environment's."""
        places = (self.folder / "state", self.tests.folder / "objects", *further)
        return [str(path) for place in places for path in place.rglob("*") if path.is_file() and environment in str(path)]


@contextmanager
def world(folder: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> Iterator[World]:
    """The model `wrong` does not do well in production."""
    quick(monkeypatch)
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "HELIOSTAT_", *_OF_JOBS))]:
        monkeypatch.delenv(name)
    registry, state = PlayedRegistry(folder / "world"), folder / "state"
    state.mkdir()
    backend = Backend.open(f"file://{state}")
    tests, live = ServedController(folder / "tests"), ServedController(folder / "live", frozenset({wrong}))
    environment = {
        "HELIOSTAT_ENGINE": "embedded",
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
        "STORY": str(registry.folder),
    }
    with served(tests, live), over_http(registry.answer) as url:
        for stack, controller in (("tests", tests), ("live", live)):
            _export(backend, stack, {"platform": {**controller.platform, "trackingUri": url}})
        for stack in ("staging", "production"):
            backend.create(StackRef("heliostat", stack), secrets.Crypter(_SALT, _PASSPHRASE))
        yield World(folder, registry, tests, live, environment)


@dataclass
class Story:
    """Between commands nothing is remembered but what is pushed, what the forge has, and the state beside the stacks."""

    world: World
    repository: Repository
    forges: Mapping[str, PlayedForge]
    """By kind. Both have the repository, as a mirror has."""
    urls: Mapping[str, str]
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    _of: dict[str, dict[str, str]] = field(default_factory=dict)
    """What each CI system says of what its jobs are for."""

    @property
    def played(self) -> PlayedForge:
        """The forge whose jobs run where nobody says otherwise."""
        return self.forges["github"]

    def in_pull_request(self, number: int, branch: str) -> None:
        """Have jobs be of a pull request from now on."""
        self._of = {
            "github": {"GITHUB_HEAD_REF": branch, "GITHUB_REF": f"refs/pull/{number}/merge"},
            "gitlab": {"CI_MERGE_REQUEST_IID": str(number), "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": branch},
        }
        self.job_at("github")

    def on_branch(self, branch: str) -> None:
        """Have jobs be of a push to a branch from now on."""
        self._of = {"github": {"GITHUB_REF": f"refs/heads/{branch}"}, "gitlab": {"CI_COMMIT_BRANCH": branch}}
        self.job_at("github")

    def at_each(self) -> Iterator[PlayedForge]:
        """Each forge, in a job of its own CI system; outside of it jobs are GitHub's."""
        for kind, played in self.forges.items():
            self.job_at(kind)
            yield played
        self.job_at("github")

    def job_at(self, kind: str) -> None:
        """Have jobs be a forge's own."""
        for name in [name for name in os.environ if name.startswith(_OF_JOBS)]:
            self.monkeypatch.delenv(name)
        url = self.urls[kind]
        its_own = {
            "github": {"GITHUB_ACTIONS": "true", "GITHUB_API_URL": url, "GITHUB_REPOSITORY": NAME, "GITHUB_TOKEN": TOKEN},
            "gitlab": {"GITLAB_CI": "true", "CI_API_V4_URL": f"{url}/api/v4", "CI_PROJECT_ID": NAME, "GITLAB_TOKEN": TOKEN},
        }
        for name, value in (its_own[kind] | self._of.get(kind, {})).items():
            self.monkeypatch.setenv(name, value)

    def heliostat(self, *arguments: str, code: int = 0) -> str:
        """A job's command, in this process; what it starts are processes of their own."""
        self.capsys.readouterr()
        ended = run(arguments)
        told = self.capsys.readouterr()
        assert ended == code, told.out + told.err
        return told.out + told.err

    def git(self, *arguments: str) -> str:
        return self.repository.git(*arguments).strip()

    def push(self, branch: str, file: str, old: str, new: str) -> None:
        """A commit of one edit, pushed on a branch."""
        self.repository.replace(file, old, new)
        self.repository.commit()
        self.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}")

    def merge(self, branch: str) -> None:
        """Merge the pull request of a branch as a forge does, delete the branch, and check out what came of it."""
        found = [(played.repository, pull_of(branch, played)[0]) for played in self.forges.values()]
        pull = found[0][0].pulls[found[0][1]]
        self.git("fetch", "-q", "--prune", "origin")
        self.git("checkout", "-q", "--detach", "origin/main")
        somebody = ("-c", "user.name=Forge", "-c", "user.email=forge@example.com")
        self.git(*somebody, "merge", "-q", "--no-ff", "-m", pull["title"] or "Merge", f"origin/{pull['head']}")
        self.git("push", "-q", "origin", "HEAD:refs/heads/main", f":refs/heads/{pull['head']}")
        for repository, number in found:
            repository.merge(number, self.git("rev-parse", "HEAD"))


def comment_on(number: int, played: PlayedForge) -> str:
    """The one comment on a pull request."""
    (text,) = played.repository.comments[number].values()
    return text


def pull_of(branch: str, played: PlayedForge) -> tuple[int, dict[str, Any]]:
    """The one open pull request of a branch."""
    (found,) = ((n, p) for n, p in played.repository.pulls.items() if (p["head"], p["state"]) == (branch, "open"))
    return found


@contextmanager
def story(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: str) -> Iterator[Story]:
    """The beginning on played forges."""
    forges = {kind: PlayedForge(kind) for kind in ("github", "gitlab")}
    with world(folder, monkeypatch, wrong) as there, ExitStack() as served_forges:
        urls = {kind: served_forges.enter_context(over_http(played.answer)) for kind, played in forges.items()}
        repository = Repository(folder / "repository", REPOSITORY)
        repository.git("init", "-q", "--bare", "-b", "main", str(folder / "remote.git"))
        repository.git("remote", "add", "origin", str(folder / "remote.git"))
        repository.git("push", "-q", "origin", "main")
        for name, value in there.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(repository.root)
        # The command line's own start is most of what the commands that commands run would take.
        monkeypatch.setattr(commands, "subprocess", SimpleNamespace(run=_run_here))
        told = Story(there, repository, forges, urls, monkeypatch, capsys)
        told.job_at("github")
        yield told


def _run_here(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """`heliostat` in this process, as `subprocess.run` would run it in one of its own."""
    assert command[1:3] == ["-m", "heliostat.cli.main"] and Path.cwd() == options["cwd"], command
    before, told, said = dict(os.environ), io.StringIO(), io.StringIO()
    os.environ.update(options["env"])
    try:
        with redirect_stdout(told), redirect_stderr(said):
            code = run(command[3:])
    finally:
        os.environ.clear()
        os.environ.update(before)
    if not options.get("capture_output"):
        sys.stdout.write(told.getvalue())
        sys.stderr.write(said.getvalue())
    return subprocess.CompletedProcess(command, code, told.getvalue(), said.getvalue())


def _export(backend: Backend, stack: str, outputs: dict[str, Any]) -> None:
    """Have a stack that exports something."""
    ref = StackRef("heliostat", stack)
    urn = f"urn:pulumi:{stack}::heliostat::pulumi:pulumi:Stack::heliostat-{stack}"
    root = Resource(urn=urn, type="pulumi:pulumi:Stack", custom=False, outputs=outputs)
    encoder = checkpoint.Encoder(ref.full_name, None)
    backend.write(ref, encoder.document(encoder.body(Snapshot(resources=[root])), checkpoint.manifest()))
