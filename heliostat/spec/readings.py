"""How far a source of rows was read for a snapshot: what comes after that is new to a model of it."""

from __future__ import annotations

from pydantic import Field

from heliostat.spec.base import Digest, Model, is_none


class Reading(Model):
    """What of a source was there when a snapshot was made of it."""

    source: Digest
    """Of the source, which tells it from another one."""
    rows: int = 0
    """Of files: how many they had."""
    size: int = 0
    """Of files: in bytes, all together."""
    cursor: int | float | str | None = Field(default=None, exclude_if=is_none)
    """Of a query: the last one."""
    again: int = 0
    """Of a query: how many labelled rows there were from where the next run looks again."""
    later: int = 0
    """Labelled rows that were read and left out, for they happened at the moment up to which rows are taken, or after it."""
