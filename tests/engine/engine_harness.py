"""Runs the engine in this process on a small program, with a checkpoint in memory and everything that it tells kept."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliostat.engine.deployment import EngineError, Kind, Options, Target, run
from heliostat.engine.events import Diagnostic, Event, StepStarted, Summary
from heliostat.engine.protocol.launching import Ahead
from heliostat.engine.state.snapshot import Resource, Snapshot
from heliostat.engine.state.urns import name_of

PROVIDER = Path(__file__).with_name("provider")
PREAMBLE = """
import pulumi
from pulumi import ResourceOptions as Options


class Lab(pulumi.CustomResource):
    made: pulumi.Output[str]

    def __init__(self, name, opts=None, **inputs):
        super().__init__("lab:index:Lab", name, dict(inputs, made=None, tokens=None), opts)


class Box(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("lab:index:Box", name, {}, opts)
"""


@dataclass
class Checkpoint:
    """The last snapshot that was saved, and how often one was."""

    snapshot: Snapshot = field(default_factory=Snapshot)
    saves: int = 0
    history: list[Snapshot] = field(default_factory=list)

    def save(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.saves += 1
        self.history.append(snapshot)


@dataclass
class Stacks:
    others: dict[str, dict[str, Any]] = field(default_factory=dict)

    def outputs(self, stack_name: str) -> dict[str, Any]:
        if stack_name not in self.others:
            raise EngineError(f"there is no stack {stack_name}")
        return self.others[stack_name]


@dataclass
class Lab:
    """A stack of the project `lab`; `up` and the like run one operation on the program given."""

    folder: Path
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    stacks: Stacks = field(default_factory=Stacks)
    environment: dict[str, str] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    secret: tuple[str, ...] = ()
    events: list[Event] = field(default_factory=list)
    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    plugins: dict[str, Path] = field(default_factory=lambda: {"lab": PROVIDER})
    ahead: Ahead = field(default_factory=Ahead)

    def __post_init__(self) -> None:
        self.log.touch()

    async def operate(self, kind: Kind, program: str = "", **options: Any) -> Summary:
        (self.folder / "__main__.py").write_text(PREAMBLE + textwrap.dedent(program))
        self.log.write_text("")
        self.events.clear()
        own = {"LAB_LOG": str(self.log), "LAB_GATE": str(self.gate), **self.environment}
        # Python takes the next program of the same length in the same second for the last one, if it has that compiled.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **own}
        target = Target(
            "lab",
            "dev",
            self.folder,
            self.folder,
            self.checkpoint.snapshot,
            config=self.config,
            config_secret_keys=self.secret,
            plugins=self.plugins,
            environment=environment,
            ahead=self.ahead,
        )
        return await run(kind, target, Options(**options), self.events.append, self.checkpoint, self.stacks, self.cancel)

    async def up(self, program: str, **options: Any) -> Summary:
        return await self.operate("update", program, **options)

    async def preview(self, program: str, **options: Any) -> Summary:
        return await self.operate("preview", program, **options)

    async def refresh(self, **options: Any) -> Summary:
        return await self.operate("refresh", **options)

    async def destroy(self, **options: Any) -> Summary:
        return await self.operate("destroy", **options)

    @property
    def log(self) -> Path:
        return self.folder / "calls.jsonl"

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    def calls(self, *kinds: str) -> list[str]:
        """The provider's calls of the last operation, as `create a`."""
        calls = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [f"{c['call']} {c['name']}".strip() for c in calls if not kinds or c["call"] in kinds]

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def given(self, call: str) -> dict[str, Any]:
        """What the provider got with the last `call`, secrets laid open."""
        found = [c["given"] for c in self.logged() if f"{c['call']} {c['name']}" == call]
        return dict(found[-1])

    async def until_called(self, call: str, seconds: float = 30.0) -> None:
        """Returns once the provider has got `call`."""
        async with asyncio.timeout(seconds):
            while call not in self.calls():  # noqa: ASYNC110 (another process writes it)
                await asyncio.sleep(0.01)

    def resources(self) -> dict[str, Resource]:
        """The state's resources by name, without those that wait for deletion."""
        return {name_of(r.urn): r for r in self.checkpoint.snapshot.resources if not r.delete}

    def names(self) -> list[str]:
        """The names of the state's resources of the provider's type, in order; `~` marks one that waits for deletion."""
        found = [r for r in self.checkpoint.snapshot.resources if r.type == "lab:index:Lab"]
        return [name_of(r.urn) + ("~" if r.delete else "") for r in found]

    def pending(self) -> list[str]:
        return [f"{p.type} {name_of(p.resource.urn)}" for p in self.checkpoint.snapshot.pending_operations]

    def said(self, severity: str) -> str:
        """What was told with a severity."""
        return "\n".join(e.message for e in self.events if isinstance(e, Diagnostic) and e.severity == severity)

    def steps(self) -> list[str]:
        return [f"{e.op} {name_of(e.urn)}" for e in self.events if isinstance(e, StepStarted)]

    def urn(self, name: str) -> str:
        return f"urn:pulumi:dev::lab::lab:index:Lab::{name}"
