"""What is known of a machine, a project and its stack before `up`; values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliostat.cli.operators.health import PartHealth
    from heliostat.spec.platforms.declared import Platform


@dataclass(frozen=True)
class Machine:
    """This machine. Sizes are in bytes; None is what it does not tell."""

    python: tuple[int, int, int]
    system: str
    """As `platform.system()` says."""
    memory_total: int | None = None
    memory_available: int | None = None
    shared_memory_free: int | None = None
    """Of /dev/shm."""
    disk_free: int | None = None
    """Where the stack's data lie."""
    disk_folder: str = ""
    now: float = 0.0
    """Unix time by this machine's clock."""
    newest_file: float = 0.0
    """When the newest of the project's own files was written: it is later than that."""


@dataclass(frozen=True)
class Package:
    """A package that the project needs, and what is installed of it."""

    name: str
    wanted: str
    """A version specifier; empty where any does."""
    installed: str = ""
    """Empty where it is not."""
    fits: bool = False


@dataclass(frozen=True)
class FixedPort:
    """A port that the stack's config fixes."""

    setting: str
    """Its path in the config."""
    port: int
    holder: str = ""
    """Who listens there, in words; empty where nobody does."""
    ours: bool = False
    """That is this very stack."""


@dataclass(frozen=True)
class Folder:
    """A place that `up` writes to."""

    what: str
    place: str
    problem: str = ""
    """Why it cannot be written; empty where it can."""


@dataclass(frozen=True)
class Passphrase:
    """What protects the stack's secrets. The passphrase itself is never among the facts."""

    has_salt: bool
    """Whether the stack has an encryptionsalt yet."""
    named_by: str = ""
    """The variable that names it; empty where none does."""
    problem: str = ""
    """Why it is not the right one; empty where it is, or nothing is there to try it on."""
    can_ask: bool = False
    """Whether somebody sits at a terminal."""


@dataclass(frozen=True)
class Bucket:
    """The store that the config names, where it is in a bucket."""

    place: str
    problem: str = ""
    """Why it cannot be used; empty where it can."""
    missing: bool = False
    """It can be reached and is not there yet: `up` makes it."""
    clock_skew: float | None = None
    """Seconds that this machine's clock is ahead of the store's; None where it did not say."""


@dataclass(frozen=True)
class Tools:
    """Programs beside this one."""

    haproxy: str = ""
    """Its version; empty where it cannot be used."""
    haproxy_problem: str = ""
    git: str = ""
    """Where it is; empty where it is not."""
    pulumi: str = ""
    """The official CLI, alike."""
    engine: str = ""
    """What HELIOSTAT_ENGINE chooses."""


@dataclass(frozen=True)
class Stack:
    """What the stack's config asks for."""

    name: str = ""
    """Empty where none is named or selected."""
    exists: bool = False
    """Whether it was made: `stack init`."""
    config_file: str = ""
    mistakes: str = ""
    """What is wrong with its config, all of it."""
    platform: Platform | None = None
    """What it declares; None where that is another stack's, or has mistakes."""
    platform_stack: str = ""
    replicas: int = 0
    """Of all its applications together."""
    runs: bool = False
    """Whether processes of it run on this machine already."""


@dataclass(frozen=True)
class Facts:
    """Everything that the findings are made of."""

    machine: Machine
    stack: Stack = Stack()
    packages: tuple[Package, ...] = ()
    ports: tuple[FixedPort, ...] = ()
    folders: tuple[Folder, ...] = ()
    passphrase: Passphrase | None = None
    bucket: Bucket | None = None
    existing: tuple[PartHealth, ...] = ()
    """What the config says is there already: `up` makes none of it."""
    tools: Tools = Tools()
    environment: Mapping[str, str] = field(default_factory=dict)
    """As the shell has it: proxies."""
