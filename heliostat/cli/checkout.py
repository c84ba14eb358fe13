"""Where a command finds its state, its stack and its passphrase where neither a flag nor the environment says so.

The project says it: `backend.url` in Pulumi.yaml, which the official CLI reads too, and `heliostat.toml` beside it, for what
Pulumi.yaml has no word for. What is found becomes the variables that either engine reads, so that a process which becomes the
official CLI works on the same stack. The environment wins, but for a passphrase that does not open a stack which the one of
`heliostat.toml` does: a shell, or a job of CI, has one, and a checkout has stacks of several.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from heliostat.cli.standing import StandingPack, packs_of
from heliostat.gitops.settings import EnvironmentSettings, settings_of
from heliostat.layout import SETTINGS, source_mistakes

FILE = SETTINGS
_KEYS = ("stack", "passphrases", "passphrase-files", "sources", "policy-packs", "environments")
TOLD = "HELIOSTAT_PLACE_TOLD"
"""Set where the place was told already, by whoever calls several commands after each other."""
_FLAGS = {"-s": "stack", "--stack": "stack", "-C": "folder", "--cwd": "folder"}
_NAMED = (*(("stack", verb) for verb in ("init", "new", "select", "rm", "remove", "delete")), ("cancel",))
"""Commands whose argument is the stack."""
_OF_TEMPLATES = (("env",), ("ci", "comment"), ("ci", "close"))
"""Commands on stacks that are made of a template, whose passphrase is theirs."""
_OF_MANY = "ci"
"""A command on several stacks, whose passphrases may differ."""
_PLACELESS = {"about", "help", "completion", "doctor", "simulate"}
_OF_A_SIMULATION = {"--simulated", "--simulation"}
"""Flags of a command that then looks at no stack."""


class CheckoutError(Exception):
    """`heliostat.toml` is not what it should be; the text says where."""


@dataclass(frozen=True)
class Settings:
    """`heliostat.toml`: the stack where none is selected, the passphrases of stacks whose secrets are worth nothing, and the
    policy packs that always run.
    """

    stack: str = ""
    passphrases: Mapping[str, str] = field(default_factory=dict)
    passphrase_files: Mapping[str, str] = field(default_factory=dict)
    policy_packs: tuple[StandingPack, ...] = ()
    environments: EnvironmentSettings = field(default_factory=EnvironmentSettings)


@dataclass(frozen=True)
class Found:
    """The variables that are set for this command, and a line that says where they come from."""

    variables: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    stack_flag: str = ""
    """The stack that `-s` names."""
    root: Path | None = field(default=None, compare=False)
    """Where the project lies."""
    stack: str = field(default="", compare=False)
    """The stack's own name, whoever names it."""


