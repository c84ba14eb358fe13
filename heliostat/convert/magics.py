"""IPython's own lines in a cell: what becomes of `%magics`, `!shell` and `help?`."""

from __future__ import annotations

import ast
import shlex
from dataclasses import dataclass, field
from typing import Final

_SILENT: Final = frozenset({
    "matplotlib", "config", "load_ext", "reload_ext", "autoreload", "pylab", "who", "whos", "pinfo", "pinfo2",
    "precision", "xmode",
    "timeit", "pwd", "lsmagic", "watermark", "colors", "pprint", "history", "env",
})  # fmt: skip
"""Magics that change what is shown, and no value of the program."""
_WRAPPERS: Final = frozenset({"time", "timeit", "capture", "prun"})
"""Cell magics around Python that runs all the same."""
_PIP_FLAGS: Final = frozenset({"-q", "-qq", "--quiet", "-U", "--upgrade", "--user", "-y", "--no-cache-dir", "--pre"})


@dataclass(frozen=True)
class Magic:
    """What becomes of one line."""

    text: str
    is_open: bool = False
    """Whether a person has to say what it was for."""
    requirements: list[str] = field(default_factory=list)
    body: str | None = None
    """The Python inside of a cell magic."""


def transformed(text: str) -> str:
    """A cell as Python, with the same lines: IPython's own way, which knows a `%` inside of a text from a magic."""
    if not any(mark in text for mark in "%!?"):
        return text
    from IPython.core.inputtransformer2 import TransformerManager

    return str(TransformerManager().transform_cell(text))  # type: ignore[no-untyped-call]


def read(node: ast.stmt) -> Magic | None:
    """What becomes of a statement that is, or holds, an IPython line; None of any other."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and _is_shell(call.func.value):
            words = [str(each.value) for each in call.args if isinstance(each, ast.Constant)]
            return _read(call.func.attr, words, is_statement=isinstance(node, ast.Expr))
    return None


def _is_shell(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "get_ipython"


def _read(method: str, words: list[str], is_statement: bool) -> Magic:
    if method == "run_line_magic" and len(words) > 1:
        return _line(words[0], words[1], is_statement)
    if method == "run_cell_magic" and len(words) > 2:
        return _cell(*words[:3])
    if method in ("system", "getoutput", "getoutput_"):
        return _shell("!", words[0] if words else "")
    return Magic(f"`get_ipython().{method}` is IPython's alone, and left out: what is it for?", is_open=True)


def _line(name: str, rest: str, is_statement: bool) -> Magic:
    if name == "pip":
        return _pip("%pip", rest)
    if name == "time" and is_statement:
        return Magic("`%time` is left out, its statement stays", body=rest)
    if name in _SILENT and is_statement:
        return Magic(f"`%{name} {rest}`".replace(" `", "`") + " shows something and computes nothing: left out")
    if name in ("sx", "system"):
        return _shell("%", rest)
    return Magic(f"`%{name} {rest}` is IPython's alone, and left out: what is it for?", is_open=True)


def _cell(name: str, rest: str, body: str) -> Magic:
    if name in _WRAPPERS:
        return Magic(f"`%%{name}` is left out, its cell stays", body=body)
    return Magic(f"the cell `%%{name} {rest}` is no Python of this program, and left out: what is it for?", is_open=True)


def _shell(mark: str, command: str) -> Magic:
    words = command.split()
    if words[:2] in (["pip", "install"], ["pip3", "install"]):
        return _pip(f"{mark}{words[0]}", " ".join(words[1:]))
    return Magic(
        f"the shell line `{mark}{command}` is not run, and left out: what does it make that the rest needs?", is_open=True
    )


def _pip(mark: str, rest: str) -> Magic:
    words = shlex.split(rest, comments=True)
    packages = [word for word in words[1:] if not word.startswith("-")]
    flags = [word for word in words[1:] if word.startswith("-") and word not in _PIP_FLAGS]
    if words[:1] != ["install"] or flags or not packages:
        return Magic(f"`{mark} {rest}` cannot be read as a list of packages: which does the workload need?", is_open=True)
    return Magic(f"`{mark} {rest}` became a requirement: {', '.join(packages)}", requirements=packages)
