"""What of a request is personal, how it is treated before anything is written, and who agreed to that."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from heliostat.spec.addresses import KubernetesSecret, TokenFile, TokenVariable
from heliostat.spec.base import Model, is_none

EXTENSION: Final = "x-heliostat-personal"
"""The key of a field's JSON Schema that says it."""
PRIVACY: Final = "/-/privacy"
"""Where a replica tells how many requests it answered and did not keep."""


class Treatment(StrEnum):
    """What is written in the place of a personal value."""

    NEVER_LOGGED = "never-logged"
    """Nothing."""
    HASHED = "hashed"
    """A keyed hash: the same for the same value and key, and of no use without the key."""
    TRUNCATED = "truncated"
    """Its beginning, or a coarser number."""


def _is_false(value: object) -> bool:
    return value is False


class PersonalMark(Model):
    """That a value is personal."""

    treatment: Treatment
    keep: Annotated[int, Field(ge=1, le=256)] | None = Field(default=None, exclude_if=is_none)
    """Of a text that is truncated: the characters that are kept, from its beginning."""
    step: Annotated[float, Field(gt=0)] | None = Field(default=None, exclude_if=is_none)
    """Of a number that is truncated: it is rounded down to a multiple of this."""
    subject: bool = Field(default=False, exclude_if=_is_false)
    """It says whose row it is: the rows of a person are found, and deleted, by it."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = (self.keep is not None) + (self.step is not None)
        if self.treatment is Treatment.TRUNCATED and given != 1:
            raise ValueError("what is truncated needs `keep`, of a text, or `step`, of a number")
        if self.treatment is not Treatment.TRUNCATED and given:
            raise ValueError(f"`keep` and `step` are of what is truncated, and this is {self.treatment}")
        if self.subject and self.treatment is not Treatment.HASHED:
            raise ValueError(f"whose row it is has to be hashed, to be found again: this is {self.treatment}")
        return self


class PersonalKey(Model):
    """A key that personal values are hashed and sealed with."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    """Stands in what is hashed with it, so that a newer key can take its place."""
    secret: Annotated[TokenFile | TokenVariable | KubernetesSecret, Field(discriminator="kind")]
    """Where the key is: 32 random bytes or more, as `openssl rand -hex 32` makes them."""


class ConsentByHeader(Model):
    """A request says in a header that it may be kept."""

    kind: Literal["header"] = "header"
    header: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")] = "x-consent"
    """Its name, in lower case; over gRPC the same name in the metadata."""
    values: Annotated[tuple[str, ...], Field(min_length=1)] = ("yes", "true", "1")
    """What it says then, in any case; anything else, and nothing, is no consent."""


class ConsentByField(Model):
    """Each row says in a field that it may be kept."""

    kind: Literal["field"] = "field"
    field: Annotated[str, Field(min_length=1)]
    """A field of the contract's rows; true is consent, and nothing else is. A request of several rows needs that of all."""


class Privacy(Model):
    """How personal data are kept, or not."""

    keys: tuple[PersonalKey, ...] = ()
    """The newest first, which all is hashed and sealed with. The others are for what was made with them before: rows of a
    person are found, and tasks that wait opened, as long as their key is here."""
    consent: Annotated[ConsentByHeader | ConsentByField, Field(discriminator="kind")] | None = Field(
        default=None, exclude_if=is_none
    )
    """How a request says that it may be kept; one that does not is answered, and neither logged nor copied. By default all
    may be."""

    @model_validator(mode="after")
    def _has_each_key_once(self) -> Self:
        if again := [name for name, count in Counter(key.id for key in self.keys).items() if count > 1]:
            raise ValueError(f"each key has an id of its own, and {', '.join(again)} is there twice")
        return self


class KeptCounts(Model):
    """How many requests a replica answered, and did not keep."""

    asked: int
    """Answered since it started; copies and replays are not counted."""
    without_consent: int
