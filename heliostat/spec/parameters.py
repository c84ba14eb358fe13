"""The base of a workload's parameters: each with its type, its range and its one default, in one class a job.

    class Training(JobParameters):
        num_leaves: Annotated[int, Field(ge=2)] = 31

The program holds a stack's overrides against it, so that a mistake is told before anything starts; the job is given all of
them. It reads them back with `Training.model_validate(context.parameters)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from heliostat.spec.base import Parameters
from heliostat.spec.mistakes import Mistake, mistakes_in


class JobParameters(BaseModel):
    """An immutable value that refuses unknown names and other types: "7" and 7.5 are no whole numbers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True, defer_build=True
    )

    def values(self) -> Parameters:
        """All of them as JSON has them."""
        return self.model_dump(mode="json")

    def overridden(self, by: Mapping[str, Any]) -> Self:
        """The same with some values in the place of others.

        Raises:
            pydantic.ValidationError: `by` does not fit.
        """
        return type(self).model_validate({**dict(self), **by})

    def mistakes(self, given: Mapping[str, Any]) -> list[Mistake]:
        """Every mistake in overrides of these values."""
        try:
            self.overridden(given)
        except ValidationError as error:
            return mistakes_in(type(self), error, {**dict(self), **given})
        return []


def overrides_schema(parameters: type[JobParameters]) -> dict[str, Any]:
    """The JSON Schema of a stack's overrides: any of the parameters, each with its default."""
    from heliostat.spec.describing import Described

    found = parameters.model_json_schema(by_alias=True, schema_generator=Described)
    return {name: value for name, value in found.items() if name not in ("title", "required")}
