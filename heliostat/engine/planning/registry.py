"""The providers of an operation: which plugin serves which provider resource, configured when it is first needed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from heliostat.engine.errors import CheckFailure, EngineError, ProviderError
from heliostat.engine.planning.goals import INTERNAL_KEY
from heliostat.engine.protocol.builtin import BuiltinProvider
from heliostat.engine.protocol.diffs import SAME, Diff, local_diff
from heliostat.engine.protocol.launching import Ahead, executable_of
from heliostat.engine.protocol.locating import PluginPlaces
from heliostat.engine.protocol.plugins import Plugin, Surroundings
from heliostat.engine.protocol.providers import PluginProvider, Provider, Values
from heliostat.engine.protocol.stand_in import Ask, StandIn
from heliostat.engine.state.snapshot import UNKNOWN, Resource
from heliostat.engine.state.urns import PROVIDER_TYPE_PREFIX, Urn, is_provider_type, type_of

BUILTIN = "pulumi"
OWN_KEYS = ("version", "pluginDownloadURL", INTERNAL_KEY)
"""Inputs of a provider resource that are the engine's; a plugin does not see the last."""


@dataclass
class Registry:
    """Provider resources and the providers behind them, by reference (`<urn>::<id>`)."""

    plugins: PluginPlaces
    around: Surroundings
    builtin: BuiltinProvider
    preview: bool
    find_old: Callable[[Urn], Resource | None]
    stands_in: bool = False
    """Whether a preview goes by the SDK of a package where there is no plugin."""
    ask: Ask | None = None
    """Asks the program's host about the SDKs of its Python, once it is started."""
    stand_ins: dict[str, StandIn] = field(default_factory=dict)
    """Those that were needed, by package."""
    running: list[Plugin] = field(default_factory=list)
    _ahead: dict[str, asyncio.Task[Plugin]] = field(default_factory=dict)
    _ready: dict[str, asyncio.Future[Provider]] = field(default_factory=dict)
    _unconfigured: dict[Urn, Provider] = field(default_factory=dict)

    def launch_ahead(self, resources: Iterable[Resource]) -> None:
        """Begins to start the plugins that an operation on `resources` will need, while the program is starting.

        Without any resource, each plugin of the project is likely to be needed. What goes wrong is told to whoever needs it.
        """
        known = {type_of(one.urn).removeprefix(PROVIDER_TYPE_PREFIX) for one in resources if is_provider_type(one.type)}
        for package in sorted(known - {BUILTIN} if known else self.plugins.named):
            if folder := self.plugins.find(package):
                self._ahead[package] = asyncio.ensure_future(Plugin.launch(package, folder, self.around))

    async def provider(self, reference: str) -> Provider:
        """The provider of `reference`; one of the old state is started here. Raises ProviderError where it is unknown."""
        if reference not in self._ready:
            urn, _, ident = reference.rpartition("::")
            old = self.find_old(urn)
            if old is None or old.id != ident:
                raise ProviderError(f"unknown provider '{reference}'")
            return await self._once(reference, lambda: self._configured(old.urn, old.id, old.inputs, None))
        return await asyncio.shield(self._ready[reference])

    async def check(self, urn: Urn, olds: Values, news: Values) -> tuple[Values, list[CheckFailure]]:
        """Checks a provider resource's inputs, with its plugin started; one that a refresh has started already will do."""
        running = await self._running(urn, _env_var_mappings(news))
        provider = running or await self._launched(urn, news)
        if not isinstance(provider, PluginProvider):
            self._unconfigured[urn] = provider
            return news, await provider.failures(type_of(urn), _said(news)) if isinstance(provider, StandIn) else []
        inputs, failures = await provider.check_config(urn, _of_plugin(olds), _of_plugin(news))
        if not running:
            self._unconfigured[urn] = provider
        return inputs | {key: news[key] for key in OWN_KEYS if key in news}, failures

    async def diff(self, urn: Urn, old: Resource, news: Values) -> Diff:
        """How a provider resource's inputs differ from those of before."""
        provider = self._unconfigured.get(urn) or await self._running(urn)
        if isinstance(provider, StandIn):
            return local_diff(_said(old.inputs), _said(news))
        if not isinstance(provider, PluginProvider):
            return SAME
        return await provider.diff_config(urn, _of_plugin(old.inputs), old.outputs, _of_plugin(news))

    async def requires_replacement(self, old: str, new: str, news: Values) -> bool:
        """Whether resources of the provider `old` cannot be served by the provider `new`."""
        before, provider = self.find_old(old.rpartition("::")[0]), await self.provider(new)
        if before is None or not isinstance(provider, PluginProvider):
            return False
        urn = new.rpartition("::")[0]
        diff = await provider.diff_config(urn, _of_plugin(before.inputs), before.outputs, _of_plugin(news))
        return diff.replacing

    async def same(self, resource: Resource) -> None:
        """Keeps a provider as it was: it is configured with the inputs of before."""
        await self._become(resource.urn, resource.id, resource.inputs)

    async def create(self, urn: Urn, inputs: Values) -> tuple[str, Values]:
        """Makes a provider: its id and outputs."""
        ident = UNKNOWN if self.preview else str(uuid.uuid4())
        await self._become(urn, ident, inputs)
        return ident, _of_plugin(inputs)

    async def update(self, urn: Urn, ident: str, inputs: Values) -> Values:
        """Configures a provider anew: its outputs."""
        self._ready.pop(f"{urn}::{ident}", None)
        await self._become(urn, ident, inputs)
        return _of_plugin(inputs)

    async def cancel(self) -> None:
        """Tells every plugin that the operation is over."""
        await asyncio.gather(*(plugin.cancel() for plugin in self.running))

    async def close(self) -> None:
        """Ends every plugin."""
        for task in self._ahead.values():
            task.cancel()
        for started in await asyncio.gather(*self._ahead.values(), return_exceptions=True):
            if isinstance(started, Plugin):
                self.running.append(started)
        self._ahead.clear()
        await asyncio.gather(*(plugin.close() for plugin in self.running))
        self.running.clear()

    async def _become(self, urn: Urn, ident: str, inputs: Values) -> None:
        started = self._unconfigured.pop(urn, None)
        await self._once(f"{urn}::{ident}", lambda: self._configured(urn, ident, inputs, started))

    async def _once(self, reference: str, make: Callable[[], Awaitable[Provider]]) -> Provider:
        """Makes the provider of a reference once, however many ask for it at the same time."""
        if reference not in self._ready:
            self._ready[reference] = asyncio.ensure_future(make())
            # Whoever asks gets the error; one that nobody asks for again is no defect of the program.
            self._ready[reference].add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._ready[reference])

    async def _configured(self, urn: Urn, ident: str, inputs: Values, started: Provider | None) -> Provider:
        provider = started or await self._launched(urn, inputs)
        if isinstance(provider, PluginProvider):
            await provider.configure(urn, ident, _of_plugin(inputs))
        return provider

    async def _launched(self, urn: Urn, inputs: Values) -> Provider:
        package = type_of(urn).removeprefix(PROVIDER_TYPE_PREFIX)
        if package == BUILTIN:
            return self.builtin
        folder = self.plugins.find(package)
        if folder is None:
            if self.stands_in:
                return self._stand_in(package)
            raise ProviderError(self.missing(package))
        try:
            around = self._around(inputs)
            ahead = self._ahead.pop(package, None) if around is self.around else None
            plugin = await (ahead or Plugin.launch(package, folder, around))
        except EngineError as error:
            raise ProviderError(str(error)) from None
        self.running.append(plugin)
        return PluginProvider(plugin, self.preview)

    def _stand_in(self, package: str) -> StandIn:
        return self.stand_ins.setdefault(package, StandIn(package, self.ask, self.find_old))

    def stand_in_of_components(self, type_: str) -> StandIn | None:
        """What stands in, in this preview, for the plugin whose components a type is of; None where it is there, or needed."""
        return self._stand_in(type_.split(":", 1)[0]) if self.is_stood_in(type_) else None

    def is_stood_in(self, type_: str) -> bool:
        """Whether this is a preview that goes by the SDK of a type's package, since there is no plugin."""
        package = type_.removeprefix(PROVIDER_TYPE_PREFIX).split(":", 1)[0]
        return self.stands_in and package != BUILTIN and self.plugins.find(package) is None

    def missing(self, package: str) -> str:
        """What to say where a plugin is needed that is not on this machine."""
        return (
            f"no plugin for provider '{package}': Pulumi.yaml names none under plugins.providers "
            f"({', '.join(sorted(self.plugins.named)) or 'nothing is there'}), and no {executable_of(package)} lies "
            "beside the program's Python or on PATH; the official CLI would install it: run this program with that"
        )

    def _around(self, inputs: Values) -> Surroundings:
        """What a plugin is started with: an environment in which a variable may have the value of another."""
        values = self.around.environment
        mapped = {theirs: values[ours] for ours, theirs in _env_var_mappings(inputs).items() if ours in values}
        return replace(self.around, environment={**values, **mapped}, ahead=Ahead()) if mapped else self.around

    async def _running(self, urn: Urn, mappings: Mapping[str, str] | None = None) -> Provider | None:
        """The configured provider of the old state at `urn`, where something has needed it already.

        One that was started with other `mappings` of its environment does not count, and is not used any more.
        """
        old = self.find_old(urn)
        reference = f"{urn}::{old.id}" if old else ""
        if old and mappings is not None and mappings != _env_var_mappings(old.inputs):
            self._ready.pop(reference, None)
        future = self._ready.get(reference)
        return await asyncio.shield(future) if future else None


def _env_var_mappings(inputs: Values) -> dict[str, str]:
    return (inputs.get(INTERNAL_KEY) or {}).get("envVarMappings") or {}


def _of_plugin(inputs: Values) -> Values:
    return {key: value for key, value in inputs.items() if key != INTERNAL_KEY}


def _said(inputs: Values) -> Values:
    """What a program says of a provider itself, without what it says of the plugin."""
    return {key: value for key, value in inputs.items() if key not in OWN_KEYS}


def is_served(resource: Resource) -> bool:
    """Whether a plugin stands behind a resource: it is custom, and no provider itself."""
    return resource.custom and not is_provider_type(resource.type)
