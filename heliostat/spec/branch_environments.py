"""A branch's environment: what it is called, and what everything of its own on a shared platform is called. Pure.

A name is readable and ends with the digest of the branch, whole as git has it: `feature/x` and `feature-x` are read alike, and
are not alike. All begin alike, so that a job that may write branches' environments may write the state of nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from heliostat.spec.base import Model, Name, is_none

_LONGEST: Final = 40
"""Of a `Name`, which all that is made of one takes."""
PREFIX: Final = "env-"
"""What the name of each begins with, and that of no other stack: rights to a state in a bucket are given by it."""
_SLUG: Final = 16
_DIGEST: Final = 10
"""Characters of five bits: among a million branches two are alike once in two thousand times."""


class EnvironmentVerb(StrEnum):
    """What people order of an environment."""

    EXTEND = "extend"
    DOWN = "down"


class EnvironmentOrder(Model):
    """What somebody ordered of a branch's environment, for the audit log of the controller that it is on."""

    verb: EnvironmentVerb
    workloads: tuple[Name, ...]
    """What is in it: who may act on some workloads only may not order about others."""
    until: float | None = Field(default=None, exclude_if=is_none)
    """Until when it is to stay, Unix time."""
    reason: str = ""


class BranchEnvironment(Model):
    """Whose environment a stack is: applications, experiments and prefixes are called after it."""

    name: Name
    """What is put behind the name of each thing of its own; the stack's own name."""
    branch: Annotated[str, Field(min_length=1)]
    """The branch, as git names it."""


def environment_name(branch: str) -> str:
    """The name of a branch's environment, and of its stack: a `Name` of at most 31 characters, whatever git allows."""
    return f"{PREFIX}{_slug(branch)[:_SLUG].rstrip('-')}-{_digest(branch)}"


def name_in(environment: str, name: str) -> str:
    """What `name`, of an application or a batch prediction, is called in an environment: a `Name` again.

    What would be too long is shortened on both sides, and has a digest of both.
    """
    whole = f"{name}-{environment}"
    if len(whole) <= _LONGEST:
        return whole
    digest = _digest(f"{name}\0{environment}")
    half = (_LONGEST - _DIGEST - 2) // 2
    return f"{name[:half].rstrip('-')}-{environment[:half].rstrip('-')}-{digest}"


def experiment_in(environment: str, workload: str) -> str:
    """The experiment of MLflow that a workload's trainings in an environment are in."""
    return f"{workload}@{environment}"


def is_experiment_of(workload: str, experiment: str) -> bool:
    """Whether an experiment has trainings of a workload, in whichever environment."""
    return experiment == workload or experiment.startswith(f"{workload}@")


def _slug(branch: str) -> str:
    plain = unicodedata.normalize("NFKD", branch).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "branch"


def _digest(text: str) -> str:
    # Of a name that is no UTF-8 the reader makes no surrogates; whoever does is not turned away.
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(digest).decode().lower()[:_DIGEST]
