"""One check's result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What it means for the next `up`."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    """`up` works, and something will not be as it might."""
    ERROR = "error"
    """`up` will not come to its end."""


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    check: str
    level: Level
    detail: str
    fix: str = ""
    """What to do; empty where there is nothing to."""
