"""A small application that recommends films, and the steps behind its model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from heliostat.ml.contracts import Contract, Golden
from heliostat.ml.postprocessing import Changed, Given
from heliostat.serving.postprocessing import Steps
from heliostat.spec.parameters import JobParameters
from heliostat.spec.postprocessing import PostprocessingStep

FILMS = ("alien", "brazil", "casablanca", "dune")


class Viewer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    seat: Annotated[int, Field(ge=0)]
    adult: bool = True


class Shelf(BaseModel):
    films: list[str]
    score: Annotated[float, Field(ge=0, le=1)]
    note: str = Field(default="", alias="remark", serialization_alias="remark")


class Ranks:
    """The films, from the viewer's seat on."""

    @classmethod
    def load(cls, directory: Path) -> Self:
        return cls()

    def predict(self, columns: Any) -> Any:
        return np.asarray(columns["seat"], dtype=np.float64)


def respond(seat: float) -> Shelf:
    start = int(seat) % len(FILMS)
    return Shelf(films=[*FILMS[start:], *FILMS[:start]], score=0.5)


CONTRACT: Contract[Viewer, Shelf] = Contract(
    title="Shelves", description="What to watch.", row=Viewer, answer=Shelf, predictor=Ranks, respond=respond,
    examples=(Viewer(seat=1),),
    golden=(Golden("one", {"seat": 0}, 200, lambda answer: "alien" in answer["films"], "alien on the shelf"),),
)  # fmt: skip


def remove_withdrawn(rows: Sequence[Viewer], answers: Sequence[Shelf], given: Given[Any]) -> list[Shelf | Changed[Shelf]]:
    """Takes out what may not be shown."""
    found: list[Shelf | Changed[Shelf]] = []
    for answer in answers:
        kept = [film for film in answer.films if film not in given.lists["withdrawn"]]
        changed = answer.model_copy(update={"films": kept})
        found.append(Changed(changed, "legal-removal", len(answer.films) - len(kept)))
    return found


class Limits(JobParameters):
    most: Annotated[int, Field(ge=1)] = 2


def shorten(rows: Sequence[Viewer], answers: Sequence[Shelf], given: Given[Limits]) -> Sequence[Shelf]:
    """In place, as it should not be done."""
    for answer in answers:
        del answer.films[given.parameters.most :]
    return answers


def fail_for_children(rows: Sequence[Viewer], answers: Sequence[Shelf], given: Given[Any]) -> Sequence[Shelf]:
    for row, answer in zip(rows, answers, strict=True):
        answer.films.clear()
        if not row.adult:
            raise KeyError("no rating is known")
    return answers


def give_any(rows: Sequence[Viewer], answers: Sequence[Shelf], given: Given[Any]) -> Any:
    """What a test put here."""
    return MADE[0](answers)


MADE: list[Any] = []


def step(function: str, name: str = "", **changes: Any) -> PostprocessingStep:
    return PostprocessingStep(name=name or function.replace("_", "-"), function=f"shelves:{function}", **changes)


def loaded(*steps: PostprocessingStep, withdrawn: str = "dune\n# the rest is fine\n\nbrazil\n") -> Steps:
    return Steps(steps, lambda source: withdrawn, Shelf)


WITHDRAWN = step("remove_withdrawn", "legal-removal", lists={"withdrawn": {"source": "withdrawn.txt", "digest": "0" * 64}})
SHORTEN = step("shorten", parameters={"most": 1})
