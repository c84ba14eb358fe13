"""What the engine asks of a provider, in plain values: a plugin's process, or the engine's own `pulumi` provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from heliostat.engine.errors import CheckFailure, InitFailed, ProviderError, Unimplemented
from heliostat.engine.protocol.diffs import Diff, local_diff
from heliostat.engine.protocol.ignored import ignoring
from heliostat.engine.protocol.plugins import Plugin
from heliostat.engine.protocol.properties import annotated, from_struct, has_unknowns, to_struct
from heliostat.engine.state.marked import with_contents_of, without_contents
from heliostat.engine.state.snapshot import Secret
from heliostat.engine.state.urns import Urn, name_of, type_of
from heliostat.pulumi_proto import provider_pb2 as pb

REPLACING_KINDS = (pb.PropertyDiff.ADD_REPLACE, pb.PropertyDiff.DELETE_REPLACE, pb.PropertyDiff.UPDATE_REPLACE)

Values = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """The resource that a call is about, as the state has it; `timeout` is the program's, in seconds (0: none)."""

    urn: Urn
    id: str = ""
    inputs: Values = field(default_factory=dict)
    outputs: Values = field(default_factory=dict)
    timeout: float = 0.0


@dataclass(frozen=True)
class Made:
    """What a provider answers for a resource: its id and outputs, for a read also its inputs."""

    id: str
    outputs: Values
    inputs: Values | None = None
    init_errors: tuple[str, ...] = ()


class Provider(Protocol):
    """The calls of a provider. All raise ProviderError; create, update and read also InitFailed."""

    async def check(self, urn: Urn, olds: Values, news: Values, seed: bytes) -> tuple[Values, list[CheckFailure]]:
        """The inputs with defaults filled in, and what is wrong with them."""

    async def diff(self, old: Subject, news: Values, ignore: list[str]) -> Diff:
        """How `news` differ from the resource."""

    async def create(self, urn: Urn, inputs: Values, within: float, preview: bool) -> Made:
        """Makes a resource, in `within` seconds (0: it knows best); in a preview says what is known of it beforehand."""

    async def update(self, old: Subject, news: Values, ignore: list[str], preview: bool) -> Made:
        """Changes a resource in place."""

    async def read(self, subject: Subject) -> Made | None:
        """The resource as it is in the world; None where it is gone."""

    async def delete(self, subject: Subject) -> None:
        """Deletes a resource."""

    async def invoke(self, token: str, arguments: Values, preview: bool) -> tuple[Values | None, list[CheckFailure]]:
        """Calls a function; None where a preview cannot know its result."""


