"""The providers that no program declares: made when the first resource or call needs them, one a package and version."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from heliostat.engine.config.reserved import DENIED, denied_packages
from heliostat.engine.errors import ProviderError
from heliostat.engine.planning.goals import Goal, with_plugin
from heliostat.engine.planning.registry import BUILTIN
from heliostat.engine.state.snapshot import Resource, Secret
from heliostat.engine.state.urns import PROVIDER_TYPE_PREFIX

_PLAIN = str.maketrans(dict.fromkeys(".:/-+", "_"))


@dataclass
class DefaultProviders:
    """Default providers by package, version and source; their inputs are the package's keys of the stack's configuration."""

    config: Mapping[str, str | Secret]
    make: Callable[[Goal], Awaitable[Resource]]
    _made: dict[tuple[str, str, str], asyncio.Task[str]] = field(default_factory=dict)
    _denied: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._denied = denied_packages(self.config)

    async def reference(self, package: str, version: str = "", url: str = "") -> str:
        """The reference of the default provider of `package`. Raises ProviderError where the configuration forbids one."""
        if package != BUILTIN and not self._denied.isdisjoint({package, "*"}):
            raise ProviderError(f"the default provider for {package!r} is disabled ({DENIED}): give an explicit provider")
        key = (package, version, url)
        if key not in self._made:
            self._made[key] = asyncio.create_task(self._make(*key))
        return await asyncio.shield(self._made[key])

    async def _make(self, package: str, version: str, url: str) -> str:
        inputs = {key.split(":", 1)[1]: value for key, value in self.config.items() if key.split(":", 1)[0] == package}
        inputs = with_plugin(inputs, version, url)
        name = "_".join(["default", *(part.translate(_PLAIN) for part in (version, url) if part)])
        made = await self.make(Goal(type=PROVIDER_TYPE_PREFIX + package, name=name, custom=True, inputs=inputs))
        return f"{made.urn}::{made.id}"
