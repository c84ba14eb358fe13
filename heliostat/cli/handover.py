"""Who does the work: the official Pulumi CLI where it is on PATH, the embedded engine elsewhere, or whichever is chosen.

Nothing heavy is imported here: where the CLI takes over, this process becomes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from heliostat.cli import switches

Engine = Literal["embedded", "pulumi"]
# what both can do; everything else is Heliostat's own
SHARED_COMMANDS = frozenset(
    {"up", "update", "preview", "pre", "refresh", "destroy", "down", "dn", "import", "stack", "state", "config", "cancel"}
)
JUDGED = frozenset({"up", "update", "preview", "pre"})
"""Those that policy packs judge."""
_WITH_VALUE = frozenset({"-C", "--cwd", "--color"})
PULUMI_INSTALL = "https://www.pulumi.com/docs/install/"


class EngineChoiceError(Exception):
    """The engine that was asked for is not there, or is none."""


@dataclass(frozen=True)
class Choice:
    """The engine, and the arguments without `--engine` and, for the CLI, without what it does not know."""

    engine: Engine
    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    """What flags of our own become for whoever does not know them: the plugin below the CLI, and commands that ask the CLI."""


def choose(arguments: Sequence[str], environment: Mapping[str, str]) -> Choice:
    """Reads `--engine` (before the command) and HELIOSTAT_ENGINE; raises EngineChoiceError where that cannot be done."""
    wanted, rest = _take_option(arguments, environment.get("HELIOSTAT_ENGINE", ""))
    if wanted not in {"", "auto", "embedded", "pulumi"}:
        raise EngineChoiceError(f"--engine {wanted!r} (or HELIOSTAT_ENGINE) has to be `embedded`, `pulumi` or `auto`")
    there = shutil.which("pulumi", path=environment.get("PATH")) is not None
    if wanted == "pulumi" and not there:
        raise EngineChoiceError(
            "the engine `pulumi` was chosen, but the official Pulumi CLI is not on PATH: "
            f"install it ({PULUMI_INSTALL}) or choose `--engine embedded`"
        )
    shared = command_of(rest) in SHARED_COMMANDS
    if shared and there and wanted in {"", "auto", "pulumi"}:
        try:
            kept, variables = switches.taken_out(rest, command_of(rest))
        except switches.SwitchError as error:
            raise EngineChoiceError(str(error)) from None
        return Choice("pulumi", tuple(kept), variables)
    return Choice("embedded", tuple(rest), {} if shared or not wanted else {"HELIOSTAT_ENGINE": wanted})


def path_of_plugins(path: str, folder: str) -> str:
    """PATH for the official CLI, with the folder of this command in it: `pulumi-resource-heliostat` lies there too.

    Last, so that it stands before nothing that the user chose.
    """
    folders = path.split(os.pathsep) if path else []
    return os.pathsep.join(folders if folder in folders else [*folders, folder])


def _take_option(arguments: Sequence[str], otherwise: str) -> tuple[str, list[str]]:
    wanted, waiting = otherwise, list(arguments)
    rest: list[str] = []
    while waiting:
        argument = waiting.pop(0)
        if argument == "--engine":
            if not waiting:
                raise EngineChoiceError("--engine needs a value: `embedded`, `pulumi` or `auto`")
            wanted = waiting.pop(0)
        elif argument.startswith("--engine="):
            wanted = argument.removeprefix("--engine=")
        elif not argument.startswith("-"):
            return wanted, [*rest, argument, *waiting]
        else:
            rest.append(argument)
            if argument in _WITH_VALUE and waiting:
                rest.append(waiting.pop(0))
    return wanted, rest


def command_of(arguments: Sequence[str]) -> str:
    """The command's name; empty where there is none."""
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in _WITH_VALUE:
            skip = True
        elif not argument.startswith("-"):
            return argument
    return ""
