"""Which policy packs an operation runs, by either engine: those of `heliostat.toml` for its stack, and those of its flags."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat.cli import say
from heliostat.cli.checkout import FILE, CheckoutError, read
from heliostat.cli.exits import UsageError
from heliostat.cli.standing import StandingPack
from heliostat.gitops.commands import TEMPLATE

if TYPE_CHECKING:
    from heliostat.cli.session import Session
    from heliostat.engine.protocol.packs import PolicyPack

NO_CONFIG = "/dev/null"
"""What the official CLI reads as no config, where one pack has some and another none."""


def packs_for(kind: str, session: Session, flags: Mapping[str, Any]) -> tuple[PolicyPack, ...]:
    """The packs of an operation, of which refreshes and the like have none. Raises UsageError for flags that do not fit."""
    if kind not in {"update", "preview"}:
        return ()
    from heliostat.engine.protocol.packs import PolicyPack

    pairs = standing(session.project.root, session.ref.name)
    pairs += _paired(flags.get("policy_packs", ()), flags.get("policy_pack_configs", ()))
    # One that stands in heliostat.toml and is named by a flag, too, runs once, with the config of the flag.
    found = {folder.resolve(): (folder.absolute(), config) for folder, config in pairs}
    return tuple(PolicyPack(folder, config) for folder, config in found.values())


def standing(root: Path, stack: str) -> list[tuple[Path, Path | None]]:
    """The packs that always run for a stack of the project in `root`, each with its config. Raises UsageError.

    A branch's environment is judged as the stack that its config was made of.
    """
    stack = os.environ.get(TEMPLATE) or stack
    try:
        packs = read(root / FILE).policy_packs
    except CheckoutError as error:
        raise UsageError(str(error)) from None
    return [(root / pack.folder, _rooted(root, pack, stack)) for pack in packs if pack.judges(stack)]


def flags_for_cli(standing: Sequence[tuple[Path, Path | None]], arguments: Sequence[str]) -> list[str]:
    """The flags by which the official CLI runs what always runs, beside what the arguments name; for before them."""
    packs, configs = _values(arguments, "--policy-pack"), _values(arguments, "--policy-pack-config")
    named = {Path(pack).resolve() for pack in packs}
    added = [(folder, config) for folder, config in standing if folder.resolve() not in named]
    found = [f"--policy-pack={folder}" for folder, _ in added]
    if not (configs or any(config for _, config in added)):
        return found
    # The CLI wants a config for every pack or for none.
    theirs = [] if configs else [NO_CONFIG] * len(packs)
    return found + [f"--policy-pack-config={file}" for file in (*(config or NO_CONFIG for _, config in added), *theirs)]


def _values(arguments: Sequence[str], flag: str) -> list[str]:
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return [
        after if one == flag else one.partition("=")[2] for one, after in pairs if one == flag or one.startswith(f"{flag}=")
    ]


def with_standing(command: str, arguments: Sequence[str], root: Path | None, stack: str) -> list[str]:
    """The arguments of the official CLI with the packs that always run, whose environments are made.

    Raises UsageError, or EngineError where an environment cannot be made.
    """
    if root is None or not (packs := standing(root, stack)):
        return list(arguments)
    import asyncio

    from heliostat.engine.protocol import packenvs
    from heliostat.engine.protocol.packs import read as read_pack

    for folder, _ in packs:
        asyncio.run(packenvs.ensure(read_pack(folder), os.environ, say.told))
    at = list(arguments).index(command) + 1
    return [*arguments[:at], *flags_for_cli(packs, arguments), *arguments[at:]]


def _rooted(root: Path, pack: StandingPack, stack: str) -> Path | None:
    named = pack.config_of(stack)
    return root / named if named else None


def _paired(packs: Sequence[str], configs: Sequence[str]) -> list[tuple[Path, Path | None]]:
    if configs and len(configs) != len(packs):
        raise UsageError(
            f"--policy-pack-config is given {len(configs)} times and --policy-pack {len(packs)} times: give one config for "
            f"each pack, in their order ({NO_CONFIG} for a pack without), or none"
        )
    return [(Path(pack), Path(configs[at]).absolute() if configs else None) for at, pack in enumerate(packs)]
