"""A stack whose program is run by the embedded engine, and whose resources a provider records that makes nothing.

stack = RecordedStack(tmp_path, {"heliostat:platform": {...}}, packages=("kubernetes", "heliostat"))
await stack.preview(); await stack.up(); stack.plan()
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliostat.engine.deployment import EngineError, Kind, Options, Target, run
from heliostat.engine.events import Diagnostic, Event, Op, StepStarted, Summary
from heliostat.engine.state.checkpoint import encode_resource
from heliostat.engine.state.snapshot import Resource, Secret, Snapshot
from heliostat.engine.state.urns import name_of

ROOT = Path(__file__).parents[2]
RECORDING = Path(__file__).with_name("recording")
PROGRAM = "from heliostat.program import run\n\nrun()\n"
LONGEST_TEXT = 3000
"""Longer ones are files of the library, which have tests of their own."""
UNKNOWN, SECRET = "(known after up)", "(secret)"


@dataclass
class _Checkpoint:
    snapshot: Snapshot = field(default_factory=Snapshot)

    def save(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot


class _NoStacks:
    def outputs(self, stack_name: str) -> dict[str, Any]:
        raise EngineError(f"there is no stack {stack_name}")


@dataclass
class RecordedStack:
    """The stack `dev` of the project `heliostat`, in a folder of its own."""

    folder: Path
    config: dict[str, Any]
    """By key, as `heliostat:platform`; what is no text goes as JSON, as structured config does."""
    packages: tuple[str, ...] = ("heliostat", "kubernetes")
    """Whose resources are recorded. Of each of them a process is started when it is needed."""
    program: str = PROGRAM
    plugins: dict[str, Path] = field(default_factory=dict)
    """Folders of plugins that are not recorded, by package."""
    environment: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    checkpoint: _Checkpoint = field(default_factory=_Checkpoint)

    async def preview(self, *, refresh: bool = False) -> Summary:
        summary = await self._operate("preview", Options(refresh=refresh))
        if not self.resources() and not self._first_preview.exists():
            self._first_preview.write_text(self._log.read_text())
        return summary

    async def up(self) -> Summary:
        return await self._operate("update")

    async def destroy(self, **options: Any) -> Summary:
        return await self._operate("destroy", Options(**options))

    async def refresh(self) -> Summary:
        return await self._operate("refresh")

    async def _operate(self, kind: Kind, options: Options | None = None) -> Summary:
        main = self.folder / "infra"
        main.mkdir(exist_ok=True)
        (self.folder / "workloads").mkdir(exist_ok=True)
        (main / "__main__.py").write_text(self.program)
        self._log.write_text("")
        self.events.clear()
        own = {"RECORDING": str(self._log), "PYTHONPATH": str(ROOT), **self.environment}
        target = Target(
            "heliostat",
            "dev",
            self.folder,
            main,
            self.checkpoint.snapshot,
            config={key: each if isinstance(each, str) else json.dumps(each) for key, each in self.config.items()},
            plugins={**dict.fromkeys(self.packages, RECORDING), **self.plugins},
            environment={**_without_credentials(os.environ), **own},
        )
        return await run(kind, target, options or Options(), self.events.append, self.checkpoint, _NoStacks(), asyncio.Event())

    @property
    def _log(self) -> Path:
        return self.folder / "calls.jsonl"

    def calls(self, *kinds: str) -> list[tuple[str, str]]:
        """What providers were asked for by the last operation, as (`create`, name)."""
        return [(each["call"], name_of(each["urn"])) for each in self._logged() if not kinds or each["call"] in kinds]

    def touched(self) -> list[str]:
        """The steps of the last operation that change something, as `update kubernetes:core/v1:Service mlflow`."""
        steps = [each for each in self.events if isinstance(each, StepStarted) and each.op not in (Op.SAME, Op.REFRESH)]
        return [f"{each.op} {_kind(each.urn)} {name_of(each.urn)}" for each in steps]

    def errors(self) -> str:
        return self.told("error")

    def told(self, severity: str) -> str:
        return "\n".join(each.message for each in self.events if isinstance(each, Diagnostic) and each.severity == severity)

    def world(self) -> dict[str, str]:
        """What providers made and did not delete: ids by URN."""
        found: dict[str, str] = {}
        for file in self.folder.glob("world-*.json"):
            found |= json.loads(file.read_text())
        return found

    def resources(self) -> list[Resource]:
        return self.checkpoint.snapshot.resources

    def resource(self, kind: str, name: str) -> Resource:
        found = [each for each in self.resources() if (each.type, name_of(each.urn)) == (kind, name)]
        assert len(found) == 1, f"{len(found)} of {kind} {name}"
        return found[0]

    def outputs(self) -> dict[str, Any]:
        """What the stack exports."""
        return next(each.outputs for each in self.resources() if each.type == "pulumi:pulumi:Stack")

    def stored(self) -> str:
        """The whole state as it would lie on a disk, secrets as `(hidden)`."""
        hidden = [encode_resource(each, lambda _text, _place: {"ciphertext": "(hidden)"}) for each in self.resources()]
        return json.dumps(hidden)

    def _logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def plan(self) -> list[dict[str, Any]]:
        """The graph as a golden plan has it; to be called after an `up` that followed a preview of the empty stack."""
        return list(self._entries())

    def _entries(self) -> Iterator[dict[str, Any]]:
        previewed = self._previewed()
        for each in sorted(self.resources(), key=lambda one: (one.type, one.urn)):
            if each.type == "pulumi:pulumi:Stack":
                continue
            entry: dict[str, Any] = {"type": each.type, "name": name_of(each.urn)}
            if inputs := plain(previewed.get(each.urn, each.inputs)):
                entry["inputs"] = inputs
            if each.parent and not each.parent.startswith("urn:pulumi:dev::heliostat::pulumi:pulumi:Stack"):
                entry["parent"] = name_of(each.parent)
            if each.dependencies:
                entry["dependsOn"] = sorted({f"{_kind(urn)} {name_of(urn)}" for urn in each.dependencies})
            entry |= {key: value for key, value in _options(each).items() if value}
            yield entry

    @property
    def _first_preview(self) -> Path:
        return self.folder / "first-preview.jsonl"

    def _previewed(self) -> dict[str, dict[str, Any]]:
        """Inputs by URN as the preview of the empty stack shows them, with what it cannot know."""
        lines = self._first_preview.read_text().splitlines()
        return {each["urn"]: each["inputs"] for each in map(json.loads, lines) if each["call"] == "preview"}


def _options(each: Resource) -> dict[str, Any]:
    return {
        "protect": each.protect,
        "retainOnDelete": each.retain_on_delete,
        "ignoreChanges": each.ignore_changes,
        "replaceOnChanges": each.replace_on_changes,
        "customTimeouts": each.custom_timeouts,
        "additionalSecretOutputs": each.additional_secret_outputs,
        "deletedWith": each.deleted_with and name_of(each.deleted_with),
    }


def plain(value: Any) -> Any:
    """A value as a golden plan shows it: neither a secret, nor what nobody knows before an `up`."""
    if isinstance(value, Secret):
        return SECRET
    if isinstance(value, Mapping):
        if value.keys() == {"secret"}:
            return SECRET
        if value.keys() == {"unknown"}:
            return UNKNOWN
        return {key: plain(value[key]) for key in sorted(value) if not key.startswith("__")}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"({len(value)} characters)"
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _kind(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """No plan may depend on who makes it."""
    return {
        key: value
        for key, value in environment.items()
        if not key.startswith(("AWS_", "GOOGLE_", "CLOUDSDK_", "KUBE", "PULUMI_", "HELIOSTAT_"))
    }