def read(file: Path) -> Settings:
    """Reads `heliostat.toml`; one that is not there says nothing. Raises CheckoutError with every mistake."""
    import tomllib

    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckoutError(f"cannot read {file}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise CheckoutError(f"{file} is not valid TOML: {error}") from None
    mistakes = [f"{key}: there is no such key; there are {', '.join(_KEYS)}" for key in said.keys() - set(_KEYS)]
    mistakes += source_mistakes(said.get("sources", []))  # the program reads them, with either engine
    if not isinstance(said.get("stack", ""), str):
        mistakes.append(f"stack: {said['stack']!r} is no name")
    tables: list[dict[str, str]] = []
    for key in ("passphrases", "passphrase-files"):
        table = said.get(key, {})
        wrong = not isinstance(table, dict) or any(not isinstance(value, str) for value in table.values())
        mistakes += [f"{key}: has to be a table of texts, one a stack"] if wrong else []
        tables.append({} if wrong else table)
    standing, wrong_packs = packs_of(said.get("policy-packs", {}))
    mistakes += wrong_packs
    environments, wrong_environments = settings_of(said.get("environments", {}))
    mistakes += wrong_environments
    if mistakes:
        raise CheckoutError(f"{file} has mistakes:" + "".join(f"\n  {one}" for one in sorted(mistakes)))
    return Settings(said.get("stack", ""), tables[0], tables[1], standing, environments)


def find(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Found:
    """What the project around `folder` (or around `-C`) says of a command. Raises CheckoutError."""
    flags, words = _parted(arguments)
    named = flags.get("stack", "")
    if not words or {"-h", "--help"} & set(arguments):
        return Found(stack_flag=named)  # whoever asks what commands there are needs no place, and would wait for all of this
    if words[0] == "new" and words[1:2] != ["workload"]:
        return Found(stack_flag=named)  # of a repository that is made, whatever lies around it
    from heliostat.engine.config import project as projects
    from heliostat.engine.stackerrors import StackError

    try:
        file = projects.find((folder / flags.get("folder", "")).absolute())
        said = projects.read_yaml(file)
    except (StackError, OSError):
        return Found(stack_flag=named)  # whoever needs the project says what is wrong with it
    settings = read(file.parent / FILE)
    backend = said.get("backend")
    url = projects.rooted(str(backend.get("url") or ""), file.parent) if isinstance(backend, dict) else ""
    variables, parts = {}, []
    templated = any(tuple(words[: len(each)]) == each for each in _OF_TEMPLATES)
    stack = settings.environments.template if templated else named or _argument(words) or environment.get("PULUMI_STACK", "")
    if url and not environment.get("PULUMI_BACKEND_URL"):
        variables["PULUMI_BACKEND_URL"] = url
        parts.append(f"state in {_short(url, folder)} (Pulumi.yaml)")
    quiet = bool(environment.get(TOLD)) or words[0] in _PLACELESS or not _OF_A_SIMULATION.isdisjoint(arguments)
    if words[0] == _OF_MANY and not templated:
        # Each command that it starts finds the passphrase of its own stack.
        return Found(variables, "" if quiet else ", ".join(parts), named, file.parent, "")
    if not stack:
        stack = _selected(file, str(said.get("name", "")), variables, environment)
    if not stack and settings.stack:
        stack = variables["PULUMI_STACK"] = settings.stack
        parts.insert(0, f"stack {stack} ({FILE})")
    name = stack.rpartition("/")[2]
    parts += _passphrase(settings, name, file.parent, environment, variables, lambda: _salt(file, name))
    noted = {**variables, TOLD: "1"} if parts else variables
    return Found(noted, "" if quiet else ", ".join(parts), named, file.parent, stack.rpartition("/")[2])


def _argument(words: Sequence[str]) -> str:
    """The stack that a command's own argument names."""
    for command in _NAMED:
        if tuple(words[: len(command)]) == command and len(words) > len(command):
            return words[len(command)]
    return ""


def _selected(file: Path, name: str, variables: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """The stack that the official CLI's record, or ours, says is selected; empty where none is."""
    from heliostat.cli.selection import recorded
    from heliostat.engine.state.backend import backend_url, pulumi_home

    home = pulumi_home(environment)
    return recorded(home, file, name, backend_url({**environment, **variables}, "", home))


def _salt(file: Path, stack: str) -> str:
    """What the passphrase of a stack is told right by; empty where its config has none, or is none."""
    from heliostat.engine.config import project as projects
    from heliostat.engine.config.stackconfig import StackConfig
    from heliostat.engine.stackerrors import StackError

    try:
        project = projects.load(file)
        return StackConfig(project.stack_file(stack), project.name).salt
    except StackError:
        return ""  # whoever reads it says what is wrong with it


def _opens(passphrase: str, salt: str) -> bool:
    from heliostat.engine.stackerrors import StackError
    from heliostat.engine.state.secrets import Crypter

    try:
        Crypter(salt, passphrase).verify()
    except StackError:
        return False
    return True


def _passphrase(
    settings: Settings,
    stack: str,
    root: Path,
    environment: Mapping[str, str],
    variables: dict[str, str],
    salt: Callable[[], str],
) -> list[str]:
    from heliostat.engine.state.secrets import own_variable

    own = own_variable(stack)
    if stack and environment.get(own):  # one that is empty is a secret of CI that nobody made
        variables["PULUMI_CONFIG_PASSPHRASE"] = environment[own]
        return [f"passphrase in {own}"]
    if "PULUMI_CONFIG_PASSPHRASE" in environment or environment.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        own_word = settings.passphrases.get(stack)
        if own_word is None or own_word == environment.get("PULUMI_CONFIG_PASSPHRASE"):
            return []
        if not (found := salt()) or not _opens(own_word, found):
            return []
        variables["PULUMI_CONFIG_PASSPHRASE"] = own_word
        return [f"passphrase of {FILE}"]
    if stack in settings.passphrases:
        variables["PULUMI_CONFIG_PASSPHRASE"] = settings.passphrases[stack]
        return [f"passphrase of {FILE}"]
    if stack in settings.passphrase_files:
        file = root / Path(settings.passphrase_files[stack]).expanduser()
        variables["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(file)
        return [f"passphrase in {file} ({FILE})"]
    return []


def _parted(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The flags that matter here, and the words of the command."""
    from heliostat.cli.switches import WITH_VALUE

    flags: dict[str, str] = {}
    words: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        if argument == "--":
            words += waiting
            break
        if name in _FLAGS:
            flags[_FLAGS[name]] = value if equals else waiting.pop(0) if waiting else ""
        elif argument.startswith("-s") and not argument.startswith("--") and len(argument) > 2:
            flags["stack"] = argument[2:].removeprefix("=")
        elif argument in WITH_VALUE and waiting:
            waiting.pop(0)
        elif not argument.startswith("-"):
            words.append(argument)
    return flags, words


def _short(url: str, folder: Path) -> str:
    """A folder of state as people write it: relative where it lies below the present one."""
    path = Path(url.removeprefix("file://"))
    if not url.startswith("file://"):
        return url
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def invocation(arguments: Sequence[str], folder: Path) -> str:
    """How this command is called from the user's folder: `heliostat` where it is on PATH, else by its path."""
    flags, _ = _parted(arguments)
    called = Path(sys.argv[0])
    script = called if called.name == "heliostat" else Path(sys.executable).with_name("heliostat")
    on_path = shutil.which("heliostat")
    if on_path and script.exists() and Path(on_path).samefile(script):
        command = "heliostat"
    elif script.exists():
        absolute = Path(os.path.normpath(folder / script))
        command = shlex.quote(str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute))
    else:
        command = f"{shlex.quote(sys.executable)} -m heliostat.cli.main"
    return f"{command} -C {shlex.quote(flags['folder'])}" if flags.get("folder") else command
