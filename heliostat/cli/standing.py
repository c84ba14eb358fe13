"""The policy packs that `heliostat.toml` has run with every preview and update of some stacks; all pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

_KEYS = ("stacks", "config")


@dataclass(frozen=True)
class StandingPack:
    """A pack by its folder, which stacks it judges (patterns, `!` takes some out), and its config by patterns of stacks.

    Folders and files are relative to the project.
    """

    folder: str
    stacks: tuple[str, ...] = ("*",)
    config: Mapping[str, str] = field(default_factory=dict)

    def judges(self, stack: str) -> bool:
        """Whether it judges a stack: what the last pattern that fits the name says."""
        verdict = False
        for pattern in self.stacks:
            if fnmatchcase(stack, pattern.removeprefix("!")):
                verdict = not pattern.startswith("!")
        return verdict

    def config_of(self, stack: str) -> str:
        """Its config for a stack: that of the first pattern that fits; empty where none does."""
        return next((file for pattern, file in self.config.items() if fnmatchcase(stack, pattern)), "")


def packs_of(said: Any) -> tuple[tuple[StandingPack, ...], list[str]]:
    """What `policy-packs` says, and what is wrong with it."""
    if not isinstance(said, dict):
        return (), ["policy-packs: has to be tables, one a pack: [policy-packs.policies]"]
    mistakes = [mistake for folder, table in said.items() for mistake in _mistakes(f"policy-packs.{folder}", table)]
    if mistakes:
        return (), mistakes
    return tuple(
        StandingPack(folder, tuple(table.get("stacks", ("*",))), table.get("config", {})) for folder, table in said.items()
    ), []


def _mistakes(place: str, table: Any) -> list[str]:
    if not isinstance(table, dict):
        return [f"{place}: has to be a table with {', '.join(_KEYS)}"]
    mistakes = [
        f"{place}.{key}: there is no such key; there are {', '.join(_KEYS)}" for key in sorted(table.keys() - set(_KEYS))
    ]
    stacks, config = table.get("stacks", []), table.get("config", {})
    if not isinstance(stacks, Sequence) or isinstance(stacks, str) or not all(isinstance(one, str) for one in stacks):
        mistakes.append(f'{place}.stacks: has to be a list of patterns, such as ["*", "!local"]')
    if not isinstance(config, dict) or not all(isinstance(one, str) for one in config.values()):
        mistakes.append(f"{place}.config: has to be a table of files by patterns of stacks")
    return mistakes
