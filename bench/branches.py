"""The bench's checkout as a repository with a remote: branches that are pushed, their environments, what is left of them."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from bench import payloads
from bench.commands import MeasurementError
from bench.session import Session, Stack
from bench.workspace import Workspace
from heliostat.spec.addresses import ControllerAddress
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.mlflow_registry import Registry

_AUTHOR = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
_WORKLOAD = "flights"


@dataclass
class Took:
    """What something took; filled in when its block ends."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the commands, and of all processes of the stack."""


@dataclass(frozen=True)
class World:
    """What environments may leave behind, as it is at one moment."""

    applications: frozenset[str]
    runs: frozenset[str]
    replicas: frozenset[int]
    """Processes that answer for an application."""
    ports: frozenset[int]
    """On which those listen."""
    files: frozenset[str]
    """Of the checkout, its state and its platform's data that carry the name of an environment."""

    def left_since(self, before: World) -> dict[str, list[str]]:
        """What there is more of than before, by what it is."""
        found = {name: sorted(map(str, getattr(self, name) - getattr(before, name))) for name in self.__dataclass_fields__}
        return {name: values for name, values in found.items() if values}


@dataclass
class Branches:
    """A repository whose local stack is up."""

    session: Session
    names: list[str] = field(default_factory=list)
    """Of every environment that was brought up."""

    @classmethod
    def of(cls, session: Session) -> Branches:
        """That of the bench's checkout, made where it is none yet; its stack comes up first."""
        stack = session.stack
        root = stack.workspace.root
        if not (root / ".git").exists():
            remote = root.parent / "remote.git"
            git = stack.workspace.run
            git(["git", "init", "-q", "-b", "main"])
            (root / ".git" / "info" / "exclude").write_text(".venv\n.heliostat\n.pulumi\n__pycache__\n/heliostat\n")
            git(["git", "add", "-A"])
            git(["git", *_AUTHOR, "commit", "-q", "-m", "All of it"])
            git(["git", "init", "-q", "--bare", str(remote)])
            git(["git", "remote", "add", "origin", str(remote)])
        return cls(session)

    @property
    def stack(self) -> Stack:
        """The stack that has the platform."""
        return self.session.stack

    @property
    def _workspace(self) -> Workspace:
        return self.stack.workspace

    def checkout(self, branch: str) -> None:
        """Have a branch checked out: a new one, as main is."""
        self._git("checkout", "-q", "-B", branch, "main")

    def commit(self) -> None:
        """Commit whatever was edited."""
        self._git(*_AUTHOR, "commit", "-q", "-a", "-m", "A change")

    def push(self, branch: str) -> dict[str, Any]:
        """Push the branch and bring its environment to it; what `env up` says."""
        self._git("push", "-q", "--force", "origin", branch)
        said: dict[str, Any] = _document(self._workspace.heliostat("env", "up", "--json").output)
        self.names.append(str(said["name"]))
        return said

    def predicts(self, environment: Mapping[str, Any]) -> None:
        """See that an environment answers.

        Raises:
            MeasurementError: it does not.
        """
        url = environment["urls"].get(_WORKLOAD)
        answer = httpx.post(f"{url}/predict", json=payloads.flights()[0], timeout=30)
        if answer.status_code != 200:
            raise MeasurementError(f"{url} answers {answer.status_code}: {answer.text[:200]}")

    def down(self, branch: str) -> None:
        """Take a branch's environment down."""
        self._workspace.heliostat("env", "down", branch, "--yes")

    def drop(self, *branches: str) -> None:
        """Delete branches from the remote."""
        self._git("push", "-q", "origin", "--delete", *branches)

    def sweep(self) -> dict[str, Any]:
        """Take down what is not used any more; what `env sweep` says."""
        return _document(self._workspace.heliostat("env", "sweep", "--json", seconds=1800).output)

    @contextmanager
    def measured(self) -> Iterator[Took]:
        """Measure the block, in seconds and in CPU seconds."""
        took = Took()
        commands, processes, began = _of_children(), self._cpu(), time.monotonic()
        yield took
        took.seconds = time.monotonic() - began
        spent = sum(seconds - processes.get(pid, 0.0) for pid, seconds in self._cpu().items())
        took.cpu_seconds = round(spent + _of_children() - commands, 2)

    def rollouts(self) -> dict[str, int]:
        """How many rollouts each application has had."""
        return asyncio.run(self._rollouts())

    def world(self) -> World:
        """What is there now."""
        tracking = self.stack.outputs["platform"]["trackingUri"]
        with Registry(tracking) as registry:
            runs = {run.run_id for run in registry.runs_of(_WORKLOAD, {})}
        replicas = [each for each in self._workspace.processes() if "ServeReplica" in " ".join(_command(each))]
        return World(
            frozenset(self.rollouts()),
            frozenset(runs),
            frozenset(each.pid for each in replicas),
            frozenset(port for each in replicas for port in _ports(each)),
            frozenset(self._named_files()),
        )

    async def _rollouts(self) -> dict[str, int]:
        address = ControllerAddress.model_validate(self.stack.outputs["platform"]["controller"])
        async with ControllerClient(address) as client:
            return {one.name: len(await client.rollouts(one.name)) for one in await client.list()}

    def _named_files(self) -> Iterator[str]:
        for path in (self._workspace.root / ".heliostat").rglob("*"):
            below = str(path.relative_to(self._workspace.root))  # of any machine
            if any(name in below for name in self.names):
                yield below

    def _git(self, *arguments: str) -> None:
        self._workspace.run(["git", *arguments])

    def _cpu(self) -> dict[int, float]:
        """CPU seconds of each process of the stack so far, by its id; what ends meanwhile is not counted."""
        return {each.pid: _cpu_of(each) for each in self._workspace.processes()}


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _document(output: str) -> dict[str, Any]:
    """The JSON object at the end of what a command wrote."""
    found: dict[str, Any] = json.loads(output[output.index("{\n") :])
    return found


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _ports(process: psutil.Process) -> list[int]:
    try:
        return [each.laddr.port for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    except psutil.Error:
        return []


def _cpu_of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system
