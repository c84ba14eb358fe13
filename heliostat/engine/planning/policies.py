"""Holds what a program declares against policy packs: each resource before its step, and all of them at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from heliostat.engine.errors import EngineError, ProviderError
from heliostat.engine.events import Diagnostic, PackLoaded, PolicyRemediation, PolicyViolation, PropertyChange
from heliostat.engine.planning.goals import Goal
from heliostat.engine.planning.operation import Operation
from heliostat.engine.protocol import packenvs, packs
from heliostat.engine.protocol.analyzers import Analyzer, StackFacts
from heliostat.engine.protocol.packs import PolicyPack
from heliostat.engine.protocol.plugins import Surroundings
from heliostat.engine.protocol.properties import from_struct, to_struct
from heliostat.engine.state.snapshot import Resource, Secret
from heliostat.engine.state.urns import Urn, name_of, provider_of_reference
from heliostat.pulumi_proto import analyzer_pb2

_INTERNAL = "__"
"""How keys begin that are the engine's and the providers' own."""


@dataclass
class Policies:
    """The packs of an operation. As with the official CLI, a preview tells every violation before it fails, and an update
    ends at the first resource that breaks a mandatory policy.
    """

    op: Operation
    wanted: Sequence[PolicyPack]
    facts: StackFacts
    around: Surroundings
    find: Callable[[Urn], Resource | None]
    """The resource at a URN, as the operation knows it by now."""
    stack: Urn
    violated: bool = False
    analyzers: list[Analyzer] = field(default_factory=list)
    _starting: asyncio.Future[list[BaseException | None]] | None = None
    _told: set[PolicyViolation] = field(default_factory=set)

    def begin(self) -> None:
        """Starts the packs side by side, and beside the program, with the environments that are missing made."""
        self._starting = asyncio.gather(*(self._start(pack) for pack in self.wanted), return_exceptions=True)

    async def ready(self) -> None:
        """Returns when all packs can be asked. Raises EngineError with what is wrong with any of them."""
        assert self._starting is not None  # noqa: S101 - begun before
        started = await self._starting
        failures = [one for one in started if isinstance(one, BaseException)]
        for failure in failures:
            if not isinstance(failure, EngineError):
                raise failure
        if failures:
            raise EngineError("\n".join(map(str, failures)))
        for analyzer in self.analyzers:
            counted = sum(policy.level != "disabled" for policy in analyzer.policies.values())
            self.op.sink(PackLoaded(analyzer.pack, analyzer.version, counted))

    async def _start(self, pack: PolicyPack) -> None:
        project = packs.read(pack.folder)
        await packenvs.ensure(project, self.around.environment, lambda text: self.op.sink(Diagnostic("info", text)))
        self.analyzers.append(await Analyzer.of(pack, project, self.facts, self.around))

    async def close(self) -> None:
        """Ends the packs, and what is starting of them."""
        if self._starting:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await asyncio.gather(*(analyzer.close() for analyzer in self.analyzers))
        self.analyzers.clear()

    async def judged(self, goal: Goal, new: Resource) -> Resource:
        """`new` with what remediations make of it. Raises Reported where an update must not go on with it."""
        before = goal.delete_before_replace
        try:
            for analyzer in self.analyzers:
                if analyzer.remediates:
                    new = await self._remediated(analyzer, new, before)
            request = _request(new, before, self._provider(new))
            found = await asyncio.gather(*(analyzer.analyze(request) for analyzer in self.analyzers))
        except ProviderError as error:
            raise self.op.fail(f"failed to run policy: {error}", new.urn) from None
        verdicts = [
            self._tell(analyzer, one, new.urn) for analyzer, some in zip(self.analyzers, found, strict=True) for one in some
        ]
        if any(verdicts) and not self.op.preview:
            raise self.op.stop(f"{new.urn} breaks a mandatory policy")
        return new

    async def judge_stack(self) -> None:
        """Asks for all resources together, once they are what they are to be, and makes the operation fail where it has to."""
        if not (self.op.errored or self.op.halted.is_set()):
            resources = [_placed(self._shown(one), self._provider(one)) for one in self.op.news.values()]
            request = analyzer_pb2.AnalyzeStackRequest(resources=resources)
            try:
                found = await asyncio.gather(*(analyzer.analyze_stack(request) for analyzer in self.analyzers))
            except ProviderError as error:
                raise self.op.fail(f"failed to run stack policy: {error}", self.stack) from None
            for analyzer, some in zip(self.analyzers, found, strict=True):
                for one in some:
                    self._tell(analyzer, one, one.urn if one.urn in self.op.news else self.stack)
        if self.violated:
            self.op.errored = True

    def _shown(self, resource: Resource) -> Resource:
        """A resource with the outputs that stack policies see; what a provider leaves out of a preview is as declared."""
        known = {**resource.inputs, **resource.outputs} if self.op.preview and resource.custom else resource.outputs
        return replace(resource, inputs=known)

    def _provider(self, resource: Resource) -> Resource | None:
        return self.find(provider_of_reference(resource.provider)) if resource.provider else None

    async def _remediated(self, analyzer: Analyzer, new: Resource, delete_before_replace: bool | None) -> Resource:
        request = _request(new, delete_before_replace, self._provider(new), internal=True)
        for one in await analyzer.remediate(request):
            if one.diagnostic:
                said = analyzer_pb2.AnalyzeDiagnostic(policyName=one.policyName, message=one.diagnostic)
                self._tell(analyzer, said, new.urn)
            elif one.HasField("properties"):
                inputs = from_struct(one.properties)
                changes = _differences(new.inputs, inputs)
                self.op.sink(PolicyRemediation(new.urn, one.policyName, analyzer.pack, analyzer.version, changes))
                new = replace(new, inputs=inputs)
        return new

    def _tell(self, analyzer: Analyzer, said: analyzer_pb2.AnalyzeDiagnostic, urn: Urn) -> bool:
        """Tells of a violation, if it has not been told; whether it is mandatory."""
        # What breaks a policy after its remediation, and in a stack policy, is mandatory as with the CLI.
        advisory = said.enforcementLevel == analyzer_pb2.ADVISORY
        level: Literal["advisory", "mandatory"] = "advisory" if advisory else "mandatory"
        message, severity = said.message.strip("\n"), analyzer.severity(said)
        event = PolicyViolation(urn, said.policyName, analyzer.pack, analyzer.version, level, message, severity)
        if event not in self._told:
            self._told.add(event)
            self.op.sink(event)
        self.violated = self.violated or not advisory
        return not advisory


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[PropertyChange, ...]:
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return tuple(PropertyChange(key, old.get(key), new.get(key)) for key in keys)


def _request(
    resource: Resource, delete_before_replace: bool | None, provider: Resource | None, *, internal: bool = False
) -> analyzer_pb2.AnalyzeRequest:
    inputs = resource.inputs if internal else _public(resource.inputs)
    return analyzer_pb2.AnalyzeRequest(
        type=resource.type,
        urn=resource.urn,
        name=name_of(resource.urn),
        properties=to_struct(inputs, references=False),
        options=_options(resource, delete_before_replace),
        provider=_provider_message(provider),
    )


def _placed(resource: Resource, provider: Resource | None) -> analyzer_pb2.AnalyzerResource:
    """A resource with where it stands among the others."""
    of_properties = {
        key: analyzer_pb2.AnalyzerPropertyDependencies(urns=urns)
        for key, urns in resource.property_dependencies.items()
        if urns
    }
    return analyzer_pb2.AnalyzerResource(
        type=resource.type,
        urn=resource.urn,
        name=name_of(resource.urn),
        properties=to_struct(_public(resource.inputs), references=False),
        options=_options(resource, None),
        provider=_provider_message(provider),
        parent=resource.parent or "",
        dependencies=resource.dependencies,
        propertyDependencies=of_properties,
    )


def _options(resource: Resource, delete_before_replace: bool | None) -> analyzer_pb2.AnalyzerResourceOptions:
    return analyzer_pb2.AnalyzerResourceOptions(
        protect=resource.protect,
        ignoreChanges=resource.ignore_changes,
        deleteBeforeReplace=bool(delete_before_replace),
        deleteBeforeReplaceDefined=delete_before_replace is not None,
        additionalSecretOutputs=resource.additional_secret_outputs,
        aliases=resource.aliases,
        customTimeouts=analyzer_pb2.AnalyzerResourceOptions.CustomTimeouts(**resource.custom_timeouts),
        parent=resource.parent or "",
    )


def _provider_message(provider: Resource | None) -> analyzer_pb2.AnalyzerProviderResource | None:
    if provider is None:
        return None
    return analyzer_pb2.AnalyzerProviderResource(
        type=provider.type,
        urn=provider.urn,
        name=name_of(provider.urn),
        properties=to_struct(_public(provider.inputs), references=False),
    )


def _public(value: Any) -> Any:
    """A value without the keys that are no business of a policy, at any depth."""
    match value:
        case Secret():
            return Secret(_public(value.value))
        case Mapping():
            return {key: _public(item) for key, item in value.items() if not key.startswith(_INTERNAL)}
        case list():
            return [_public(item) for item in value]
        case _:
            return value
