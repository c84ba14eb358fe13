"""A model that answers together with models before it: what is declared of it, and what came of it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AllowInfNan, Field

from heliostat.spec.base import Model, RegisteredModel, is_empty, is_none
from heliostat.spec.problem import Problem

_NO_MEAN: Final = {
    "ranking": "the scores of two models are on scales of their own",
    "embedding": "the vectors of two models lie in spaces of their own",
    "free": "its answers may be anything",
}


class Ensemble(Model):
    """The answers are the mean of the new model's and of those of models before it: what these knew is kept."""

    model: RegisteredModel | None = None
    """The version that answers beside the new model, as `models:/<name>/<version>`; where it is an ensemble, its members do.
    By default there is none yet, and the new model answers alone; a retraining with `ensemble` names it."""
    share: Annotated[float, Field(gt=0, lt=1)] | None = Field(default=None, exclude_if=is_none)
    """How much the older answers count for together; by default what does best on the validation split."""
    most_members: Annotated[int, Field(ge=2, le=10)] = 3
    """How many models may answer, the new one among them; those that count least are left out. Each is asked for each row."""


class Member(Model):
    """One model of an ensemble."""

    model: str = Field(default="", exclude_if=is_empty)
    """As MLflow names it; empty for the one that was trained for this ensemble."""
    share: Annotated[float, Field(gt=0, le=1)]
    """How much its answers count for."""


class Combined(Model):
    """What a training's model became together with those before it: one metric on the validation split."""

    members: tuple[Member, ...]
    """The new one first; it alone where the older answers were of no help."""
    metric: str
    alone: Annotated[float, AllowInfNan()]
    """The new model's."""
    together: Annotated[float, AllowInfNan()]
    """The ensemble's."""

    @property
    def text(self) -> str:
        """In a line."""
        older = ", ".join(f"{each.share:.0%} {each.model}" for each in self.members[1:])
        if not older:
            return f"the older answers were of no help: its model answers alone, {self.metric} {self.alone:.4f}"
        own = f"it answers as {self.members[0].share:.0%} its own model and {older}"
        return f"{own}: {self.metric} {self.together:.4f} on the validation split, alone {self.alone:.4f}"


def no_mean_of(problem: Problem | None) -> str:
    """Why the answers to a problem cannot be averaged; empty where they can."""
    task = problem.task if problem is not None else None
    reason = _NO_MEAN.get(task.kind) if task is not None else None
    return f"training.ensemble has no meaning for the task {task.kind}: {reason}; leave it out" if task and reason else ""
