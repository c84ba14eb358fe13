"""How much a label counts that people gave to an answer which was chosen for a review: one over the chance of that. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def weigh(weights: dict[tuple[str, int], float], place: tuple[str, int], weight: float | None, is_known: bool) -> None:
    """Note how much a label counts, None for one that tells no weight: a row whose truth came by another way than a review
    as well counts as one.

    `is_known`: whether the row had a label before.
    """
    if weight is None:
        weights.pop(place, None)
    elif not is_known or place in weights:
        weights[place] = weight


def weight_of(row: Mapping[str, Any]) -> float | None:
    """One over the chance of a row among those that are logged; None where it says none that can be one."""
    weight, share = (_finite(row.get(name)) for name in ("weight", "logged"))
    if weight is None or weight <= 0:
        return None
    return weight * share if share is not None and 0 < share <= 1 else weight


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return number if math.isfinite(number) else None
