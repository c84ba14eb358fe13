"""A stack's config file (`Pulumi.<stack>.yaml`): read, edited with its comments and order kept, decrypted for the program."""

from __future__ import annotations

import datetime
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from heliostat.engine.project import ConfigDeclaration, Project
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
    """The content of one stack's file. Nothing is written before `save`."""

    def __init__(self, file: Path, project: str) -> None:
        """Reads `file`, which may not exist yet; raises StackError where it is not what it should be."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        self.file = file
        self._project = project
        self._yaml = YAML()
        self._yaml.preserve_quotes = True
        self._yaml.width = 1 << 20  # a long line stays one
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        self._indent(text)
        try:
            self._content: Any = self._yaml.load(text)
        except YAMLError as error:
            raise StackError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
        self._head = text if self._content is None else ""  # a file of comments alone keeps them
        if self._content is None:
            self._content = {}
        if not isinstance(self._content, dict) or not isinstance(self._content.get("config") or {}, dict):
            raise StackError(f"{file} has to be a mapping, and `config` in it too")
        for key in ("secretsprovider", "environment"):
            if self._content.get(key) not in (None, "", "default", "passphrase"):
                raise StackError(f"{file}: the embedded engine has no `{key}`: use the official Pulumi CLI for this stack")

    def _indent(self, text: str) -> None:
        """Takes over how the file indents mappings and lists, so that untouched lines stay as they are."""
        nested = re.search(r"^(?:[^\s#-][^\n]*):[^\S\n]*\n(?:\s*#[^\n]*\n|\s*\n)*( +)[^\s#-]", text, re.MULTILINE)
        mapping = len(nested.group(1)) if nested else 2
        item = re.search(r"^( *)[^\s#-][^\n]*:[^\S\n]*\n(?:\s*#[^\n]*\n|\s*\n)*( *)- ", text, re.MULTILINE)
        offset = max(len(item.group(2)) - len(item.group(1)), 0) if item else mapping
        self._yaml.indent(mapping=mapping, sequence=offset + 2, offset=offset)

    @property
    def salt(self) -> str:
        """The stack's `encryptionsalt`; empty where it has none."""
        return str(self._content.get("encryptionsalt") or "")

    @salt.setter
    def salt(self, value: str) -> None:
        if "encryptionsalt" in self._content or not hasattr(self._content, "insert"):
            self._content["encryptionsalt"] = value
            return
        # at the top, but behind the comment there, which belongs to the first key
        position = len(self._content) if self._content.ca.comment else 0
        self._content.insert(position, "encryptionsalt", value)

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
        if not isinstance(self._content.get("config"), dict):
            self._content["config"] = {}
        holder, last = self._content["config"], self._written(key)
        for number, step in enumerate(path):
            inside = holder[last] if _has(holder, last) else None
            if not isinstance(inside, dict | list) or is_secure(inside):
                if inside is not None and number > 0:
                    said = as_text(revealed(inside, lambda _: "[secret]"))
                    raise StackError(f"{key}: {'.'.join(map(str, path[:number]))} is {said}, which has no {step!r} inside")
                inside = [] if isinstance(step, int) else {}
                _put(holder, last, inside, key)
                inside = holder[last]
            holder, last = inside, step
        _put(holder, last, value, key)

    def remove(self, key: str, path: Path_) -> bool:
        """Removes the value at `path` inside the full key; tells whether it was there."""
        holder, last = self._content.get("config") or {}, self._written(key)
        for step in path:
            if not _has(holder, last):
                return False
            holder, last = holder[last], step
        if not _has(holder, last):
            return False
        del holder[last]
        return True

    def _written(self, key: str) -> Any:
        """The key as the file has it, which may lack the namespace."""
        short = key.removeprefix(f"{self._project}:")
        return short if short in (self._content.get("config") or {}) else key

    def save(self) -> None:
        """Writes the file, atomically; raises StackError where it cannot."""
        text = StringIO()
        self._yaml.dump(self._content, text)
        head = self._head if not self._head or self._head.endswith("\n") else self._head + "\n"
        content = head + (text.getvalue() if self._content else "")
        temporary = Path()
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=f".{self.file.name}.")
            temporary = Path(name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(self.file.stat().st_mode & 0o777 if self.file.exists() else 0o644)
            temporary.replace(self.file)
        except OSError as error:
            if temporary.name:
                temporary.unlink(missing_ok=True)
            raise StackError(f"cannot write {self.file}: {error.strerror}. It is as it was before") from error


def _has(holder: Any, step: str | int) -> bool:
    if isinstance(holder, list):
        return isinstance(step, int) and 0 <= step < len(holder)
    return isinstance(holder, dict) and step in holder


def _put(holder: Any, step: Any, value: Any, key: str) -> None:
    if isinstance(holder, list):
        if not isinstance(step, int):
            raise StackError(f"{key}: a list takes a number, not {step!r}")
        if step > len(holder):
            raise StackError(f"{key}: the index {step} is beyond the list's end; the next one is {len(holder)}")
        if step == len(holder):
            holder.append(value)
            return
    elif isinstance(step, int):
        raise StackError(f"{key}: a mapping takes a name, not the number {step}")
    elif step == "secure" and not holder and isinstance(value, str):
        raise StackError(f"{key}: a mapping whose only key is `secure` is how secrets are written; use --secret")
    holder[step] = value


def with_defaults(values: Mapping[str, Any], project: Project, stack: str, *, required: bool) -> dict[str, Any]:
    """The stack's values and the project's defaults for those it lacks.

    With `required`, raises StackError that names every value which the project asks for and the stack lacks or has wrong.
    """
    merged = dict(values)
    mistakes = []
    for short, declared in project.config.items():
        key = full_key(short, project.name)
        if key in merged:
            mistakes += _mistakes(short, merged[key], declared)
        elif declared.default is not None:
            merged[key] = declared.default
        elif key.startswith(f"{project.name}:"):
            mistakes.append(f"{short}: missing; set it with `heliostat config set {short} VALUE`")
    if mistakes and required:
        raise StackError(f"the config of stack {stack!r} does not fit {project.file}:" + "".join(f"\n  {m}" for m in mistakes))
    return merged


def _mistakes(key: str, value: Any, declared: ConfigDeclaration) -> list[str]:
    if declared.secret and not has_secret(value):
        return [f"{key}: has to be a secret; set it with `heliostat config set --secret {key}`"]
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
