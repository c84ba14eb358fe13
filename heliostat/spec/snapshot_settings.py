"""`snapshots` of a stack's config: whose snapshots are taken by reference, and how much of the rows. Pure."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Model, is_none

SampleShare = Annotated[float, Field(gt=0.0, lt=1.0)]
"""A share of the rows of each split, such as 0.1."""


SAMPLE_TAG: Final = "heliostat.sample"
"""On runs and registered versions in MLflow: the share of the rows that the data is a sample of; none where it is whole."""


class SnapshotSettings(Model):
    """What a stack does not make of its own data."""

    stack: str | None = Field(default=None, pattern=r"^[^/\s]+/[^/\s]+/[^/\s]+$", exclude_if=is_none)
    """The stack whose snapshots are read where they are, as `organization/project/stack`: nothing is written there, and rows
    are not copied. A snapshot that it does not have is made here."""
    sample: SampleShare | None = Field(default=None, exclude_if=is_none)
    """The share of the rows of each split that is taken, such as 0.1; by default all. Every figure then says so."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.stack is None and self.sample is None:
            raise ValueError("it says nothing: name a `stack`, a `sample`, or both, or leave `snapshots` out")
        return self


def sample_text(share: float) -> str:
    """How figures say that they are of a sample, for the middle of a sentence."""
    return f"a sample of {share * 100:.6g} % of the rows"
