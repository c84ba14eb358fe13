"""Models that answer together, by their mean. A model's folder holds one model, or several and how much each counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.contracts import Columns, Predictor

ENSEMBLE_FILE: Final = "heliostat-ensemble.json"
"""In a model's folder that holds several: `{"members": [{"model", "share", "folder"}]}`, the newest first."""


class EnsemblePredictor:
    """The mean of what some models answer."""

    def __init__(self, members: Sequence[tuple[float, Predictor]]) -> None:
        """`members`: how much each counts, which together is 1, and the model."""
        self.members = tuple(members)

    def predict(self, columns: Columns) -> NDArray[np.float64]:
        """What they answer, each by its share.

        Raises:
            ValueError: two answer in different shapes.
        """
        total: NDArray[np.float64] | None = None
        for share, member in self.members:
            answers = np.asarray(member.predict(columns), dtype=np.float64)
            if total is not None and total.shape != answers.shape:
                raise ValueError(
                    f"the models of an ensemble answer in the shapes {total.shape} and {answers.shape}: they have no mean; "
                    "train without training.ensemble"
                )
            total = share * answers if total is None else total + share * answers
        assert total is not None  # noqa: S101 - an ensemble has members
        return total


def load_model(kind: type[Predictor], folder: Path) -> Any:
    """The model in a folder: one of `kind`, or an ensemble of such.

    Raises:
        ValueError: as `Predictor.load` does.
    """
    members = members_in(folder)
    if not members:
        return kind.load(folder)
    return EnsemblePredictor([(each["share"], kind.load(folder / each["folder"])) for each in members])


def members_in(folder: Path) -> list[dict[str, Any]]:
    """What the ensemble in a model's folder is made of; empty where it is a single model."""
    try:
        found: list[dict[str, Any]] = json.loads((folder / ENSEMBLE_FILE).read_text())["members"]
    except FileNotFoundError:
        return []
    return found
