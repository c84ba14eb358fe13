"""Which policy packs an operation runs: those of `heliostat.toml` for its stack, and those of its flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat.cli.checkout import FILE, CheckoutError, read
from heliostat.cli.exits import UsageError
from heliostat.cli.standing import StandingPack

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
    """The packs that always run for a stack of the project in `root`, each with its config. Raises UsageError."""
    try:
        packs = read(root / FILE).policy_packs
    except CheckoutError as error:
        raise UsageError(str(error)) from None
    return [(root / pack.folder, _rooted(root, pack, stack)) for pack in packs if pack.judges(stack)]


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
