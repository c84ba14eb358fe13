"""Policy packs as processes: started as the official CLI starts them, configured, and asked by gRPC."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import empty_pb2, json_format

from heliostat.engine.errors import EngineError, ProviderError, Unimplemented
from heliostat.engine.protocol import packs
from heliostat.engine.protocol.children import Child
from heliostat.engine.protocol.launching import interpreter, start
from heliostat.engine.protocol.packs import LEVELS, PackProject, Policy, PolicyPack, Setting
from heliostat.engine.protocol.plugins import Plugin, Surroundings
from heliostat.pulumi_proto import analyzer_pb2, analyzer_pb2_grpc

_SEVERITIES = ("", "low", "medium", "high", "critical")
"""By the protocol's numbers."""


@dataclass(frozen=True)
class StackFacts:
    """What a pack is told of the stack that it judges; as with the official CLI, the config's secrets are in clear."""

    organization: str
    project: str
    stack: str
    preview: bool
    config: Mapping[str, str]
    config_secret_keys: tuple[str, ...]

    def variables(self) -> dict[str, str]:
        """What the SDK of policies reads from the environment."""
        return {
            "PULUMI_ORGANIZATION": self.organization,
            "PULUMI_PROJECT": self.project,
            "PULUMI_STACK": self.stack,
            "PULUMI_DRY_RUN": "true" if self.preview else "false",
            "PULUMI_CONFIG": json.dumps(dict(self.config)),
        }

    def request(self) -> analyzer_pb2.AnalyzerStackConfigureRequest:
        """The same as a message."""
        return analyzer_pb2.AnalyzerStackConfigureRequest(
            stack=self.stack,
            project=self.project,
            organization=self.organization,
            dry_run=self.preview,
            config_secret_keys=self.config_secret_keys,
            config=self.config,
        )


@dataclass
class Analyzer(Plugin):
    """A running pack. It is a plugin that speaks another service."""

    pack: str = ""
    version: str = ""
    policies: dict[str, Policy] = field(default_factory=dict)
    facts: StackFacts | None = None
    _initial: dict[str, Setting] = field(default_factory=dict)

    @classmethod
    async def of(cls, pack: PolicyPack, project: PackProject, facts: StackFacts, around: Surroundings) -> Analyzer:
        """Starts and configures a pack whose environment is there. Raises EngineError where it does not come up."""
        given = packs.read_config(pack.config) if pack.config else {}
        python, environment = interpreter(project.options, project.folder, around.environment)
        command = [python, "-u", "-m", "pulumi.policy", around.engine_address, str(project.folder)]
        process = await Child.of(start(command, project.folder, {**environment, **facts.variables()}))
        analyzer = cls(f"policy pack {project.folder.name}", process, version=project.version, facts=facts)
        analyzer.readers.append(asyncio.create_task(analyzer._follow(process.stderr, around.log)))
        try:
            async with asyncio.timeout(around.start_timeout_s):
                await analyzer._connect(process.stdout, project.folder, around)
            await analyzer._configure(given, str(pack.config or project.folder))
        except TimeoutError:
            raise await analyzer._failed(f"did not say its port within {around.start_timeout_s:g} s") from None
        except (asyncio.CancelledError, EngineError, ProviderError) as error:
            await analyzer.close()
            raise EngineError(str(error)) from None if isinstance(error, ProviderError) else error
        return analyzer

    async def _shake_hands(self, folder: Path, around: Surroundings) -> None:
        assert self.channel is not None  # noqa: S101 - it has just been opened
        self.stub = analyzer_pb2_grpc.AnalyzerStub(self.channel)
        request = analyzer_pb2.AnalyzerHandshakeRequest(
            engine_address=around.engine_address, root_directory=str(folder), program_directory=str(folder)
        )
        await self._optionally("Handshake", request)
        if self.facts is not None:
            await self._optionally("ConfigureStack", self.facts.request())

    async def _optionally(self, method: str, request: Any, otherwise: Any = None) -> Any:
        """A call that packs with older SDKs do not know."""
        try:
            return await self.call(method, request)
        except Unimplemented:
            return otherwise

    async def _configure(self, given: Mapping[str, Setting], where: str) -> None:
        info = await self.call("GetAnalyzerInfo", empty_pb2.Empty())
        self.pack, self.version = info.name, self.version or info.version
        self.policies = {one.name: _policy(one) for one in info.policies}
        if not info.supportsConfig:
            if given:
                raise EngineError(f"the policy pack {info.name} takes no config, and {where} gives it one")
            return
        initial = {name: _setting(one) for name, one in info.initialConfig.items()}
        settings = packs.reconciled(self.policies.values(), initial, given, where)
        request = analyzer_pb2.ConfigureAnalyzerRequest()
        for name, setting in settings.items():
            config = request.policyConfig[name]
            config.enforcementLevel = _number(setting)
            json_format.ParseDict(dict(setting.properties), config.properties)
        await self.call("Configure", request)
        self.policies = {name: _at(policy, settings[name]) for name, policy in self.policies.items()}

    async def analyze(self, request: analyzer_pb2.AnalyzeRequest) -> list[analyzer_pb2.AnalyzeDiagnostic]:
        """What the resource policies have to say of a resource. Raises ProviderError where one of them fails."""
        return list((await self.call("Analyze", request)).diagnostics)

    async def analyze_stack(self, request: analyzer_pb2.AnalyzeStackRequest) -> list[analyzer_pb2.AnalyzeDiagnostic]:
        """What the stack policies have to say of all resources. Raises ProviderError where one of them fails."""
        answer = await self._optionally("AnalyzeStack", request, analyzer_pb2.AnalyzeResponse())
        return list(answer.diagnostics)

    async def remediate(self, request: analyzer_pb2.AnalyzeRequest) -> list[analyzer_pb2.Remediation]:
        """What the policies that remediate make of a resource, one after another. Raises ProviderError."""
        answer = await self._optionally("Remediate", request, analyzer_pb2.RemediateResponse())
        return list(answer.remediations)

    @property
    def remediates(self) -> bool:
        """Whether any policy is to change resources."""
        return any(policy.level == "remediate" for policy in self.policies.values())

    def severity(self, diagnostic: analyzer_pb2.AnalyzeDiagnostic) -> str:
        """The severity of a violation: its own, else its policy's; empty where neither says one."""
        known = self.policies.get(diagnostic.policyName)
        return _SEVERITIES[diagnostic.severity] or (known.severity if known else "")


def _policy(info: analyzer_pb2.PolicyInfo) -> Policy:
    schema = info.configSchema
    properties = json_format.MessageToDict(schema.properties)
    return Policy(info.name, LEVELS[info.enforcementLevel], properties, tuple(schema.required), _SEVERITIES[info.severity])


def _at(policy: Policy, setting: Setting) -> Policy:
    return Policy(policy.name, setting.level or policy.level, policy.properties, policy.required, policy.severity)


def _setting(message: analyzer_pb2.PolicyConfig) -> Setting:
    return Setting(LEVELS[message.enforcementLevel], json_format.MessageToDict(message.properties))


def _number(setting: Setting) -> analyzer_pb2.EnforcementLevel.ValueType:
    return analyzer_pb2.EnforcementLevel.Value((setting.level or "advisory").upper())
