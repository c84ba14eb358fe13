"""What a program declares of one resource, and the names that it may have had before; all pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from heliostat.engine.errors import EngineError
from heliostat.engine.planning.hooks import bound
from heliostat.engine.protocol.properties import from_value
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import (
    ROOT_STACK_TYPE,
    Urn,
    is_provider_type,
    make,
    name_of,
    provider_of_reference,
    qualified_type_of,
    type_of,
)
from heliostat.pulumi_proto import alias_pb2, resource_pb2

INTERNAL_KEY = "__internal"
"""An input of a provider resource that is the engine's; a plugin does not see it."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Alias:
    """A name that a resource had before: a whole URN, or what of its own differs (empty: as now)."""

    urn: Urn = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: Urn = ""
    no_parent: bool = False


@dataclass(frozen=True)
class Goal:
    """A resource as the program wants it. None means that the program does not say."""

    type: str
    name: str
    custom: bool
    inputs: dict[str, Any] = field(default_factory=dict)
    parent: Urn | None = None
    provider: str = ""
    providers: Mapping[str, str] = field(default_factory=dict)
    """By package: what serves the children that name none themselves."""
    dependencies: tuple[Urn, ...] = ()
    property_dependencies: Mapping[str, tuple[Urn, ...]] = field(default_factory=dict)
    protect: bool | None = None
    retain_on_delete: bool | None = None
    delete_before_replace: bool | None = None
    deleted_with: Urn | None = None
    replace_with: tuple[Urn, ...] = ()
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    replacement_trigger: Any = None
    hide_diffs: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()
    import_id: str = ""
    timeouts: Mapping[str, float] = field(default_factory=dict)
    hooks: Mapping[str, list[str]] = field(default_factory=dict)
    source_position: str = ""
    snippet_id: str = ""

    def resource(self, urn: Urn, old: Resource | None, alias: Urn | None) -> Resource:
        """The state that this goal would have at `urn`, before any provider has seen it."""
        extra: dict[str, Any] = {"importID": self.import_id} if self.import_id else {}
        extra |= {"replaceWith": list(self.replace_with)} if self.replace_with else {}
        extra |= {"snippetID": self.snippet_id} if self.snippet_id else {}
        return Resource(
            urn=urn,
            type=self.type,
            custom=self.custom,
            inputs=self.inputs,
            parent=self.parent,
            provider=self.provider if self.custom and not is_provider_type(self.type) else "",
            dependencies=list(self.dependencies),
            property_dependencies={key: list(urns) for key, urns in self.property_dependencies.items()},
            protect=bool(self.protect),
            retain_on_delete=bool(self.retain_on_delete),
            deleted_with=self.deleted_with,
            additional_secret_outputs=list(self.additional_secret_outputs),
            aliases=[alias] if alias else [],
            custom_timeouts=dict(self.timeouts),
            ignore_changes=list(self.ignore_changes),
            replace_on_changes=list(self.replace_on_changes),
            replacement_trigger=self.replacement_trigger,
            hide_diffs=list(self.hide_diffs),
            resource_hooks=dict(self.hooks),
            created=old.created if old else "",
            modified=old.modified if old else "",
            source_position=self.source_position,
            extra=extra,
        )

    def inheriting(self, parent: Goal | None, *, remote: bool = False) -> Goal:
        """This goal with what a resource takes from its parent where it says nothing itself."""
        if parent is None:
            return self
        package = type_of(provider_of_reference(parent.provider)).rsplit(":", 1)[-1] if parent.provider else ""
        mine = self.type.split(":", 1)[0]
        inherits = (not self.custom and not remote) or package == mine
        by_package = parent.providers.get(mine, "") if self.custom else ""
        return replace(
            self,
            deleted_with=self.deleted_with or parent.deleted_with,
            protect=parent.protect if self.protect is None else self.protect,
            retain_on_delete=parent.retain_on_delete if self.retain_on_delete is None else self.retain_on_delete,
            provider=self.provider or (parent.provider if inherits else "") or by_package,
            providers=self.providers if self.custom else {**parent.providers, **self.providers},
        )


