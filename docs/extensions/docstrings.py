"""What docstrings are written in, made into reStructuredText: backticks hold code, sections are Google's, and the outputs of a
resource are listed. Napoleon as an extension would take what stands before a colon in an attribute's text for its type."""

from __future__ import annotations

import inspect
import re
from typing import Any

import click
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

from heliostat.resources.base import Resource
from heliostat.spec import model_resources, monitor_resources, platform_resources, serving_resources, training_resources
from heliostat.spec.describing import described

_CODE = re.compile(r"(?<!`)`([^`]+)`(?![`_])")
_BLOCK_INDENT = 4
_DEFAULTS = (
    (re.compile(r"\(\*args, \*\*kwargs\)"), ""),  # a protocol's, which nobody calls
    (re.compile(r", _\w+: \w+ = (<factory>|[\d.]+)"), ""),
    (re.compile(r"<class '([\w.]+)'>"), r"\1"),
    (re.compile(r"<factory>"), "..."),
)

_MODULES = (platform_resources, training_resources, model_resources, serving_resources, monitor_resources)
"""Have the inputs and outputs of resources."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", _python)
    app.connect("autodoc-process-signature", _signature)
    for part in ("description", "usage", "options", "arguments", "envvars", "epilog"):
        app.connect(f"sphinx-click-process-{part}", _command)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _python(app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = _marked(lines)
    if kind not in ("attribute", "data", "property"):
        lines[:] = GoogleDocstring(lines, Config(), app, kind, name, thing, options).lines()
    if kind == "class" and inspect.isclass(thing) and issubclass(thing, Resource) and thing.outputs:
        lines += _outputs(thing)


def _command(_: Sphinx, __: click.Context, lines: list[str]) -> None:
    lines[:] = [_code(line) for line in lines]


def _signature(*told: Any) -> tuple[str | None, str | None]:
    """A signature without private parameters, whose defaults are Python: others would leave its types as raw text."""
    signature, returns = told[-2:]
    for pattern, text in _DEFAULTS if signature else ():
        signature = pattern.sub(text, signature)
    return signature, returns


def _marked(lines: list[str]) -> list[str]:
    """Code in two backticks, and what is indented below a paragraph as a block of code."""
    marked = [_code(line) for line in lines]
    for number, (line, between, below) in reversed([*enumerate(zip(marked, marked[1:], marked[2:], strict=False))]):
        if line.strip() and not between.strip() and below.strip() and _indent(below) - _indent(line) >= _BLOCK_INDENT:
            marked[number : number + 1] = [f"{line}:"] if line.endswith(":") else [line, "", f"{line[: _indent(line)]}::"]
    return marked


def _code(line: str) -> str:
    return _CODE.sub(r"``\1``", line)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _outputs(resource: type[Resource]) -> list[str]:
    """Every output that the plugin makes, as its model says."""
    name = f"{resource.__name__}Outputs"
    model: type[BaseModel] = next(found for each in _MODULES if (found := getattr(each, name, None)) is not None)
    texts = described(model)
    lines = ["", "Outputs, each as ``resource.output(name)`` and most as a property:", ""]
    for name in resource.outputs:
        text = _code(" ".join(texts.get(name, "").split()))
        lines.append(f"- ``{name}``: {text}" if text else f"- ``{name}``")
    return [*lines, ""]
