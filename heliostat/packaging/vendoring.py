"""Python sources under a namespace of another package: their imports of each other are rewritten, the rest stays as it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

__all__ = ["VendoringError", "moved"]


_LINE_ENDS: Final = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
"""Those of the parser, which knows fewer than `splitlines`."""


class VendoringError(ValueError):
    """A source cannot be moved; the text says which, and what to do."""


class _Edit(NamedTuple):
    begin: int
    end: int
    text: str


def moved(source: str, path: str, tops: Collection[str], namespace: str) -> str:
    """The source with all that it imports of the top-level packages `tops` taken from `namespace` instead.

    Relative imports stay: what they name is moved along. Modules that are imported by a name in a text are not seen.

    Raises:
        VendoringError: it does not parse.
    """
    try:
        tree = ast.parse(source, filename=path)
    except SyntaxError as error:
        raise VendoringError(f"{path}:{error.lineno}: {error.msg}: the file does not parse") from error
    starts = _starts(source)
    content = source.encode()
    for edit in sorted(_edits(tree, starts, tops, namespace), reverse=True):
        content = content[: edit.begin] + edit.text.encode() + content[edit.end :]
    return content.decode()


def _starts(source: str) -> list[int]:
    """Where each line begins, in bytes, as the parser counts columns."""
    starts = [0]
    for line in _LINE_ENDS.split(source):
        starts.append(starts[-1] + len(line.encode()))
    return starts


def _edits(tree: ast.AST, starts: list[int], tops: Collection[str], namespace: str) -> Iterator[_Edit]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and _top(node.module or "") in tops:
            text = _from_text(node, namespace)
        elif isinstance(node, ast.Import) and any(_top(alias.name) in tops for alias in node.names):
            text = "; ".join(part for alias in node.names for part in _import_texts(alias, tops, namespace))
        else:
            continue
        last = node.end_lineno or node.lineno
        yield _Edit(starts[node.lineno - 1] + node.col_offset, starts[last - 1] + (node.end_col_offset or 0), text)


def _from_text(node: ast.ImportFrom, namespace: str) -> str:
    return f"from {namespace}.{node.module} import {', '.join(_named(alias) for alias in node.names)}"


def _import_texts(alias: ast.alias, tops: Collection[str], namespace: str) -> Iterator[str]:
    top = _top(alias.name)
    if top not in tops:
        yield f"import {_named(alias)}"
    elif alias.asname is not None:
        yield f"import {namespace}.{alias.name} as {alias.asname}"
    else:
        # What the plain statement binds is the top-level package, with the module loaded below it.
        if alias.name != top:
            yield f"import {namespace}.{alias.name} as _"
        yield f"from {namespace} import {top}"


def _named(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _top(module: str) -> str:
    return module.partition(".")[0]
