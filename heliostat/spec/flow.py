"""A flow: the steps from data to a model, each a plain function of a module, in YAML or JSON. Pure but for `beside`.

    interface: rest
    steps:
      - name: load
        run: workloads.houses.dataset:load
        outputs: [rows]
      - name: fit
        run: workloads.houses.train:fit
        inputs: {rows: rows}
        parameters: {alpha: 0.5}
        outputs: [model]

Steps stand in the order in which they run. `heliostat.ml.flow` runs them, all in one process.
"""

from __future__ import annotations

import difflib
import graphlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from heliostat.spec.base import EntryPoint, Model, Parameters
from heliostat.spec.flow_files import FILES
from heliostat.spec.mistakes import mistakes_in
from heliostat.spec.parameters import JobParameters
from heliostat.spec.workload import Interface

Path_ = tuple[int | str, ...]
P = TypeVar("P", bound=JobParameters)

ValueName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""A name of a step or a value: lower case, digits and underscores, at most 40 characters."""


class FlowError(ValueError):
    """A flow that cannot run; the text has every mistake with its path."""


class Step(Model):
    """One step: a function that is given values of earlier steps and parameters, and returns values for later ones."""

    name: ValueName
    """Its name, which no other step has."""
    run: EntryPoint
    """The function, as `package.module:function`."""
    inputs: dict[str, ValueName] = {}
    """The value that each argument is given, by the argument's name."""
    parameters: Parameters = {}
    """Values of arguments that are said here; or of the fields of the argument `parameters`, where it is typed."""
    outputs: Annotated[tuple[ValueName, ...], Field(min_length=1)]
    """The names of what it returns: one value, or as many as there are names."""


class Flow(Model):
    """The steps of a workload in their order, and how it is reached."""

    interface: Interface = Interface.REST
    """How clients reach what is served."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    """What is done, in this order."""

    def step(self, name: str) -> Step:
        """The step called `name`.

        Raises:
            FlowError: there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise FlowError(f"the flow has no step {name!r}; it has {', '.join(each.name for each in self.steps)}")

    def parameters(self, name: str, of: type[P]) -> P:
        """The parameters of the step called `name`: the defaults of their class, and what the flow says.

        Raises:
            FlowError: there is no such step, or it says what does not fit; with every mistake.
        """
        index, step = [each.name for each in self.steps].index(self.step(name).name), self.step(name)
        if found := of().mistakes(step.parameters):
            raise FlowError(told("flow", (((("steps", index, "parameters", *each.path)), each.text) for each in found)))
        return of().overridden(step.parameters)


def read(text: str, file: str) -> Flow:
    """The flow that `text` is, in YAML or JSON; `file` is its name, for what is told.

    Raises:
        FlowError: with every mistake.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        given: Any = json.loads(text) if file.endswith(".json") else YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        raise FlowError(f"{file} cannot be read: {' '.join(str(error).split())}") from None
    return parsed(given, file)


def parsed(given: Any, file: str) -> Flow:
    """The flow that keys and values are.

    Raises:
        FlowError: with every mistake, those of single values and those of what belongs together.
    """
    mistakes: list[tuple[Path_, str]] = []
    flow = None
    try:
        flow = Flow.model_validate(given)
    except ValidationError as error:
        mistakes += [(each.path, each.text) for each in mistakes_in(Flow, error, given)]
    mistakes += _wiring(_steps_of(given))
    if flow is None or mistakes:
        raise FlowError(told(file, mistakes))
    return flow


def beside(module_file: str) -> Flow:
    """The flow whose file lies beside a module, given that module's `__file__`.

    Raises:
        FlowError: there is none, there are two, or it has mistakes.
    """
    folder = Path(module_file).parent
    found = [path for path in (folder / name for name in FILES) if path.is_file()]
    if len(found) != 1:
        there = "both are there: delete one" if found else "neither is there"
        raise FlowError(f"{folder} needs {' or '.join(FILES)}: {there}")
    return read(found[0].read_text(encoding="utf-8"), found[0].name)


def told(file: str, mistakes: Iterable[tuple[Path_, str]]) -> str:
    """The text of a FlowError: every mistake with its path, each once."""
    lines = dict.fromkeys(f"\n  {path_of(path)}: {text}" for path, text in mistakes)
    return f"{file} has mistakes:{''.join(lines)}"


def path_of(path: Path_) -> str:
    """`('steps', 0, 'inputs', 'rows')` as `steps[0].inputs.rows`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "flow"


