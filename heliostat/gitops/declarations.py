"""What a tree of the repository declares of its workloads, as digests, and what is asked of it.

Apart from what reads it, which loads all that workloads import.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from heliostat.spec.base import Model

PARTS: Final = ("dataset", "training", "model", "application")
"""Of a workload, in the order in which one comes of the other."""


class DeclaredWorkload(Model):
    """The digest of what each part of a workload is made of; or, of one that cannot be read, why not."""

    parts: dict[str, str] = {}
    files: tuple[str, ...] = ()
    """What its parts are read from, below the tree."""
    mistake: str = ""


class DeclaredTree(Model):
    """All workloads of a tree, and the entry points that stacks name."""

    workloads: dict[str, DeclaredWorkload]
    entry_points: dict[str, str] = {}
    """The digest of each; empty of one that is not there."""


class Asked(Model):
    """What is to be read of trees."""

    entry_points: tuple[str, ...] = ()
    """Further ones, those of stacks' configs."""
    workloads: tuple[str, ...] | None = None
    """The names of the workloads, which may not all be there; None: all."""


def hash_of(*values: Any) -> str:
    """What tells values of JSON apart."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
