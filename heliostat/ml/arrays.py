"""Models that are a few arrays: weights, rates, tables. A replica loads them with NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayModel"]

_FILE: Final = "arrays.npz"
_PREFIX: Final = "array."
"""Or an array could not be called `file`, as an argument of NumPy's is."""


class ArrayModel:
    """The base of a predictor that answers from named arrays: give it `predict`. Nothing is pickled.

    Attributes:
        arrays: The model, by name.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.arrays = dict(arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The model that `save` wrote into `directory`.

        Raises:
            ValueError: there is none, or it holds objects.
        """
        try:
            with np.load(directory / _FILE, allow_pickle=False) as found:
                return cls({name.removeprefix(_PREFIX): found[name] for name in found.files})
        except FileNotFoundError:
            raise ValueError(f"{directory} holds no {_FILE}: other code than {cls.__qualname__} made the model") from None

    def save(self, directory: Path) -> None:
        """Write the model into `directory`.

        Raises:
            ValueError: an array holds objects, which only a pickle could keep.
        """
        if wrong := [name for name, array in self.arrays.items() if np.asarray(array).dtype.hasobject]:
            raise ValueError(f"{', '.join(wrong)}: an array of objects cannot be kept, give numbers, booleans or text")
        named = {f"{_PREFIX}{name}": array for name, array in self.arrays.items()}
        np.savez(directory / _FILE, **named)  # type: ignore[arg-type]  # its own arguments have no such names
