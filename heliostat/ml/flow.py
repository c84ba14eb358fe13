"""Runs a flow: its steps one after another, in this process. `heliostat.spec.flow` says what a flow is."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from pydantic import TypeAdapter, ValidationError

from heliostat.ml.contracts import load_entry_point
from heliostat.ml.datasets import Tables
from heliostat.ml.in_memory import judged
from heliostat.ml.training import Context
from heliostat.spec.base import Parameters
from heliostat.spec.flow import Flow, FlowError, Path_, Step, beside, read, told
from heliostat.spec.parameters import JobParameters
from heliostat.spec.workload import Interface

__all__ = ["Flow", "FlowError", "Interface", "beside", "check", "read", "run", "snapshot", "training"]

TABLES: Final = "tables"
"""The value of a flow that a data set keeps: `heliostat.ml.datasets.Tables`."""
MODEL: Final = "model"
"""The value of a flow that a training ends with: a fitted predictor that saves itself."""

TYPED: Final = "parameters"
"""The argument that is given all parameters of a step, where it is typed as a class of them."""


def run(
    flow: Flow,
    wanted: Sequence[str],
    given: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The values called `wanted`, made by the steps that they need and no other.

    Args:
        flow: The steps.
        wanted: Names of outputs.
        given: Values that are there already, by name: the steps that make them do not run.
        parameters: Those of steps, by the step's name, over what the flow says.

    Raises:
        FlowError: the flow cannot make what is wanted, or a step returned something else than its outputs. Whatever a step
            raises comes through, with a note that names the step.
    """
    values = dict(given or {})
    said = parameters or {}
    chosen = _needed(flow, wanted, values)
    if mistakes := [
        each for index in chosen for each in _of_step(index, flow.steps[index], said.get(flow.steps[index].name, {}))
    ]:
        raise FlowError(told("flow", mistakes))
    for step in (flow.steps[index] for index in chosen):
        try:
            returned = load_entry_point(step.run)(**_arguments(step, values, said.get(step.name, {})))
        except Exception as error:
            error.add_note(f"in the step {step.name!r} of the flow, {step.run}")
            raise
        values |= _named(step, returned)
    return {name: values[name] for name in wanted}


def check(flow: Flow) -> None:
    """Look whether the functions of all steps are there, and take what they are given; none of them runs.

    Raises:
        FlowError: with every mistake.
    """
    if mistakes := [each for index, step in enumerate(flow.steps) for each in _of_step(index, step, {})]:
        raise FlowError(told("flow", mistakes))


def snapshot(flow: Flow, step: str) -> Callable[[Parameters], Tables]:
    """The data function of a workload whose flow makes `tables`; the data set's parameters are those of one step."""

    def made(parameters: Parameters) -> Tables:
        """The rows to train on, to validate and to test."""
        return cast("Tables", run(flow, [TABLES], parameters={step: parameters})[TABLES])

    return made


def training(flow: Flow, step: str) -> Callable[[Context], None]:
    """The training function of a workload whose flow makes a `model` of its `tables`; its parameters are those of one step.

    One worker runs it, and measures what comes out on the validation rows; others, where the config has some, do nothing.
    """

    def train(context: Context) -> None:
        if context.rank:
            context.finish(None)
            return
        label = context.dataset.manifest()["label"]
        data = context.dataset
        given = Tables(data.table("train"), data.table("validation"), data.table("test"), label)
        model = run(flow, [MODEL], {TABLES: given}, {step: context.parameters})[MODEL]
        context.finish(judged(model, given, context.problem))

    return train


def _needed(flow: Flow, wanted: Sequence[str], given: Mapping[str, Any]) -> list[int]:
    """The places of the steps that have to run, in their order."""
    makers = {output: index for index, step in enumerate(flow.steps) for output in step.outputs}
    if unknown := [name for name in wanted if name not in makers and name not in given]:
        raise FlowError(f"no step makes {', '.join(unknown)}; the flow makes {', '.join(makers)}")
    waiting, chosen = [name for name in wanted if name not in given], set[int]()
    while waiting:
        index = makers[waiting.pop()]
        if index not in chosen:
            chosen.add(index)
            waiting += [value for value in flow.steps[index].inputs.values() if value not in given]
    return sorted(chosen)


def _of_step(index: int, step: Step, over: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    """Why a step cannot run."""
    try:
        function = load_entry_point(step.run)
    except Exception as error:
        yield ("steps", index, "run"), f"{step.run} cannot be had: {type(error).__name__}: {error}"
        return
    if not callable(function):
        yield ("steps", index, "run"), f"{step.run} is a {type(function).__name__}: it must be a function"
        return
    parameters = {**step.parameters, **over}
    typed = _typed(function)
    named = dict.fromkeys([*step.inputs, *([TYPED] if typed else parameters)])
    try:
        inspect.signature(function).bind(**named)
    except TypeError as error:
        yield ("steps", index), f"{step.run} takes {_shown(function)}, and is given {', '.join(named) or 'nothing'}: {error}"
    where: Path_ = ("steps", index, "parameters")
    if typed:
        yield from (((*where, *each.path), each.text) for each in typed().mistakes(parameters))
    else:
        yield from (((*where, name), text) for name, text in _misfits(function, parameters))


def _misfits(function: Callable[..., Any], parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Parameters of another type than the function says."""
    kinds = _annotations(function)
    for name, value in parameters.items():
        if name in kinds:
            try:
                TypeAdapter(kinds[name]).validate_python(value, strict=True)
            except ValidationError as error:
                text = str(error.errors()[0]["msg"])
                yield name, f"{text[:1].lower()}{text[1:]} (given: {value!r})"


def _typed(function: Callable[..., Any]) -> type[JobParameters] | None:
    kind = _annotations(function).get(TYPED)
    return kind if isinstance(kind, type) and issubclass(kind, JobParameters) else None


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):  # names that only a type checker sees
        return {}


def _shown(function: Callable[..., Any]) -> str:
    return f"({', '.join(inspect.signature(function).parameters)})"


def _arguments(step: Step, values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {**step.parameters, **over}
    typed = _typed(load_entry_point(step.run))
    inputs = {argument: values[value] for argument, value in step.inputs.items()}
    return {**inputs, **({TYPED: typed().overridden(parameters)} if typed else parameters)}


def _named(step: Step, returned: Any) -> dict[str, Any]:
    """What a step returned, by the names of its outputs."""
    if len(step.outputs) == 1:
        return {step.outputs[0]: returned}
    if isinstance(returned, Mapping):
        if missing := [name for name in step.outputs if name not in returned]:
            raise FlowError(
                f"the step {step.name!r} returned no {', '.join(missing)}; it returned {', '.join(map(str, returned))}"
            )
        return {name: returned[name] for name in step.outputs}
    if not isinstance(returned, tuple) or len(returned) != len(step.outputs):
        found = f"{len(returned)} values" if isinstance(returned, tuple) else f"a {type(returned).__name__}"
        raise FlowError(f"the step {step.name!r} returned {found}: its outputs are {', '.join(step.outputs)}")
    return dict(zip(step.outputs, returned, strict=True))