def goal_of(request: resource_pb2.RegisterResourceRequest, inputs: dict[str, Any], project_root: Path) -> Goal:
    """What a registration asks for with these inputs. Raises EngineError where it is not well-formed."""
    if is_provider_type(request.type):
        inputs = with_plugin(inputs, request.version, request.pluginDownloadURL, request.envVarMappings)
    elif request.envVarMappings:
        raise EngineError(f"envVarMappings can only be used with provider resources, and {request.type} is none")
    dependencies = tuple(dict.fromkeys(request.dependencies))
    by_property = {key: tuple(one.urns) for key, one in request.propertyDependencies.items()}
    if not by_property:
        by_property = dict.fromkeys(inputs, dependencies)
    by_property = {key: by_property.get(key, ()) for key in [*by_property, *(k for k in inputs if k not in by_property)]}
    decides = request.deleteBeforeReplaceDefined or request.deleteBeforeReplace
    timeouts = {key: getattr(request.customTimeouts, key) for key in ("create", "update", "delete", "read")}
    return Goal(
        type=request.type,
        name=request.name,
        custom=request.custom,
        inputs=inputs,
        parent=request.parent or None,
        provider=request.provider or (request.providers.get(request.type.split(":", 1)[0], "") if request.custom else ""),
        providers=dict(request.providers),
        dependencies=dependencies,
        property_dependencies=by_property,
        protect=request.protect if request.HasField("protect") else None,
        retain_on_delete=request.retainOnDelete if request.HasField("retainOnDelete") else None,
        delete_before_replace=request.deleteBeforeReplace if decides else None,
        deleted_with=request.deletedWith or None,
        replace_with=tuple(request.replace_with),
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        replacement_trigger=from_value(request.replacement_trigger),
        hide_diffs=tuple(request.hideDiffs),
        import_id=request.importId,
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        aliases=_aliases(request),
        timeouts={key: seconds(text) for key, text in timeouts.items() if text},
        hooks=bound(request.hooks),
        source_position=position_of(request.sourcePosition, project_root),
        snippet_id=request.snippetId,
    )


def with_plugin(
    inputs: Mapping[str, Any], version: str = "", url: str = "", env_var_mappings: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A provider's inputs with what is said of its plugin, kept where the CLI keeps it."""
    internal = dict(inputs.get(INTERNAL_KEY) or {})
    internal |= {"pluginDownloadURL": url} if url else {}
    internal |= {"envVarMappings": dict(env_var_mappings)} if env_var_mappings else {}
    found = {**inputs, **({"version": version} if version else {})}
    return {**found, INTERNAL_KEY: internal} if internal or version else found


def _aliases(request: resource_pb2.RegisterResourceRequest) -> tuple[Alias, ...]:
    return tuple(Alias(urn=urn) for urn in request.aliasURNs) + tuple(_alias(one) for one in request.aliases)


def _alias(message: alias_pb2.Alias) -> Alias:
    if message.WhichOneof("alias") == "urn":
        return Alias(urn=message.urn)
    spec = message.spec
    return Alias(
        name=spec.name, type=spec.type, stack=spec.stack, project=spec.project, parent=spec.parentUrn, no_parent=spec.noParent
    )


def seconds(text: str) -> float:
    """The seconds of a duration such as `1h30m`. Raises EngineError where it is none."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise EngineError(f"custom timeout {text!r} is no duration; write one such as '90s', '5m' or '1h30m'")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def position_of(position: Any, project_root: Path) -> str:
    """A place in the program's source as state keeps it (`project:///__main__.py#12`); empty where there is none."""
    if not position.uri.startswith("file:"):
        return ""
    path = Path(unquote(urlparse(position.uri).path))
    try:
        shown = path.relative_to(project_root)
    except ValueError:
        return ""
    return f"project:///{shown.as_posix()}#{position.line}" + (f",{position.column}" if position.column else "")


@dataclass(frozen=True)
class Names:
    """The URNs that resources of one stack have, and had by their aliases.

    `renamed` finds the old URN that a resource of this run was matched with, where that is not its own.
    """

    stack: str
    project: str
    renamed: Callable[[Urn], Urn | None]

    def urn(self, goal: Goal) -> Urn:
        """The URN of a goal."""
        return make(self.stack, self.project, goal.parent, goal.type, goal.name)

    def aliases(self, goal: Goal) -> list[Urn]:
        """The URNs under which the old state may know a goal, likeliest first."""
        own = [self._alias(goal, alias) for alias in goal.aliases]
        parent = self.renamed(goal.parent) if goal.parent else None
        inherited = []
        if goal.parent and parent:
            names = [(goal.type, goal.name), *((type_of(urn), name_of(urn)) for urn in own)]
            inherited = [self._below(type_, name, name_of(goal.parent), parent) for type_, name in names]
        return list(dict.fromkeys([*own, *inherited]))

    def _alias(self, goal: Goal, alias: Alias) -> Urn:
        if alias.urn:
            return alias.urn
        parent = (self.renamed(alias.parent) or alias.parent) if alias.parent else goal.parent
        if alias.no_parent or (parent and qualified_type_of(parent) == ROOT_STACK_TYPE):
            parent = None
        return make(
            alias.stack or self.stack, alias.project or self.project, parent, alias.type or goal.type, alias.name or goal.name
        )

    def _below(self, type_: str, name: str, parent_name: str, parent: Urn) -> Urn:
        # A child is often named after its parent; then it was named after the old one.
        if name.startswith(parent_name):
            name = name_of(parent) + name[len(parent_name) :]
        return make(self.stack, self.project, parent, type_, name)
