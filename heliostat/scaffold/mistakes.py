"""What is wrong with what somebody asks for, all of it; pure."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterator
from typing import Final, get_args

from pydantic import StringConstraints

from heliostat.scaffold.rendering import KINDS, module_of
from heliostat.spec.base import Name

_PATTERN: Final = next(each.pattern for each in get_args(Name) if isinstance(each, StringConstraints))
_SHOWN: Final = 5
KEPT: Final = frozenset({".git", ".venv"})
"""What may lie in a folder that is to become a repository."""
_OUTPUTS: Final = frozenset({"platform"})
"""Outputs of every stack, beside which each workload has one of its own name."""


def of_repository(name: str, kind: str, there: Collection[str], directory: str) -> list[str]:
    """Why no repository called `name` can be made in a folder that holds what is `there`."""
    found = [*_of_name("project", name, "give it another with --name"), *_of_kind(kind)]
    if held := sorted(set(there) - KEPT):
        more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
        found.append(
            f"{directory} is not empty, it holds {', '.join(held[:_SHOWN])}{more}: name another folder, or empty this one"
        )
    return found


def of_workload(name: str, kind: str, there: Collection[str], config: str, declared: Collection[str]) -> list[str]:
    """Why no workload called `name` can be added where some of its files, or its section in a `config`, are there."""
    found = [*_of_name("workload", name, "choose another"), *_of_kind(kind)]
    if name in _OUTPUTS:
        found.append(f"the workload cannot be called {name!r}: every stack has an output of that name; choose another")
    if keyword.iskeyword(module_of(name)):
        found.append(f"the workload cannot be called {name!r}: Python has that word to itself; choose another")
    found += [f"{path} is there already: choose another name, or delete it" for path in sorted(there)]
    if name in declared:
        found.append(f"{config} has a workload {name!r} already: choose another name, or delete its section")
    return found


def _of_name(what: str, name: str, fix: str) -> Iterator[str]:
    if not re.fullmatch(str(_PATTERN), name):
        yield (
            f"the {what} cannot be called {name!r}: it takes lower-case letters, digits and dashes, at most 40, begins with a "
            f"letter and does not end with a dash; {fix}"
        )


def _of_kind(kind: str) -> Iterator[str]:
    if kind not in KINDS:
        yield f"there is no kind {kind!r} of workload; there are: {', '.join(KINDS)}"
