"""Fields of a contract that are personal, and what is written of them: in the prediction log, for analyses, and elsewhere.

    email: Annotated[str, hashed(subject=True)]
    postcode: Annotated[str, truncated(keep=2)]
    name: Annotated[str, never_logged()]
    age: Annotated[int, truncated(step=10)]

The model gets each value as it was sent. A field that is marked within another is treated wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from heliostat.spec.personal import EXTENSION, PersonalMark, Treatment

__all__ = ["Personal", "hashed", "never_logged", "truncated"]


@dataclass(frozen=True)
class Personal:
    """The mark of a field, beside its type in `Annotated`."""

    mark: PersonalMark

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """The field's own schema, with the mark."""
        return {**handler(core_schema), EXTENSION: self.mark.model_dump(mode="json")}


def never_logged() -> Personal:
    """Nothing of it is written."""
    return Personal(PersonalMark(treatment=Treatment.NEVER_LOGGED))


def hashed(subject: bool = False) -> Personal:
    """A keyed hash is written in its place; of the `subject`, whose row it is, the rows can be found and deleted by it."""
    return Personal(PersonalMark(treatment=Treatment.HASHED, subject=subject))


def truncated(keep: int | None = None, step: float | None = None) -> Personal:
    """The first `keep` characters are written, or the number rounded down to a multiple of `step`.

    Raises:
        ValueError: neither is given, or both.
    """
    return Personal(PersonalMark(treatment=Treatment.TRUNCATED, keep=keep, step=step))
