"""Policy packs as folders and files say them: what a pack is, and what its config comes to; nothing is started here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from heliostat.engine.errors import EngineError

DESCRIPTION = "PulumiPolicy.yaml"
ALL = "all"
"""In a config: every policy of the pack, for the level alone."""
Level = Literal["advisory", "mandatory", "disabled", "remediate"]
LEVELS: tuple[Level, ...] = ("advisory", "mandatory", "disabled", "remediate")
"""How much a violation counts, in the order of the protocol's numbers."""
_CLI = "use the official CLI for this pack"


@dataclass(frozen=True)
class PolicyPack:
    """A pack to run: its folder, and the JSON file of its config (None: as the pack has it)."""

    folder: Path
    config: Path | None = None


@dataclass(frozen=True)
class PackProject:
    """What `PulumiPolicy.yaml` says; `options` are those of its Python runtime."""

    folder: Path
    version: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def virtualenv(self) -> Path | None:
        """Its own virtual environment, which need not be there yet; None where it runs in this one."""
        name = self.options.get("virtualenv")
        return self.folder / str(name) if name else None


@dataclass(frozen=True)
class Setting:
    """The config of one policy; a level of None leaves it as it is."""

    level: Level | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """What a pack says of one of its policies; `properties` is a JSON Schema a property of its config."""

    name: str
    level: Level
    properties: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    severity: str = ""


def read(folder: Path) -> PackProject:
    """The pack in a folder. Raises EngineError where there is none that can be run here."""
    file = folder / DESCRIPTION
    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise EngineError(f"no policy pack in {folder}: there is no {file.name}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EngineError(f"cannot read {file}: {error}") from None
    runtime = said.get("runtime") if isinstance(said, dict) else None
    name, options = (runtime.get("name"), runtime.get("options") or {}) if isinstance(runtime, dict) else (runtime, {})
    if name != "python":
        raise EngineError(
            f"the policy pack in {folder} has runtime {name!r}, and the embedded engine runs Python packs only; {_CLI}"
        )
    if options.get("toolchain", "pip") != "pip":
        raise EngineError(
            f"the policy pack in {folder} has toolchain {options['toolchain']!r}, and the embedded engine knows pip only; "
            f"{_CLI}"
        )
    if not (folder / "__main__.py").is_file():
        raise EngineError(f"the policy pack in {folder} cannot be run: there is no {folder / '__main__.py'}")
    return PackProject(folder, str(said.get("version") or ""), options)


def read_config(file: Path) -> dict[str, Setting]:
    """A pack's config by the names of its policies; an empty file says nothing. Raises EngineError with every mistake."""
    try:
        text = file.read_text(encoding="utf-8")
        said = json.loads(text) if text.strip() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"cannot read the policy pack's config {file}: {error}") from None
    except json.JSONDecodeError as error:
        raise EngineError(f"the policy pack's config {file} is not valid JSON: {error}") from None
    if not isinstance(said, dict):
        raise EngineError(f"the policy pack's config {file} has to be an object, by the names of the policies")
    found, mistakes = dict[str, Setting](), list[str]()
    for name, value in said.items():
        setting = _setting(name, value)
        if isinstance(setting, str):
            mistakes.append(setting)
        else:
            found[name] = setting
    _raise(mistakes, f"the policy pack's config {file}")
    return found


def _setting(name: str, value: Any) -> Setting | str:
    """The config of one policy, or what is wrong with it."""
    if name == "environments":
        return "environments: these are Pulumi Cloud's, and the embedded engine speaks to no service: leave it out"
    properties = {"enforcementLevel": value} if isinstance(value, str) else value
    if not isinstance(properties, dict):
        return f"{name}: {value!r} is neither a level ({', '.join(LEVELS)}) nor an object"
    level = properties.get("enforcementLevel")
    if level is not None and level not in LEVELS:
        return f"{name}: {level!r} is no enforcement level; there are {', '.join(LEVELS)}"
    rest = {key: one for key, one in properties.items() if key != "enforcementLevel"}
    if name == ALL and rest:
        return f"{ALL}: only a level can be given for all policies, and {', '.join(sorted(rest))} is none"
    return Setting(cast("Level | None", level), rest)


def reconciled(
    policies: Iterable[Policy], initial: Mapping[str, Setting], given: Mapping[str, Setting], where: str
) -> dict[str, Setting]:
    """The config that a pack is to have: its schemas' defaults, what its code says (`initial`), then what was given.

    Raises EngineError with everything that the schemas reject, and with every policy that there is not; `where` names the
    config.
    """
    known = {policy.name: policy for policy in policies}
    mistakes = [
        f"{name}: the pack has no such policy; it has {', '.join(sorted(known))}"
        for name in given
        if name != ALL and name not in known
    ]
    found = {}
    for name, policy in known.items():
        setting = Setting(policy.level, {key: one["default"] for key, one in policy.properties.items() if "default" in one})
        for layer in (initial, given):
            for one in (layer.get(ALL), layer.get(name)):
                setting = _over(setting, one) if one else setting
        found[name] = setting
        mistakes += _rejected(policy, setting)
    _raise(mistakes, where)
    return found


def _over(below: Setting, above: Setting) -> Setting:
    return Setting(above.level or below.level, {**below.properties, **above.properties})


def _rejected(policy: Policy, setting: Setting) -> list[str]:
    """What a policy's schema says against its config."""
    from jsonschema import Draft7Validator  # a tenth of a second, for stacks with packs alone

    schema = {"type": "object", "properties": dict(policy.properties), "required": list(policy.required)}
    errors = Draft7Validator(schema).iter_errors(dict(setting.properties))
    return [f"{policy.name}: {''.join(f'{part}: ' for part in error.path)}{error.message}" for error in errors]


def _raise(mistakes: list[str], where: str) -> None:
    if mistakes:
        raise EngineError(f"{where} has mistakes:" + "".join(f"\n  {one}" for one in sorted(mistakes)))
