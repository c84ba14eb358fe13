"""Post-processing: steps between what a model answers and what a client gets, declared in order beside the model.

    PostprocessingStep(
        name="legal-removal", function="workloads.films.steps:remove_withdrawn",
        lists={"withdrawn": ListSource(source="store:legal/withdrawn.txt")},
    )

A step is a plain function of the workload's code (`heliostat.ml.postprocessing`). Its version is a digest of all that decides
what it does, so that another list, parameter or line of code is another version, which comes by a deployment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints, field_validator

from heliostat.spec.base import EntryPoint, Model, Name, Parameters, is_empty
from heliostat.spec.parameters import JobParameters

POSTPROCESSING: Final = "/-/postprocessing"
"""Where a replica tells its `StepCounts`; clients cannot reach it."""
STORE: Final = "store:"
"""Begins the source of a list that is an object of the stack's store."""
_SHOWN: Final = 8


class OnError(StrEnum):
    """What becomes of a request where a step raises, or answers what the contract does not have."""

    FAIL = "fail"
    """It fails. What has to be removed is then never answered."""
    PASS = "pass"  # noqa: S105 - no password
    """It is answered as if there were no such step; the prediction log says so."""


class ListSource(Model):
    """A list that a step reads, such as what may not be shown: a text file of UTF-8 with an entry a line.

    Blank lines and those that begin with `#` are no entries.
    """

    source: Annotated[str, StringConstraints(pattern=r"^(store:)?[^\s/:][^\s:]*$")]
    """Its path in the checkout, as `workloads/films/withdrawn.txt`, or `store:KEY` of the stack's object store."""
    digest: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = Field(default="", exclude_if=is_empty)
    """Of its content. It is looked at whenever the program runs, and what is found is written here."""

    @field_validator("source")
    @classmethod
    def _within(cls, source: str) -> str:
        if ".." in PurePosixPath(source.removeprefix(STORE)).parts:
            raise ValueError(f"{source!r} leads out of the checkout, or of the store: give the path below it")
        return source

    @property
    def key(self) -> str | None:
        """Its key in the stack's object store; None of a file in the checkout."""
        return self.source.removeprefix(STORE) if self.source.startswith(STORE) else None


class PostprocessingStep(Model):
    """One step: it gets a request's rows with their answers, and gives an answer for each row."""

    name: Name
    """What the prediction log, metrics and errors call it."""
    function: EntryPoint
    """A function `(rows, answers, given)` of the workload's code."""
    parameters: Parameters = Field(default={}, exclude_if=is_empty)
    """What it reads as `given.parameters`."""
    lists: dict[Name, ListSource] = Field(default={}, exclude_if=is_empty)
    """What it reads as `given.lists`, by name."""
    on_error: OnError = OnError.FAIL
    """What becomes of a request that it fails on: by default it fails, so that nothing gets past the step."""
    code_digest: str = Field(default="", exclude_if=is_empty)
    """Of the source that the function needs. Made where the step is declared."""

    @field_validator("parameters", mode="before")
    @classmethod
    def _values(cls, given: Any) -> Any:
        return given.values() if isinstance(given, JobParameters) else given

    @property
    def version(self) -> str:
        """The beginning of a digest of its code, its parameters and the content of its lists."""
        parts = self.model_dump_json(exclude={"name": True, "lists": {"__all__": {"source"}}})
        return hashlib.sha256(parts.encode()).hexdigest()[:_SHOWN]

    @property
    def label(self) -> str:
        """Its name with its version, for people."""
        return f"{self.name} {self.version}"


def told_apart(steps: tuple[PostprocessingStep, ...]) -> tuple[PostprocessingStep, ...]:
    """The steps, whose names tell them apart.

    Raises:
        ValueError: two have one name.
    """
    names = [step.name for step in steps]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"there is more than one step {twice[0]!r}: the log and metrics tell steps by their names, so give each its own"
        )
    return steps


class Outcome(StrEnum):
    """What became of an answer in a step."""

    SEEN = "seen"
    """The step was asked, and the request was answered."""
    CHANGED = "changed"
    PASSED = "passed"
    """The step failed on it, and is declared with `onError: pass`."""
    FAILED = "failed"
    """The step failed on it, and with it the request."""


class StepCount(Model):
    """How many answers one outcome had."""

    step: str
    outcome: Outcome
    reason: str
    """The step's own code for a change, or the kind of an error."""
    answers: int
    removed: int = 0
    """Entries that were taken out of them."""


class StepCounts(Model):
    """What steps did to the answers of one replica."""

    tally: str
    """Another one begins at zero."""
    counts: tuple[StepCount, ...] = ()


def step_functions(steps: Iterable[PostprocessingStep]) -> tuple[EntryPoint, ...]:
    """The functions of steps, each once, in order."""
    return tuple(dict.fromkeys(step.function for step in steps))


def list_key(digest: str) -> str:
    """Where the object store keeps the content of a list for as long as a version may need it."""
    return f"postprocessing/lists/{digest}.txt"


def changes(before: Iterable[PostprocessingStep], after: Iterable[PostprocessingStep]) -> list[str]:
    """What differs from one declaration of steps to the next, a line a step, in words."""
    old, new = {step.name: step for step in before}, {step.name: step for step in after}
    told = [f"{step.label} is new" for name, step in new.items() if name not in old]
    told += [f"{step.label} is gone" for name, step in old.items() if name not in new]
    for name, step in new.items():
        if name in old and step.version != old[name].version:
            told.append(f"{old[name].label} becomes {step.version} ({_differing(old[name], step)})")
    if not told and list(old) != list(new):
        told.append(f"their order becomes {', '.join(new)}")
    return told


def _differing(old: PostprocessingStep, new: PostprocessingStep) -> str:
    lists = [
        f"the list {name}"
        for name in dict.fromkeys([*old.lists, *new.lists])
        if (old.lists[name].digest if name in old.lists else None) != (new.lists[name].digest if name in new.lists else None)
    ]
    named = {"parameters": "its parameters", "on_error": "what follows its errors", "function": "its function"}
    others = [text for field, text in named.items() if getattr(old, field) != getattr(new, field)]
    code = ["its code"] if old.code_digest != new.code_digest else []
    return ", ".join([*lists, *others, *code])
