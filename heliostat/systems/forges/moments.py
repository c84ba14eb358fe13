"""When a comment was written, and whether somebody changed it since."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def moment(text: str) -> float:
    """Unix time of what forges write, as `2026-03-01T09:30:00Z`; 0 of what is no time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def was_edited(said: Mapping[str, Any]) -> bool:
    """Whether a comment or a note was changed after it was written: each forge has both times, to the same precision."""
    made, changed = str(said.get("created_at") or ""), str(said.get("updated_at") or "")
    return bool(changed) and moment(changed) != moment(made)
