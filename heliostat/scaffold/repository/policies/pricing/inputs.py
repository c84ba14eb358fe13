# Made by scripts/policy_prices.py of heliostat/pricing: change it there.
"""Reads a resource's inputs, any of which may be missing, secret or not known yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(inputs: Any, *path: str | int) -> str | None:
    """The text at a path; None where none is known there."""
    found = at(inputs, *path)
    # An engine has its own stand-in for what is not known yet; it is no name of anything.
    return found if isinstance(found, str) and found and not _is_stand_in(found) else None


def number(inputs: Any, *path: str | int) -> float | None:
    """The number at a path; None where none is known there."""
    found = at(inputs, *path)
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def flag(inputs: Any, *path: str | int) -> bool:
    """Whether what stands at a path is true."""
    return at(inputs, *path) is True


def at(inputs: Any, *path: str | int) -> Any:
    """What stands at a path; None where nothing does."""
    found = inputs
    for key in path:
        if isinstance(found, Mapping) and isinstance(key, str):
            found = found.get(key)
        elif isinstance(found, (list, tuple)) and isinstance(key, int) and key < len(found):
            found = found[key]
        else:
            return None
    return found


def _is_stand_in(value: str) -> bool:
    return len(value) == 36 and value.count("-") == 4
