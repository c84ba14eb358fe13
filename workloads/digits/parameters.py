"""The parameters of the digits training, each with its type, its range and its default."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heliostat.spec.parameters import JobParameters


class Training(JobParameters):
    """How the network is trained."""

    epochs: Annotated[int, Field(ge=1)] = 20
    batch_rows: Annotated[int, Field(ge=1)] = 240
    """Of all workers together: 240 can be shared by 1, 2, 3, 4, 5, 6 or 8."""
    learning_rate: Annotated[float, Field(gt=0)] = 0.02
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    seed: Annotated[int, Field(ge=0)] = 7
    checkpoint_every: Annotated[int, Field(ge=1)] = 4
    """After so many epochs a training that is killed goes on from where it was."""
