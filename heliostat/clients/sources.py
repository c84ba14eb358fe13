"""The files of a client package, from a contract. Pure but for the reading of what is copied."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from heliostat.ml.contracts import Contract
from heliostat.serving.grpc.definition import descriptor_of
from heliostat.serving.grpc.shapes import FieldForm, MessageShape, shapes_of
from heliostat.spec.base import Name
from heliostat.spec.proto import Definition

_RUNTIME: Final = Path(__file__).parent / "runtime"
_CALLS: Final = ("calls.py", "messages.py")
"""Of the runtime, what a package without calls has no use for."""


@dataclass(frozen=True)
class ClientPackage:
    """What a client package is made of."""

    application: Name
    contract: Contract[Any, Any]
    most_rows: int
    """Of one request."""
    version: str = ""
    """By PEP 440; by default `1.0.0` with the digest of the contract's schema."""
    definition: Definition | None = None
    """For gRPC; None where the package has no such client."""

    @property
    def module(self) -> str:
        """The package's name in Python."""
        return f"{self.application.replace('-', '_')}_client"

    def schema(self) -> tuple[dict[str, Any], str, str]:
        """The JSON Schema of the contract's types, and the names in it of a row and of an answer."""
        pairs: Any = [(self.contract.row, "validation"), (self.contract.answer, "serialization")]
        places, schema = models_json_schema(pairs, title=f"{self.contract.title} types")
        row, answer = (str(places[pair]["$ref"]).rpartition("/")[2] for pair in pairs)
        return schema, row, answer

    @property
    def pep440(self) -> str:
        """The package's version."""
        schema = json.dumps(self.schema()[0], sort_keys=True).encode()
        return self.version or f"1.0.0+{hashlib.sha256(schema).hexdigest()[:12]}"


def files_of(package: ClientPackage, models: str) -> dict[str, str]:
    """The sources by path; `models`: the text of the module with the contract's types."""
    folder, found = package.module, {"pyproject.toml": _project(package), "README.md": _readme(package)}
    found[f"{folder}/py.typed"] = ""
    found[f"{folder}/models.py"] = models
    schema, row, answer = package.schema()
    found[f"{folder}/schema.json"] = json.dumps(schema, indent=2) + "\n"
    title = package.contract.title.replace("\\", "/").replace('"', "'")
    names = {"row": class_name(row), "answer": class_name(answer), "most_rows": package.most_rows, "title": title}
    found[f"{folder}/__init__.py"] = _INIT.format(**names)
    if package.definition is not None:
        found[f"{folder}/grpc.py"] = _GRPC.format(**names, **_calls(package.contract, package.definition))
    for path in sorted(_RUNTIME.glob("*.py")):
        if package.definition is not None or path.name not in _CALLS:
            found[f"{folder}/_runtime/{path.name}"] = path.read_text(encoding="utf-8")
    return found


def class_name(name: str) -> str:
    """The class that a definition of JSON Schema becomes."""
    return re.sub(r"\W+(\w)", lambda found: found[1].upper(), name).replace("-", "")


def _calls(contract: Contract[Any, Any], definition: Definition) -> dict[str, str]:
    row, answer = shapes_of(contract)
    return {
        "package": definition.package,
        "descriptor": pformat(descriptor_of(definition).hex(), width=100),
        "row_fields": pformat(fields_of(row), width=110, sort_dicts=False),
        "answer_fields": pformat(fields_of(answer), width=110, sort_dicts=False),
    }


def fields_of(shape: MessageShape) -> dict[str, Any]:
    """How fields stand in their message, as a client's `messages` read it."""
    found: dict[str, Any] = {}
    for field in shape.fields:
        more: list[Any] = [fields_of(field.message)] if field.message else []
        more += [field.datatype] if field.form is FieldForm.TENSOR else []
        found[field.json] = [field.name, str(field.form), *more]
    return found


def _project(package: ClientPackage) -> str:
    grpc = '\n[project.optional-dependencies]\ngrpc = ["grpcio>=1.60", "protobuf>=5"]\n' if package.definition else ""
    return _PROJECT.format(
        name=package.module.replace("_", "-"), version=package.pep440, module=package.module, grpc=grpc,
        description=json.dumps(f"Asks the application {package.application} for predictions: {package.contract.title}."),
    )  # fmt: skip


def _readme(package: ClientPackage) -> str:
    _, row, answer = package.schema()
    return _README.format(
        name=package.module.replace("_", "-"), module=package.module, application=package.application,
        row=class_name(row), answer=class_name(answer), description=package.contract.description,
    )  # fmt: skip


_PROJECT: Final = """\
[project]
name = "{name}"
version = "{version}"
description = {description}
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["httpx>=0.27", "pydantic>=2.7,<3"]
{grpc}
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["{module}"]
"""

_README: Final = """\
# {name}

{description}

    from {module} import Client, {row}

    with Client("http://127.0.0.1:8080/{application}") as client:
        answer = client.predict({row}(...))       # a {answer}

Made of the application's contract by `heliostat client`.
"""

_INIT: Final = '''\
"""{title}: a client, made of the application's contract."""

from __future__ import annotations

from . import models as models
from ._runtime.errors import ClientError, FailedError, RejectedError, UnavailableError
from ._runtime.exchange import Retries
from ._runtime.http import AsyncClient as _AsyncClient
from ._runtime.http import SyncClient as _SyncClient
from .models import {answer}, {row}

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "FailedError",
    "RejectedError",
    "Retries",
    "UnavailableError",
    "{answer}",
    "{row}",
    "models",
]


class Client(_SyncClient[{row}, {answer}]):
    """Asks the application, and waits."""

    answer = {answer}
    most_rows = {most_rows}


class AsyncClient(_AsyncClient[{row}, {answer}]):
    """Asks the application from asyncio."""

    answer = {answer}
    most_rows = {most_rows}
'''

_GRPC: Final = '''\
"""{title}: a client over gRPC; it needs the extra `grpc`."""

from __future__ import annotations

from ._runtime.calls import CallClient as _CallClient
from .models import {answer}, {row}

__all__ = ["CallClient"]

_DESCRIPTOR = (
    {descriptor}
)


class CallClient(_CallClient[{row}, {answer}]):
    """Asks the application by calls, and waits."""

    answer = {answer}
    most_rows = {most_rows}
    package = "{package}"
    descriptor = bytes.fromhex(_DESCRIPTOR)
    row_fields = {row_fields}
    answer_fields = {answer_fields}
'''
