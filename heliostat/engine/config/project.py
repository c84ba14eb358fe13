"""The project file (Pulumi.yaml): which program, which plugins, which options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliostat.engine.stackerrors import NotFoundError, StackError

_FILES = ("Pulumi.yaml", "Pulumi.yml")
_NAME = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True)
class ConfigDeclaration:
    """What the project file says of one config key; without a default a value is required."""

    type: str = ""
    default: Any = None
    secret: bool = False


@dataclass(frozen=True)
class Project:
    """A project file, read and checked. `root` is its folder; the other folders are absolute."""

    file: Path
    root: Path
    name: str
    main: Path
    config_folder: Path
    runtime_options: Mapping[str, Any] = field(default_factory=dict)
    plugins: Mapping[str, Path] = field(default_factory=dict)
    refresh_always: bool = False
    backend_url: str = ""
    config: Mapping[str, ConfigDeclaration] = field(default_factory=dict)

    def stack_file(self, stack: str) -> Path:
        """Where the stack's config is: `Pulumi.<stack>.yaml`."""
        return self.config_folder / f"Pulumi.{stack}{self.file.suffix}"


def find(start: Path) -> Path:
    """The project file in `start` or the nearest folder above it; raises NotFoundError where there is none."""
    for folder in (start, *start.parents):
        for name in _FILES:
            if (folder / name).is_file():
                return folder / name
    raise NotFoundError(f"no Pulumi.yaml in {start} or any folder above it: run this in a project, or name one with -C")


def load(file: Path) -> Project:
    """Reads a project file; raises StackError with every mistake in it."""
    said = read_yaml(file)
    root = file.parent
    mistakes: list[str] = []

    def take(path: str, kind: type | tuple[type, ...], otherwise: Any) -> Any:
        value: Any = said
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return otherwise
        if not isinstance(value, kind):
            mistakes.append(f"{path}: {value!r} is a {type(value).__name__}")
            return otherwise
        return value

    name = take("name", str, "")
    if not _NAME.fullmatch(name):
        mistakes.append(f"name: {name!r} has to be letters, digits, `-`, `_` and `.`, at most 100 of them")
    runtime = take("runtime", (str, dict), "")
    language = runtime if isinstance(runtime, str) else runtime.get("name", "")
    if language != "python":
        mistakes.append(f"runtime: the embedded engine runs `python`, not {language!r}: use the official Pulumi CLI")
    options = take("runtime.options", dict, {}) if isinstance(runtime, dict) else {}
    refresh = take("options.refresh", str, "")
    if refresh not in {"", "always"}:
        mistakes.append(f"options.refresh: {refresh!r} has to be `always`, or left out")
    plugins = _plugins(take("plugins.providers", list, []), root, mistakes)
    declared = _declarations(take("config", dict, {}), mistakes)
    project = Project(
        file=file,
        root=root,
        name=name,
        main=(root / take("main", str, ".")).resolve(),
        config_folder=root / take("stackConfigDir", str, "."),
        runtime_options=options,
        plugins=plugins,
        refresh_always=refresh == "always",
        backend_url=rooted(take("backend.url", str, ""), root),
        config=declared,
    )
    if mistakes:
        raise StackError(f"{file} has mistakes:" + "".join(f"\n  {mistake}" for mistake in mistakes))
    return project


def rooted(url: str, root: Path) -> str:
    """A backend's URL whose folder, where it is relative, is one of the project: the same from wherever a command runs."""
    path = url.removeprefix("file://")
    if not url.startswith("file://") or path.startswith(("/", "~")):
        return url
    return f"file://{(root / path).resolve()}"


def _plugins(said: list[Any], root: Path, mistakes: list[str]) -> dict[str, Path]:
    found = {}
    for number, entry in enumerate(said):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not isinstance(entry.get("path"), str):
            mistakes.append(f"plugins.providers[{number}]: needs a `name` and a `path`")
            continue
        found[entry["name"]] = (root / entry["path"]).resolve()
    return found


def _declarations(said: dict[str, Any], mistakes: list[str]) -> dict[str, ConfigDeclaration]:
    found = {}
    for key, entry in said.items():
        if not isinstance(entry, dict):  # the short form is the value itself
            found[str(key)] = ConfigDeclaration(default=entry)
            continue
        kind = entry.get("type", "")
        if kind not in {"", "string", "boolean", "integer", "array", "object"}:
            mistakes.append(f"config.{key}.type: {kind!r} has to be string, boolean, integer, array or object")
        default = entry.get("default", entry.get("value"))
        found[str(key)] = ConfigDeclaration(kind, default, bool(entry.get("secret")))
    return found


def read_yaml(file: Path) -> dict[str, Any]:
    """A YAML mapping as plain values; empty for an empty file. Raises StackError, naming file and line, for anything else."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        said = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{file} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"cannot read {file}: {error}") from error
    except YAMLError as error:
        raise StackError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    if said is None:
        return {}
    if not isinstance(said, dict):
        raise StackError(f"{file} has to be a YAML mapping, not a {type(said).__name__}")
    return said
