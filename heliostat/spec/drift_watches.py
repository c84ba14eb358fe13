"""What is watched of distributions: inputs by column, and predictions, beside those of the reference."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Model
from heliostat.spec.watches import Column, Watch


class Distance(StrEnum):
    """How far apart two distributions are, by the usual names."""

    KOLMOGOROV_SMIRNOV = "kolmogorov-smirnov"
    """Of numbers: the largest difference of the cumulated shares."""
    WASSERSTEIN = "wasserstein"
    """Of numbers: how far values moved, in the reference's standard deviations."""
    JENSEN_SHANNON = "jensen-shannon"
    PSI = "psi"
    """The population stability index."""
    L_INFINITY = "l-infinity"
    """The largest difference of one value's share."""


OF_TEXTS = (Distance.JENSEN_SHANNON, Distance.PSI, Distance.L_INFINITY)
"""Those that need no order."""


class Correction(StrEnum):
    """How chance is shared out among columns."""

    HOLM = "holm"
    """`alpha` holds for the whole report."""
    BENJAMINI_HOCHBERG = "benjamini-hochberg"
    """`alpha` is the share of wrong names among those that are named."""


class DriftLimit(Model):
    """The least distance that matters."""

    distance: Distance
    """Which one."""
    least: Annotated[float, Field(gt=0)]
    """A column that is nearer to its reference is stable, however surely it is apart."""


class ByColumn(Watch):
    """When a distribution counts as another one: the difference is no chance, and large enough to matter."""

    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    """How often a window in which nothing changed may be told all the same, of all columns together."""
    correction: Correction = Correction.HOLM
    """How `alpha` is shared out among the columns."""
    numbers: DriftLimit = Field(default_factory=lambda: DriftLimit(distance=Distance.KOLMOGOROV_SMIRNOV, least=0.1))
    """Of columns of numbers."""
    texts: DriftLimit = Field(default_factory=lambda: DriftLimit(distance=Distance.JENSEN_SHANNON, least=0.1))
    """Of columns of texts and of yes and no."""
    min_rows: Annotated[int, Field(ge=30)] = 200
    """Rows of a window below which it cannot be told."""

    @model_validator(mode="after")
    def _texts_have_no_order(self) -> Self:
        if self.texts.distance not in OF_TEXTS:
            raise ValueError(f"`texts` have no {self.texts.distance}: choose {', '.join(OF_TEXTS)}")
        return self


class DriftWatch(ByColumn):
    """Inputs, column by column, beside the rows that the serving model was trained on."""

    columns: tuple[Column, ...] = ()
    """Which inputs; by default all that the training data have too, but for times, which go on."""
    limits: dict[Column, DriftLimit] = {}
    """Of single columns."""
    season: Column | None = None
    """A column of times in the training data: they are cut by it into windows as those of the monitor, and what these differ
    by is no drift."""


class PredictionDriftWatch(ByColumn):
    """Predictions beside those of the test split, by the same model."""
