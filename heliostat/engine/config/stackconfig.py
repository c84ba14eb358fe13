"""A stack's config file (`Pulumi.<stack>.yaml`): read, edited with its comments and order kept, decrypted for the program."""

from __future__ import annotations

import datetime
import json
import os
import re
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heliostat.engine.config import yamledit
from heliostat.engine.config.project import ConfigDeclaration, Project
from heliostat.engine.stackerrors import StackError

Path_ = list[str | int]
"""The steps from a config key to a value inside it."""


def full_key(key: str, project: str) -> str:
    """`namespace:name` of a key as a user writes it; raises StackError where it is malformed."""
    parts = key.split(":")
    if len(parts) == 3 and parts[1] == "config":  # an old form of the CLI's
        parts = [parts[0], parts[2]]
    if len(parts) == 1:
        parts = [project, parts[0]]
    if len(parts) != 2 or not all(parts):
        raise StackError(f"invalid configuration key {key!r}: it has to be NAME or NAMESPACE:NAME")
    return ":".join(parts)


_STEP = re.compile(r'\.?([^.\[\]"]+)|\[(\d+)\]|\.?\["((?:[^"\\]|\\.)*)"\]')


def parse_path(path: str) -> Path_:
    """The steps of `a.b[0]["c.d"]`; raises StackError where it is malformed."""
    steps: Path_ = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or (at == 0 and path[0] == "."):
            raise StackError(f'invalid configuration path {path!r}, at {path[at:]!r}: write it like outer.inner[0]["a.b"]')
        name, index, quoted = found.groups()
        steps.append(int(index) if index is not None else name if name is not None else re.sub(r"\\(.)", r"\1", quoted))
        at = found.end()
    if not steps or isinstance(steps[0], int):
        raise StackError(f"invalid configuration path {path!r}: it has to begin with a name")
    return steps


def coerced(text: str) -> bool | int | str:
    """A value for inside an object: `true`, `false` and whole numbers are themselves, everything else is text."""
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text) else text


def is_secure(value: Any) -> bool:
    """Whether this value itself is a secret: `{secure: …}`."""
    return isinstance(value, dict) and list(value) == ["secure"] and isinstance(value["secure"], str)


def has_secret(value: Any) -> bool:
    """Whether a secret is anywhere inside."""
    if is_secure(value):
        return True
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(has_secret(item) for item in inside)


def revealed(value: Any, reveal: Callable[[str], str]) -> Any:
    """The value with every `{secure: …}` inside made plain by `reveal`."""
    if is_secure(value):
        return reveal(value["secure"])
    if isinstance(value, dict):
        return {str(name): revealed(item, reveal) for name, item in value.items()}
    if isinstance(value, list):
        return [revealed(item, reveal) for item in value]
    return str(value) if isinstance(value, datetime.date) else value


def as_text(value: Any) -> str:
    """A plain value as the program reads it: text as it is, everything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


class StackConfig:
    """The content of one stack's file. Nothing is written before `save`, and then nothing but what was set or removed."""

    def __init__(self, file: Path, project: str) -> None:
        """Reads `file`, which may not exist yet; raises StackError where it is not what it should be."""
        self.file = file
        self._project = project
        self._text = _read(file)
        self._content = self._checked()

    def _checked(self) -> dict[str, Any]:
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            content = yamledit.load(self._text)
        except YAMLError as error:
            mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
            place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
            said = getattr(error, "problem", None) or " ".join(str(error).split())
            raise StackError(f"{self.file}{place} is not valid YAML: {said}") from error
        if content is None:
            return {}
        if not isinstance(content, dict):
            raise StackError(f"{self.file} has to be a mapping (`config:` and keys below it), not {_named(content)}")
        inside = content.get("config")
        if inside is not None and not isinstance(inside, dict):
            raise StackError(f"{self.place('config')} has to be a mapping of keys to values, not {_named(inside)}")
        for key in ("secretsprovider", "environment"):
            if content.get(key) not in (None, "", "default", "passphrase"):
                raise StackError(
                    f"{self.place(key)}: the embedded engine has no `{key}`: use the official Pulumi CLI for this stack"
                )
        return content

    def place(self, *path: str | int) -> str:
        """`file:line:column` of what stands at a path of the file (`config`, key, …); the file alone where nothing does."""
        found = yamledit.position(self._text, path)
        return f"{self.file}:{found[0]}:{found[1]}" if found else str(self.file)

    def place_of(self, key: str, path: Path_ | None = None) -> str:
        """`file:line:column` of a value by its full key."""
        return self.place("config", self._written(key), *(path or ()))

    @property
    def salt(self) -> str:
        """The stack's `encryptionsalt`; empty where it has none."""
        return str(self._content.get("encryptionsalt") or "")

    @salt.setter
    def salt(self, value: str) -> None:
        # at the top, but not before a comment there, which belongs to the first key
        if self._content and "encryptionsalt" not in self._content and re.match(r"[A-Za-z'\"]", self._text):
            newline = "\r\n" if "\r\n" in self._text else "\n"
            self._change(f"encryptionsalt: {value}{newline}{self._text}")
        else:
            self._edit(lambda: yamledit.put(self._text, ("encryptionsalt",), value), "encryptionsalt")

    @property
    def values(self) -> dict[str, Any]:
        """Every value by its full key, secrets as `{secure: …}`."""
        return {full_key(str(key), self._project): value for key, value in (self._content.get("config") or {}).items()}

    def plain_values(self) -> dict[str, Any]:
        """`values` free of everything that belongs to the file's form, for JSON; secrets stay encrypted."""
        return {key: json.loads(json.dumps(value, default=str)) for key, value in self.values.items()}

    def get(self, key: str, path: Path_) -> Any:
        """The value at `path` inside the full key; raises KeyError where there is none."""
        value = self.values[key]
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                raise KeyError(key) from None
        return value

    def set(self, key: str, path: Path_, value: Any) -> None:
        """Sets the value at `path` inside the key, making what holds it; raises StackError where something else is there."""
        written = self._written(key)
        _refuse(key, self.values.get(key), path, value)
        if is_secure(self.values.get(key)) and path:  # a secret as a whole makes room for what holds something
            self._edit(lambda: yamledit.put(self._text, ("config", written), None), key)
        self._edit(lambda: yamledit.put(self._text, ("config", written, *path), value), key)

    def remove(self, key: str, path: Path_) -> bool:
        """Removes the value at `path` inside the full key; tells whether it was there."""
        try:
            self.get(key, path)
        except KeyError:
            return False
        self._edit(lambda: yamledit.drop(self._text, ("config", self._written(key), *path)), key)
        return True

    def _edit(self, make: Callable[[], str], key: str) -> None:
        try:
            self._change(make())
        except yamledit.EditError as error:
            raise StackError(f"{key} cannot be changed in {self.file}: {error}; edit it by hand") from None

    def _change(self, text: str) -> None:
        self._text = text
        self._content = yamledit.load(text) or {}

    def _written(self, key: str) -> Any:
        """The key as the file has it, which may lack the namespace."""
        short = key.removeprefix(f"{self._project}:")
        return short if short in (self._content.get("config") or {}) else key

    def save(self) -> None:
        """Writes the file, atomically; raises StackError where it cannot."""
        temporary = Path()
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=f".{self.file.name}.")
            temporary = Path(name)
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(self._text)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(self.file.stat().st_mode & 0o777 if self.file.exists() else 0o644)
            temporary.replace(self.file)
        except OSError as error:
            if temporary.name:
                temporary.unlink(missing_ok=True)
            raise StackError(f"cannot write {self.file}: {error.strerror}. It is as it was before") from error


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode() if file.exists() else ""
    except UnicodeDecodeError as error:
        raise StackError(f"{file} is not UTF-8 text ({error}): save it as UTF-8") from error
    except OSError as error:
        raise StackError(f"cannot read {file}: {error.strerror}") from error


