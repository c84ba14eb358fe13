"""A project with a template, its state in a folder, and a command line that remembers which stacks are up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from heliostat.engine.config import project as projects
from heliostat.engine.state import checkpoint
from heliostat.engine.state.backend import Backend, StackRef
from heliostat.engine.state.secrets import Keyring
from heliostat.engine.state.snapshot import Resource, Snapshot
from heliostat.gitops.commands import CommandFailedError
from heliostat.gitops.environments import Environments
from heliostat.gitops.settings import EnvironmentSettings
from heliostat.spec.addresses import ControllerAddress
from heliostat.systems.errors import RetryableError

TEMPLATE = """\
# Small, on the platform of another stack.
config:
  heliostat:platformStack: organization/demo/platform
  heliostat:workloads:
    flights: {serving: {replicas: 1}}  # one is enough
    demand: {batch: {nightly: {source: {kind: snapshot}}}}
"""
DAY = 86400.0


class PlayedCommands:
    """Brings stacks up and down, as the state has them; it can be told to fail."""

    def __init__(self, backend: Backend, project: str) -> None:
        self.backend, self.project = backend, project
        self.up_with: dict[str, str] = {}
        """The config that each stack is up with."""
        self.ups: list[tuple[str, tuple[str, ...]]] = []
        self.fails = 0
        """How many of the next commands fail, having done half."""

    def up(self, stack: str, config: Path, flags: Sequence[str]) -> None:
        self.ups.append((stack, tuple(flags)))
        self.up_with[stack] = config.read_text()
        self._has(stack, 1)
        self._fail()

    def destroy(self, stack: str, config: Path) -> None:
        assert config.is_file()
        self._fail()
        self.up_with.pop(stack, None)
        self._has(stack, 0)

    def _has(self, stack: str, count: int) -> None:
        """Have a stack, where there is one, of so many resources."""
        ref = StackRef(self.project, stack)
        urn = f"urn:pulumi:{stack}::{self.project}::pulumi:pulumi:Stack::{self.project}-{stack}"
        root = Resource(urn=urn, type="pulumi:pulumi:Stack", custom=False)
        encoder = checkpoint.Encoder(ref.full_name, None)
        if self.backend.exists(ref):
            body = encoder.body(Snapshot(resources=[root] * count))
            self.backend.write(ref, encoder.document(body, checkpoint.manifest()))

    def _fail(self) -> None:
        if self.fails:
            self.fails -= 1
            raise CommandFailedError("`heliostat destroy` ended with 1")


class EnvironmentsWorld:
    def __init__(self, folder: Path, state: str = "") -> None:
        """`state`: the URL of the stacks' state; by default a folder's."""
        self.root = folder / "project"
        (self.root / "configs").mkdir(parents=True)
        (self.root / "Pulumi.yaml").write_text("name: demo\nruntime: python\nstackConfigDir: configs\n")
        self.template = self.root / "configs" / "Pulumi.preview.yaml"
        self.template.write_text(TEMPLATE)
        self.store = folder / "store"
        self.backend = Backend.open(state or f"file://{folder / 'state'}")
        self.now = 1_000_000.0
        self.counts: Mapping[str, float] | None = {}
        """What the controller counted; None where it does not answer."""
        self.said: list[str] = []
        self.passphrase: str | None = "pass"
        """What whoever acts has; None for nothing."""
        self.commands = PlayedCommands(self.backend, "demo")
        self.settings = EnvironmentSettings(idle_seconds=3 * DAY)
        self.export("platform", {"platform": self.platform()})

    def platform(self) -> dict[str, Any]:
        controller = {"url": "http://127.0.0.1:1", "credential": {"kind": "file", "path": "/token"}}
        return {"store": {"uri": self.store.as_uri()}, "controller": controller}

    def export(self, stack: str, outputs: dict[str, Any]) -> None:
        """Have a stack that exports something."""
        ref = StackRef("demo", stack)
        root = Resource(
            urn=f"urn:pulumi:{stack}::demo::pulumi:pulumi:Stack::demo-{stack}",
            type="pulumi:pulumi:Stack",
            custom=False,
            outputs=outputs,
        )
        encoder = checkpoint.Encoder(ref.full_name, None)
        self.backend.write(ref, encoder.document(encoder.body(Snapshot(resources=[root])), checkpoint.manifest()))

    def count(self, address: ControllerAddress) -> Mapping[str, float]:
        if self.counts is None:
            raise RetryableError("the controller does not answer")
        return self.counts

    @property
    def environments(self) -> Environments:
        """As another process would have them: nothing is remembered but what is written."""
        return Environments(
            projects.load(self.root / "Pulumi.yaml"),
            self.backend,
            Keyring({} if self.passphrase is None else {"PULUMI_CONFIG_PASSPHRASE": self.passphrase}),
            self.settings,
            self.commands,
            self.count,
            lambda: self.now,
            self.said.append,
        )

    def put(self, key: str) -> Path:
        """An object in the platform's store."""
        path = self.store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(key))
        return path

    def stacks(self) -> set[str]:
        return {ref.name for ref in self.backend.stacks("demo")} - {"platform"}