def canonical(text: bytes, file: str) -> bytes:
    """What of a flow's file decides what its steps do, the same for every way of writing it: the interface is not in it.

    A file that cannot be read is its own text: it is told where it is read.
    """
    try:
        flow = read(text.decode(), file)
    except ValueError:
        return text
    return json.dumps(flow.model_dump(mode="json")["steps"], sort_keys=True).encode()


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a flow's file."""
    from heliostat.spec.describing import Described

    schema = Flow.model_json_schema(by_alias=True, schema_generator=Described)
    schema["properties"]["$schema"] = {"type": "string"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Heliostat flow",
        "description": "A flow.yaml or flow.json of a workload. Made from heliostat.spec.flow; do not edit.",
    }


def schema_text() -> str:
    """The schema as the committed file holds it."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _steps_of(given: Any) -> list[Mapping[str, Any]]:
    """The steps as far as they are such, at their places."""
    steps = given.get("steps") if isinstance(given, Mapping) else None
    return [each if isinstance(each, Mapping) else {} for each in steps] if isinstance(steps, list | tuple) else []


def _wiring(steps: list[Mapping[str, Any]]) -> Iterator[tuple[Path_, str]]:
    """What is wrong among the steps: names given twice, values that nothing makes, circles, a wrong order."""
    yield from _twice(steps)
    makers = {output: index for index, step in enumerate(steps) for output in _outputs(step)}
    circles = set(_circle(steps, makers))
    if circles:
        names = [str(steps[index].get("name", index)) for index in _circle(steps, makers)]
        yield ("steps",), f"go round in a circle: {' -> '.join(names)}; one of them has to begin without the others"
    for index, step in enumerate(steps):
        for argument, value in _inputs(step).items():
            path: Path_ = ("steps", index, "inputs", argument)
            if value not in makers:
                yield path, f"no step has the output {value!r}{_near(value, makers)}"
            elif makers[value] >= index and not {index, makers[value]} <= circles:
                yield (
                    path,
                    f"{value!r} is made later, by the step {steps[makers[value]].get('name')!r}: put that before this one",
                )
        for both in sorted(_inputs(step).keys() & _parameters(step)):
            yield ("steps", index, "parameters", both), "is an input of this step as well: leave one out"


def _twice(steps: list[Mapping[str, Any]]) -> Iterator[tuple[Path_, str]]:
    names = Counter(str(step.get("name")) for step in steps if "name" in step)
    outputs = Counter(output for step in steps for output in _outputs(step))
    for index, step in enumerate(steps):
        if names.get(str(step.get("name")), 0) > 1:
            yield ("steps", index, "name"), f"{step['name']!r} is the name of {names[str(step['name'])]} steps"
        for position, output in enumerate(_outputs(step)):
            if outputs[output] > 1:
                yield (
                    ("steps", index, "outputs", position),
                    f"{output!r} is made {outputs[output]} times: give each its own name",
                )


def _circle(steps: list[Mapping[str, Any]], makers: Mapping[str, int]) -> list[int]:
    graph = {index: {makers[each] for each in _inputs(step).values() if each in makers} for index, step in enumerate(steps)}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def _inputs(step: Mapping[str, Any]) -> dict[str, str]:
    inputs = step.get("inputs")
    found = inputs if isinstance(inputs, Mapping) else {}
    return {str(argument): value for argument, value in found.items() if isinstance(value, str)}


def _outputs(step: Mapping[str, Any]) -> list[str]:
    outputs = step.get("outputs")
    return [each for each in outputs if isinstance(each, str)] if isinstance(outputs, list | tuple) else []


def _parameters(step: Mapping[str, Any]) -> set[str]:
    parameters = step.get("parameters")
    return {str(name) for name in parameters} if isinstance(parameters, Mapping) else set()


def _near(given: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"