def _named(value: Any) -> str:
    """What a value is, in words of YAML."""
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"{as_text(revealed(value, lambda _: '[secret]'))!r}"


def _refuse(key: str, held: Any, path: Path_, value: Any) -> None:
    """Raises StackError where `value` cannot stand at `path` inside what the key holds."""
    for number, step in enumerate(path):
        if held is None or (is_secure(held) and number == 0):
            held = [] if isinstance(step, int) else {}
        elif not isinstance(held, dict | list) or is_secure(held):
            said = as_text(revealed(held, lambda _: "[secret]"))
            raise StackError(f"{key}: {'.'.join(map(str, path[:number]))} is {said}, which has no {step!r} inside")
        if isinstance(held, list):
            if not isinstance(step, int):
                raise StackError(f"{key}: a list takes a number, not {step!r}")
            if step > len(held):
                raise StackError(f"{key}: the index {step} is beyond the list's end; the next one is {len(held)}")
            held = held[step] if step < len(held) else None
        else:
            if isinstance(step, int):
                raise StackError(f"{key}: a mapping takes a name, not the number {step}")
            if step == "secure" and not held and isinstance(value, str) and number + 1 == len(path):
                raise StackError(f"{key}: a mapping whose only key is `secure` is how secrets are written; use --secret")
            held = held.get(step)


def with_defaults(config: StackConfig, project: Project, stack: str, *, required: bool) -> dict[str, Any]:
    """The stack's values and the project's defaults for those it lacks.

    With `required`, raises StackError that names every value which the project asks for and the stack lacks or has wrong.
    """
    merged, usual = config.values, config.file == project.stack_file(stack)
    where = "" if usual else f" --config-file {shlex.quote(str(config.file))}"
    mistakes = []
    for short, declared in project.config.items():
        key = full_key(short, project.name)
        if key in merged:
            mistakes += [f"{config.place_of(key)}: {one}" for one in _mistakes(short, merged[key], declared, where)]
        elif declared.default is not None:
            merged[key] = declared.default
        elif key.startswith(f"{project.name}:"):
            mistakes.append(f"{config.file}: {short}: missing; set it with `heliostat config set {short} VALUE{where}`")
    if mistakes and required:
        raise StackError(f"the config of stack {stack!r} does not fit {project.file}:" + "".join(f"\n  {m}" for m in mistakes))
    return merged


def _mistakes(key: str, value: Any, declared: ConfigDeclaration, where: str) -> list[str]:
    if declared.secret and not has_secret(value):
        return [f"{key}: has to be a secret; set it with `heliostat config set --secret {key}{where}`"]
    if is_secure(value):
        return []
    fits = {
        "integer": (isinstance(value, int) and not isinstance(value, bool)) or bool(re.fullmatch(r"-?\d+", str(value))),
        "boolean": isinstance(value, bool) or value in ("true", "false"),
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
        "string": not isinstance(value, list | dict),
    }
    if declared.type and not fits[declared.type]:
        return [f"{key}: {as_text(value)} is no {declared.type}"]
    return []
