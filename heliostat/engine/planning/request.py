"""What an operation is asked for: of which kind, how, and on which stack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from heliostat.engine.masking import Masker
from heliostat.engine.planning.plans import Plan
from heliostat.engine.protocol.launching import Ahead
from heliostat.engine.protocol.packs import PolicyPack
from heliostat.engine.state.snapshot import Resource, Snapshot
from heliostat.engine.state.urns import Urn

Kind = Literal["preview", "update", "refresh", "destroy", "import"]


@dataclass(frozen=True)
class Import:
    """A resource to take over; `parent` and `provider` are URNs (empty: the stack, and the package's default provider)."""

    type: str
    name: str
    id: str
    parent: Urn = ""
    provider: Urn = ""
    protect: bool = True


@dataclass(frozen=True)
class Options:
    """How an operation is to run; the names are the CLI's flags.

    `parallel` bounds how many steps act at once. `targets` are URNs (empty: all; `**` and `*` match as in the CLI),
    `replace` those to replace even where nothing changed; `target_dependents` also lets what depends on a target change.
    `excludes` are to be left alone, with `exclude_dependents` also what depends on them; targets and excludes do not go
    together. `ignore_protect` deletes and replaces protected resources, too.
    `refresh` reads the world first, in the same operation. `preview_only` is for `refresh` and `destroy`: plan only.
    `agree` is asked before an update deletes what the program no longer declares, and says why it may not (empty: it may).
    With `stand_in`, a preview shows resources whose plugin is not on this machine as their SDK has them; else it refuses them.
    `imports` are what an `import` takes over.
    A plugin that has not said its port after `plugin_start_timeout_s` seconds is given up.
    `policy_packs` judge a preview or an update; violations are told, and those of mandatory policies make it fail.
    `planned` is filled with what is to be done, and `plan` holds the operation to what another one was to do.
    """

    parallel: int = 16
    targets: tuple[Urn, ...] = ()
    target_dependents: bool = False
    excludes: tuple[Urn, ...] = ()
    exclude_dependents: bool = False
    ignore_protect: bool = False
    refresh: bool = False
    continue_on_error: bool = False
    replace: tuple[Urn, ...] = ()
    preview_only: bool = False
    stand_in: bool = True
    plugin_start_timeout_s: float = 60.0
    imports: tuple[Import, ...] = ()
    agree: Callable[[Sequence[Resource]], Awaitable[str]] | None = None
    policy_packs: tuple[PolicyPack, ...] = ()
    planned: Plan | None = None
    plan: Plan | None = None


@dataclass(frozen=True)
class Target:
    """The stack that an operation works on, and the program that declares it.

    `config` maps full keys (`namespace:name`) to decrypted values as the program reads them (objects as JSON);
    `config_secret_keys` names those that are secret. `main` is the program's directory, `runtime_options` the mapping
    `runtime.options` of Pulumi.yaml, `plugins` the directories of provider plugins by name. `environment` is the whole
    environment of the program and of the plugins, `ahead` what of these was started in it already. `previous` is the last
    checkpoint, decrypted. `masker` knows secrets that are no whole value of these (one inside a configured object), and gets
    to know all others.
    """

    project_name: str
    stack_name: str
    project_root: Path
    main: Path
    previous: Snapshot
    organization: str = "organization"
    config: Mapping[str, str] = field(default_factory=dict)
    config_secret_keys: tuple[str, ...] = ()
    runtime_options: Mapping[str, Any] = field(default_factory=dict)
    plugins: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    ahead: Ahead = field(default_factory=Ahead)
    masker: Masker = field(default_factory=Masker)
