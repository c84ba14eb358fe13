"""The parameters of the flights data set, apart from those of the training: another round makes no new snapshot."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Self

from pydantic import Field, model_validator

from heliostat.spec.parameters import JobParameters

Day = Annotated[dt.date, Field(strict=False)]
"""An ISO date; JSON has no other way to write one."""


class Data(JobParameters):
    """Which flights a snapshot holds, and what it calls late."""

    late_minutes: Annotated[float, Field(ge=0)] = 15.0
    """A flight is late when it arrives more than so many minutes after its time."""
    first_day: Day = dt.date(2013, 1, 1)
    last_day: Day = dt.date(2013, 12, 31)
    """The last day of the window, in it."""

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if self.last_day < self.first_day:
            raise ValueError(f"last_day {self.last_day} is before first_day {self.first_day}")
        return self
