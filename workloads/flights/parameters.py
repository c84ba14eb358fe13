"""The parameters of the flights training, each with its type, its range and its default.

Change a default here, run `make up`, and watch the next version take its place. A stack overrides them below
`training.parameters` in its config.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heliostat.spec.parameters import JobParameters


class Training(JobParameters):
    """How the trees are boosted; all but `rounds` and `checkpoint_every` are LightGBM's, by its names."""

    rounds: Annotated[int, Field(ge=1)] = 300
    num_leaves: Annotated[int, Field(ge=2, le=131_072)] = 31
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    min_data_in_leaf: Annotated[int, Field(ge=0)] = 200
    feature_fraction: Annotated[float, Field(gt=0, le=1)] = 0.8
    cat_smooth: Annotated[float, Field(ge=0)] = 50.0
    lambda_l2: Annotated[float, Field(ge=0)] = 0.0
    seed: Annotated[int, Field(ge=0)] = 7
    checkpoint_every: Annotated[int, Field(ge=1)] = 50
    """After so many rounds a training that is killed goes on from where it was."""