@dataclass
class PluginProvider:
    """A configured plugin. Until its configuration is known (in a preview it may not be), it is not asked."""

    plugin: Plugin
    preview: bool
    known: bool = True

    def _struct(self, values: Mapping[str, Any], *, unknowns: bool | None = None) -> Any:
        keep = self.preview if unknowns is None else unknowns
        accepts = self.plugin
        return to_struct(values, secrets=accepts.accepts_secrets, unknowns=keep, references=accepts.accepts_resources)

    def _digests(self, values: Mapping[str, Any], *, unknowns: bool | None = None) -> Any:
        """Values of what is compared, read or deleted, which needs no contents of assets."""
        return self._struct(without_contents(values), unknowns=unknowns)

    def _values(self, message: Any, like: Values) -> Values:
        values = from_struct(message)
        return values if self.plugin.accepts_secrets else annotated(values, like)

    async def check_config(self, urn: Urn, olds: Values, news: Values) -> tuple[Values, list[CheckFailure]]:
        """Checks the provider's own configuration."""
        request = pb.CheckRequest(urn=urn, name=name_of(urn), type=type_of(urn), olds=to_struct(olds), news=to_struct(news))
        try:
            answer = await self.plugin.call("CheckConfig", request)
        except Unimplemented:
            return news, []
        return annotated(from_struct(answer.inputs), news), _failures(answer.failures)

    async def diff_config(self, urn: Urn, olds: Values, old_outputs: Values, news: Values) -> Diff:
        """How the provider's own configuration differs."""
        request = pb.DiffRequest(
            urn=urn,
            name=name_of(urn),
            type=type_of(urn),
            olds=to_struct(old_outputs),
            old_inputs=to_struct(olds),
            news=to_struct(news),
        )
        try:
            answer = await self.plugin.call("DiffConfig", request)
        except Unimplemented:
            return local_diff(olds, news)
        return _diff(answer) or local_diff(olds, news)

    async def configure(self, urn: Urn, ident: str, inputs: Values) -> None:
        """Hands the plugin its configuration, after which it serves resources."""
        self.known = not has_unknowns(inputs)
        if not self.known:
            return
        package = type_of(urn).rsplit(":", 1)[-1]
        variables = {f"{package}:config:{key}": _as_text(value) for key, value in inputs.items()}
        answer = await self.plugin.call(
            "Configure",
            pb.ConfigureRequest(
                variables=variables,
                args=to_struct(inputs),
                acceptSecrets=True,
                acceptResources=True,
                sends_old_inputs=True,
                sends_old_inputs_to_delete=True,
                id=ident,
                urn=urn,
                name=name_of(urn),
                type=type_of(urn),
            ),
        )
        if not self.plugin.shook_hands:
            self.plugin.accepts_secrets, self.plugin.accepts_resources = answer.acceptSecrets, answer.acceptResources
            self.plugin.supports_preview = answer.supportsPreview

    async def check(self, urn: Urn, olds: Values, news: Values, seed: bytes) -> tuple[Values, list[CheckFailure]]:
        """See Provider."""
        if not self.known:
            return news, []
        answer = await self.plugin.call(
            "Check",
            pb.CheckRequest(
                urn=urn,
                name=name_of(urn),
                type=type_of(urn),
                olds=self._struct(olds),
                news=self._struct(news),
                randomSeed=seed,
            ),
        )
        return self._values(answer.inputs, news), _failures(answer.failures)

    async def diff(self, old: Subject, news: Values, ignore: list[str]) -> Diff:
        """See Provider."""
        if not self.known:
            return Diff(changes=True)
        answer = await self.plugin.call(
            "Diff",
            pb.DiffRequest(
                id=old.id,
                urn=old.urn,
                name=name_of(old.urn),
                type=type_of(old.urn),
                olds=self._digests(old.outputs, unknowns=True),
                news=self._digests(news, unknowns=True),
                old_inputs=self._digests(old.inputs, unknowns=True),
                ignoreChanges=ignore,
            ),
        )
        return _diff(answer) or local_diff(old.inputs, ignoring(news, old.inputs, ignore).inputs)

    async def create(self, urn: Urn, inputs: Values, within: float, preview: bool) -> Made:
        """See Provider."""
        if preview and not self.known:
            return Made("", {})
        if preview and not self.plugin.supports_preview:
            return Made("", inputs)
        try:
            answer = await self.plugin.call(
                "Create",
                pb.CreateRequest(
                    urn=urn,
                    name=name_of(urn),
                    type=type_of(urn),
                    properties=self._struct(inputs),
                    timeout=within,
                    preview=preview,
                ),
            )
        except InitFailed as failed:
            failed.outputs = annotated(failed.outputs, {} if self.plugin.accepts_secrets else inputs)
            raise
        if not answer.id and not preview:
            raise ProviderError(f"plugin '{self.plugin.name}' returned no id from Create of {urn}")
        return Made(answer.id, self._values(answer.properties, inputs))

    async def update(self, old: Subject, news: Values, ignore: list[str], preview: bool) -> Made:
        """See Provider."""
        if preview and not (self.known and self.plugin.supports_preview):
            return Made(old.id, news if self.known else {})
        answer = await self.plugin.call(
            "Update",
            pb.UpdateRequest(
                id=old.id,
                urn=old.urn,
                name=name_of(old.urn),
                type=type_of(old.urn),
                olds=self._digests(old.outputs),
                news=self._struct(news),
                old_inputs=self._digests(old.inputs),
                timeout=old.timeout,
                ignoreChanges=ignore,
                preview=preview,
            ),
        )
        return Made(old.id, self._values(answer.properties, news))

    async def read(self, subject: Subject) -> Made | None:
        """See Provider."""
        if not self.known:
            return Made(subject.id, {}, {})
        try:
            answer = await self.plugin.call(
                "Read",
                pb.ReadRequest(**self._stored(subject), inputs=self._digests(subject.inputs, unknowns=False)),
            )
        except InitFailed as failed:
            inputs = with_contents_of(failed.inputs, subject.inputs)
            outputs = with_contents_of(failed.outputs, subject.inputs)
            return Made(failed.id, outputs, inputs, tuple(failed.reasons or [failed.message]))
        if not answer.id:
            return None
        inputs = self._values(answer.inputs, subject.inputs) if answer.HasField("inputs") else None
        outputs = with_contents_of(self._values(answer.properties, subject.outputs), subject.inputs)
        return Made(answer.id, outputs, with_contents_of(inputs, subject.inputs))

    async def delete(self, subject: Subject) -> None:
        """See Provider."""
        await self.plugin.call(
            "Delete",
            pb.DeleteRequest(**self._stored(subject), old_inputs=self._digests(subject.inputs, unknowns=False)),
        )

    def _stored(self, subject: Subject) -> dict[str, Any]:
        """What names a resource of the state in a call about it, with its outputs."""
        return {
            "id": subject.id,
            "urn": subject.urn,
            "name": name_of(subject.urn),
            "type": type_of(subject.urn),
            "timeout": subject.timeout,
            "properties": self._digests(subject.outputs, unknowns=False),
        }

    async def invoke(self, token: str, arguments: Values, preview: bool) -> tuple[Values, list[CheckFailure]]:
        """See Provider."""
        if not self.known:
            return {}, []
        answer = await self.plugin.call("Invoke", pb.InvokeRequest(tok=token, args=self._struct(arguments), preview=preview))
        return from_struct(getattr(answer, "return")), _failures(answer.failures)


def _failures(messages: Any) -> list[CheckFailure]:
    return [CheckFailure(one.property, one.reason) for one in messages]


def _diff(answer: Any) -> Diff | None:
    """A provider's answer; None where it leaves the comparison to the engine."""
    if answer.changes == pb.DiffResponse.DIFF_UNKNOWN and not answer.replaces:
        return None
    detailed = {path: one.kind in REPLACING_KINDS for path, one in answer.detailedDiff.items()}
    changes = answer.changes == pb.DiffResponse.DIFF_SOME or bool(answer.replaces)
    return Diff(changes, tuple(answer.replaces), tuple(answer.diffs), detailed, answer.deleteBeforeReplace)


def _as_text(value: Any) -> str:
    while isinstance(value, Secret):
        value = value.value
    return value if isinstance(value, str) else json.dumps(value)
