"""The transforms of a program: functions of its own that change a registration or a call before anything else sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import struct_pb2

from heliostat.engine.planning.goals import Goal
from heliostat.engine.protocol.callbacks import Callbacks
from heliostat.engine.protocol.properties import from_struct, to_struct
from heliostat.engine.state.snapshot import OUTPUT_SIGNATURE, SECRET_SIGNATURE_KEY, UNKNOWN, Secret
from heliostat.engine.state.urns import Urn
from heliostat.pulumi_proto import alias_pb2, resource_pb2

OPTIONS = {
    "depends_on": "dependencies",
    "ignore_changes": "ignoreChanges",
    "replace_on_changes": "replaceOnChanges",
    "version": "version",
    "aliases": "aliases",
    "provider": "provider",
    "custom_timeouts": "customTimeouts",
    "plugin_download_url": "pluginDownloadURL",
    "deleted_with": "deletedWith",
    "additional_secret_outputs": "additionalSecretOutputs",
    "providers": "providers",
    "plugin_checksums": "pluginChecksums",
    "hooks": "hooks",
    "import": "importId",
    "hide_diff": "hideDiffs",
    "replace_with": "replace_with",
    "replacement_trigger": "replacement_trigger",
    "protect": "protect",
    "retain_on_delete": "retainOnDelete",
    "delete_before_replace": "deleteBeforeReplace",
}
"""What a transform may change, and where a registration has it."""


@dataclass(frozen=True)
class Properties:
    """Property values, and on which resources each depends as far as its own value tells."""

    values: dict[str, Any]
    dependencies: Mapping[str, frozenset[Urn]] = field(default_factory=dict)


@dataclass
class Transforms:
    """Which functions transform what: a resource's own, those of its parents, those of the stack."""

    callbacks: Callbacks
    _of_stack: list[Any] = field(default_factory=list)
    _of_invokes: list[Any] = field(default_factory=list)
    _own: dict[Urn, list[Any]] = field(default_factory=dict)
    _parents: dict[Urn, Urn] = field(default_factory=dict)
    _providers: dict[Urn, dict[str, str]] = field(default_factory=dict)

    def register(self, callback: Any, *, of_invokes: bool = False) -> None:
        """Learns of a function for all that comes. Raises CallbackError where it is nowhere served."""
        self.callbacks.know(callback)
        (self._of_invokes if of_invokes else self._of_stack).append(callback)

    def remember(self, urn: Urn, request: Any) -> None:
        """Learns of a resource whose children its functions are for too."""
        if request.transforms:
            self._own[urn] = list(request.transforms)
        self._parents[urn] = request.parent
        if not request.custom and request.providers:
            self._providers[urn] = dict(request.providers)

    def of(self, request: Any) -> list[Any]:
        """The functions for a registration, in the order in which they are called."""
        found, parent = list(request.transforms), request.parent
        while parent:
            found += self._own.get(parent, ())
            parent = self._parents.get(parent)
        return found + self._of_stack

    async def registration(
        self, functions: Iterable[Any], request: Any, values: dict[str, Any], parent: Goal | None
    ) -> tuple[Any, dict[str, Any]]:
        """A registration and its values as `functions` leave them. Raises CallbackError where one fails."""
        by_property = {key: frozenset(one.urns) for key, one in request.propertyDependencies.items()}
        by_property = by_property or dict.fromkeys(values, frozenset(request.dependencies))
        properties = Properties(values, by_property if request.transforms else {})
        options = self._options(request, parent)
        for function in functions:
            properties, options = await self._transformed(function, request, properties, options)
        changed = _with_options(request, options)
        _set_dependencies(changed, properties, by_property)
        return changed, properties.values

    async def _transformed(
        self, function: Any, request: Any, properties: Properties, options: resource_pb2.TransformResourceOptions
    ) -> tuple[Properties, resource_pb2.TransformResourceOptions]:
        told = resource_pb2.TransformRequest(
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent,
            properties=to_struct(_with_outputs(properties)),
            options=options,
        )
        answer = resource_pb2.TransformResponse.FromString(await self.callbacks.call(function, told))
        if answer.HasField("properties"):
            properties = Properties(from_struct(answer.properties), _dependencies(answer.properties))
        return properties, answer.options if answer.HasField("options") else options

    async def invocation(self, request: Any, values: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """A call of a function and its arguments as the stack's functions leave them. Raises CallbackError."""
        if not self._of_invokes:
            return request, values
        options = resource_pb2.TransformInvokeOptions(
            provider=request.provider,
            version=request.version,
            plugin_download_url=request.pluginDownloadURL,
            plugin_checksums=request.pluginChecksums,
        )
        for function in self._of_invokes:
            told = resource_pb2.TransformInvokeRequest(token=request.tok, args=to_struct(values), options=options)
            answer = resource_pb2.TransformInvokeResponse.FromString(await self.callbacks.call(function, told))
            options = answer.options if answer.HasField("options") else options
            values = from_struct(answer.args) if answer.HasField("args") else values
        changed = type(request)()
        changed.CopyFrom(request)
        changed.provider, changed.version, changed.pluginDownloadURL = (
            options.provider,
            options.version,
            options.plugin_download_url,
        )
        return changed, values

    def _options(self, request: Any, parent: Goal | None) -> resource_pb2.TransformResourceOptions:
        """What a function is told of a registration, with what it takes from its parent."""
        told = resource_pb2.TransformResourceOptions(**_fields(request, {theirs: ours for ours, theirs in OPTIONS.items()}))
        told.ClearField("aliases")
        told.aliases.extend([*(alias_pb2.Alias(urn=urn) for urn in request.aliasURNs), *request.aliases])
        if request.deleteBeforeReplaceDefined:
            told.delete_before_replace = request.deleteBeforeReplace
        goal = _inherited(request, parent)
        told.provider, told.deleted_with = goal.provider or self._provider(request), goal.deleted_with or ""
        if goal.protect is not None:
            told.protect = goal.protect
        if goal.retain_on_delete is not None:
            told.retain_on_delete = goal.retain_on_delete
        return told

    def _provider(self, request: Any) -> str:
        package = request.type.split(":", 1)[0]
        own = request.providers.get(package, "") if request.custom else ""
        return own or self._providers.get(request.parent, {}).get(package, "")


def _inherited(request: Any, parent: Goal | None) -> Goal:
    return Goal(
        type=request.type,
        name=request.name,
        custom=request.custom,
        provider=request.provider,
        protect=request.protect if request.HasField("protect") else None,
        retain_on_delete=request.retainOnDelete if request.HasField("retainOnDelete") else None,
        deleted_with=request.deletedWith or None,
    ).inheriting(parent)


def _fields(message: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """What is set of a message, by the names that `names` gives for its fields."""
    return {names[described.name]: value for described, value in message.ListFields() if described.name in names}


def _with_options(request: resource_pb2.RegisterResourceRequest, options: resource_pb2.TransformResourceOptions) -> Any:
    """A registration with the options that its functions have left."""
    changed: Any = resource_pb2.RegisterResourceRequest()
    changed.CopyFrom(request)
    dependencies = list(request.dependencies)
    for name in [*OPTIONS.values(), "aliasURNs", "deleteBeforeReplaceDefined"]:
        changed.ClearField(name)
    changed.MergeFrom(resource_pb2.RegisterResourceRequest(**_fields(options, OPTIONS)))
    changed.deleteBeforeReplaceDefined = options.HasField("delete_before_replace")
    # What a function leaves out is not taken from the parent again.
    changed.protect, changed.retainOnDelete = options.protect, options.retain_on_delete
    if not request.transforms:
        # As with the CLI, only a resource's own transforms can change what it depends on.
        del changed.dependencies[:]
        changed.dependencies.extend(dependencies)
    return changed


def _set_dependencies(
    request: resource_pb2.RegisterResourceRequest, properties: Properties, before: Mapping[str, frozenset[Urn]]
) -> None:
    """Says in a registration what each of its properties depends on, now that functions have changed them."""
    by_property = dict(properties.dependencies)
    if request.transforms:
        request.dependencies.extend(sorted(frozenset().union(*by_property.values()) - set(request.dependencies)))
    else:
        by_property = {
            key: by_property.get(key, frozenset()) | before.get(key, frozenset()) for key in {*properties.values, *before}
        }
    request.ClearField("propertyDependencies")
    for key in {*properties.values, *by_property}:
        request.propertyDependencies[key].urns.extend(sorted(by_property.get(key, ())))


# ---- outputs: values that say what they depend on


def _with_outputs(properties: Properties) -> dict[str, Any]:
    """Values in which each that is secret, unknown, or depends on a resource, says so itself."""
    return {key: _output(value, sorted(properties.dependencies.get(key, ()))) for key, value in properties.values.items()}


def _output(value: Any, dependencies: Iterable[Urn] = ()) -> Any:
    secret, plain = isinstance(value, Secret), value.value if isinstance(value, Secret) else value
    known = not (isinstance(plain, str) and plain == UNKNOWN)
    if isinstance(plain, Mapping):
        plain = {key: _output(item) for key, item in plain.items()}
    elif isinstance(plain, list):
        plain = [_output(item) for item in plain]
    if known and not secret and not dependencies:
        return plain
    return {
        SECRET_SIGNATURE_KEY: OUTPUT_SIGNATURE,
        **({"value": plain} if known else {}),
        **({"secret": True} if secret else {}),
        **({"dependencies": list(dependencies)} if dependencies else {}),
    }


def _dependencies(message: struct_pb2.Struct) -> dict[str, frozenset[Urn]]:
    """What the outputs in each value of a message say that they depend on."""
    return {key: frozenset(_urns(value)) for key, value in message.fields.items()}


def _urns(value: struct_pb2.Value) -> Iterable[Urn]:
    if value.HasField("struct_value"):
        fields = value.struct_value.fields
        if fields.get(SECRET_SIGNATURE_KEY, struct_pb2.Value()).string_value == OUTPUT_SIGNATURE and "dependencies" in fields:
            yield from (item.string_value for item in fields["dependencies"].list_value.values)
        for inner in fields.values():
            yield from _urns(inner)
    elif value.HasField("list_value"):
        for inner in value.list_value.values:
            yield from _urns(inner)
