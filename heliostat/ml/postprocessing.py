"""What a post-processing step gets and gives: a plain function of a workload, declared with a `PostprocessingStep`.

    class Limits(JobParameters):
        least_score: float = 0.2

    def drop_weak(rows: Sequence[Viewer], answers: Sequence[Shelf], given: Given[Limits]) -> Sequence[Shelf | Changed[Shelf]]:
        ...

It is asked with all rows of a request and the answers to them, in their order, and gives as many answers in the same order:
an answer that it was given, another one of the contract's type, or one of these in a `Changed`, with the reason. What it gives
is held against the contract. A client pairs rows with answers by their places, so a step takes entries out of an answer, or
empties it as the contract allows, and never leaves a row without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

__all__ = ["Changed", "Given"]

P = TypeVar("P")
Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True)
class Given(Generic[P]):
    """What a step is declared with.

    Where the function's third argument is annotated `Given[X]`, with X below `heliostat.spec.parameters.JobParameters`, the
    declared parameters are held against X, and `parameters` is one; else they are a mapping as they are declared.
    """

    parameters: P
    lists: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The entries of each list, by its name."""


@dataclass(frozen=True)
class Changed(Generic[Answer]):
    """An answer that a step changed, with what is logged and counted of it."""

    answer: Answer
    reason: str = ""
    """A code such as `legal-removal`: lower case, digits and dashes, 64 characters at most. Metrics count by it, so it says
    what kind of change it was, never which row."""
    removed: int = 0
    """How many entries were taken out of the answer."""


def read_list(text: str) -> frozenset[str]:
    """The entries of a list: one a line, without blanks around it; blank lines and those that begin with `#` are none."""
    lines: Sequence[Any] = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
    return frozenset(line for line in lines if line and not line.startswith("#"))
