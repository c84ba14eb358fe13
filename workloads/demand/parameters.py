"""The parameters of the demand training, each with its type, its range and its default."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heliostat.spec.parameters import JobParameters


class Training(JobParameters):
    """How the rates are fitted."""

    alpha: Annotated[float, Field(ge=0)] = 0.001
    """How much large coefficients cost."""
    half_life_days: Annotated[float, Field(gt=0)] = 365.0
    """A day that is so many days older counts half: timetables change with the season."""
    max_iterations: Annotated[int, Field(ge=1)] = 100
