"""What the digits application promises: an image of one digit, and which it is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from heliostat.ml.contracts import Contract, Golden
from workloads.digits.predictor import Model

Pixel = Annotated[float, Field(ge=0, le=16, allow_inf_nan=False)]
Line = Annotated[list[Pixel], Field(min_length=8, max_length=8)]


class Image(BaseModel):
    """One digit, as it was scanned."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    image: Annotated[list[Line], Field(min_length=8, max_length=8)]
    """8 lines of 8 pixels each, from 0 (white) to 16 (black)."""


class Digit(BaseModel):
    """The answer to one image."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    digit: Annotated[int, Field(ge=0, le=9)]
    """The most probable one."""
    probability: Annotated[float, Field(ge=0, le=1)]
    """How sure that is."""
    probabilities: list[float]
    """Of each digit from 0 to 9; they sum to 1."""


def respond(scores: list[float]) -> Digit:
    """The answer that a row of probabilities means."""
    digit = max(range(len(scores)), key=scores.__getitem__)
    return Digit(digit=digit, probability=min(1.0, scores[digit]), probabilities=scores)


def drawn(*lines: str) -> Image:
    """An image of characters: a blank is white, `+` grey and `#` black."""
    return Image(image=[[{" ": 0.0, "+": 8.0, "#": 16.0}[pixel] for pixel in line.ljust(8)] for line in lines])


ZERO = drawn("  +##+", " +####+", " ##  ##", " ##   ##", " ##   ##", " ##  +##", " +####+", "  +##+")
ONE = drawn("   +#+", "  +##+", " +###+", "   ##+", "   ##+", "   ##+", "  +##+", "  +###+")


def _one(image: Image) -> dict[str, Any]:
    return image.model_dump(mode="json")


def _zero(answer: Any) -> bool:
    return isinstance(answer, dict) and answer["digit"] == 0


def _zero_and_one(answer: Any) -> bool:
    return [row["digit"] for row in answer["rows"]] == [0, 1]


CONTRACT = Contract(
    title="Digits",
    description="Which digit is on an image of 8 x 8 pixels.",
    row=Image,
    answer=Digit,
    predictor=Model,
    respond=respond,
    examples=(ZERO, ONE),
    golden=(
        Golden("a zero", _one(ZERO), 200, _zero, "the digit 0"),
        Golden("a zero and a one", {"rows": [_one(ZERO), _one(ONE)]}, 200, _zero_and_one, "the digits 0 and 1"),
        Golden("a line of 7 pixels", {"image": [[0.0] * 7] * 8}, 422, expected="a refusal that names the field"),
        Golden("no JSON", "{", 422, expected="a refusal"),
    ),
)
