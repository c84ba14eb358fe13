"""What workloads of tests make of their columns."""

from __future__ import annotations

from typing import Any

import numpy as np


def named(columns: Any) -> dict[str, Any]:
    """A number for the colour, and the size beside its square."""
    size = np.asarray(columns["size"])
    return {
        "colour": np.array([{"red": 0.0, "blue": 1.0}.get(colour, -1.0) for colour in columns["colour"]]),
        "sizes": np.column_stack([size, size**2]),
        "logarithm": np.log(np.maximum(size, 0)),
    }


def fails(columns: Any) -> dict[str, Any]:
    """Never made for this."""
    return {"colour": columns["coulour"]}


def loses(columns: Any) -> dict[str, Any]:
    """Rows go."""
    return {"size": columns["size"][1:]}


def matrix(columns: Any) -> Any:
    """Nothing has a name."""
    return np.zeros((3, 2))
