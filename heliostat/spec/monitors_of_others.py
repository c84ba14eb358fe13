"""What can be watched of a model that others logged: there is no data here that it was trained and tested on, so the first
answers of a version are what later ones are held against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from heliostat.spec.mistakes import Mistake
from heliostat.spec.model_contracts import ModelContract, ModelTask
from heliostat.spec.model_fields import NUMBERS, FieldType, ModelField
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary, Free, Multiclass, Regression

if TYPE_CHECKING:
    from heliostat.spec.monitors import Monitor

_NOT_HERE: Final = "a model of others has no data here that it was tested on"
_UNAVAILABLE: Final = {
    "estimate": f"without labels nothing is estimated: {_NOT_HERE}",
    "skew": "there is nothing to hold what is served against: no training of it reads rows here",
    "fragility": "it asks the model itself, which may run in an environment of its own, and a look does not",
    "retraining": "nothing is trained here: a new version comes from whoever makes the model",
}


def problem_of(contract: ModelContract, field: str) -> Problem:
    """The task that answers of a contract are watched by, by the field that is the prediction.

    Raises:
        ValueError: which task it is cannot be told, and what to write into the contract.
    """
    answer = contract.answer.get(field)
    if answer is None:  # whoever looks at the contract says so
        return Problem(task=Free())
    match contract.task:
        case ModelTask.REGRESSION | ModelTask.BINARY if answer.type in NUMBERS or answer.type is FieldType.BOOLEAN:
            return Problem(task=Binary() if contract.task is ModelTask.BINARY else Regression())
        case ModelTask.BINARY | ModelTask.MULTICLASS:
            return Problem(task=Multiclass(classes=_classes(field, answer)))
        case _:
            return Problem(task=Free())


def _classes(field: str, answer: ModelField) -> tuple[str, ...]:
    if answer.type is FieldType.OBJECT and answer.properties:
        return tuple(answer.properties)
    if answer.type is FieldType.TENSOR and answer.shape is not None and len(answer.shape) == 1 and answer.shape[0] > 1:
        return tuple(map(str, range(answer.shape[0])))
    choices = answer.choices or ()
    if len(choices) > 1 and all(isinstance(each, str) for each in choices):
        return tuple(map(str, choices))
    if len(choices) > 1 and sorted(map(int, choices)) == list(range(len(choices))):
        return tuple(map(str, range(len(choices))))
    told = "are whole numbers other than 0, 1 and so on, which labels could not be told from places of classes by"
    raise ValueError(
        f"the classes of its answers are not known: give `answer.{field}` of its contract `choices`, as [cat, dog]"
        if not choices
        else f"the choices of `answer.{field}` {told}: have the model answer names"
    )


def mistakes_of_others(monitor: Monitor) -> list[Mistake]:
    """What a monitor of a model of others asks for and cannot have, each with its reason."""
    return [Mistake(path, "value_error", text) for path, text in _unavailable(monitor)]


def _unavailable(monitor: Monitor) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for name, text in _UNAVAILABLE.items():
        if getattr(monitor, name):
            yield (name,), f"{text}; leave it out"
    for place, watch in enumerate(monitor.quality):
        if watch.margin is not None:
            yield ("quality", place, "margin"), f"{_NOT_HERE}, so there is no figure to be worse than: give `limit` alone"
    for place, drift in enumerate(monitor.concept_drift):
        if drift.of == "error":
            text = f"{_NOT_HERE}, so it is not known which errors are usual: watch `prediction`"
            yield ("conceptDrift", place, "of"), text
    if monitor.drift is not None and monitor.drift.season is not None:
        yield ("drift", "season"), "a season is a column of training data, and a model of others has none here: leave it out"
    if monitor.recency is not None and monitor.recency.training_data_seconds is not None:
        yield ("recency", "trainingDataSeconds"), "how new its training data are is not known here: leave it out"
