"""A stack's whole config, as `infra/__main__.py` reads it, and the JSON Schema that editors check the file against."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Self, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from heliostat.spec.base import PROJECT, Model, is_none
from heliostat.spec.branch_environments import BranchEnvironment
from heliostat.spec.federated import CoordinatorListener
from heliostat.spec.judging import gate_mistakes, strategy_mistakes
from heliostat.spec.local_room import too_large
from heliostat.spec.metrics import FORMER
from heliostat.spec.mistakes import Path, mistakes_in
from heliostat.spec.monitors import Monitor, mistakes_of
from heliostat.spec.parameters import JobParameters, overrides_schema
from heliostat.spec.platforms.declared import Platform
from heliostat.spec.platforms.local import LocalPlatform
from heliostat.spec.problem import Problem
from heliostat.spec.roles import AccessPolicy
from heliostat.spec.snapshot_settings import SnapshotSettings
from heliostat.spec.tuning import Tuning, space_mistakes
from heliostat.spec.workload import Gate, TrainingCluster, Workload, Workloads

M = TypeVar("M", bound=Model)

SECTIONS = ("platform", "platformStack", "workloads", "environment", "access", "snapshots")


class Stack(Model):
    """What one environment declares: a platform, workloads, or both."""

    platform: Platform | None = None
    """What the workloads run on, made with this stack."""
    platform_stack: str | None = Field(default=None, pattern=r"^[^/\s]+/[^/\s]+/[^/\s]+$")
    """The stack that made the platform, as `organization/project/stack`, where it is not this one."""
    workloads: Workloads = {}
    """The stack's part of each workload, by the workload's name."""
    environment: BranchEnvironment | None = None
    """The branch whose environment this is; `heliostat env up` writes it, and people leave it out."""
    access: AccessPolicy | None = Field(default=None, exclude_if=is_none)
    """Who may do what with what runs; by default whoever has the stack's own token may do everything."""
    snapshots: SnapshotSettings | None = Field(default=None, exclude_if=is_none)
    """Another stack's snapshots by reference, and samples; by default the workloads' whole data, made here."""

    @model_validator(mode="after")
    def _has_a_place_to_run(self) -> Self:
        has = (self.platform, self.platform_stack, self.workloads, self.environment)
        problem = _misplaced(*map(bool, has))
        if problem is not None:
            raise ValueError(problem)
        return self


def _misplaced(platform: bool, platform_stack: bool, workloads: bool, environment: bool) -> str | None:
    """What is wrong with the sections that a stack has."""
    if environment and platform:
        return "a branch's environment makes no platform: name the stack that has one in `platformStack` of the template"
    if platform and platform_stack:
        return "`platform` and `platformStack` exclude each other: a stack makes its platform or names one"
    if platform or platform_stack:
        return None
    if workloads:
        return "`workloads` need a platform: declare `platform`, or name a stack in `platformStack`"
    return "the stack declares nothing: give it a `platform`, `workloads`, or both"


class ConfigError(ValueError):
    """A stack's config does not fit; its text lists every mistake with its path."""


Locate = Callable[[tuple[str | int, ...]], tuple[int, int] | None]
"""Line and column, from 1, of what stands at a path below the project's sections; None where nobody knows."""

ParametersOf = Callable[[str], JobParameters | None]
"""The parameters of a workload's training, which the config overrides; None where it has no types for them."""

ProblemOf = Callable[[str], Problem | None]
"""What a workload declares of its task and metrics; None where that is not known here."""


def parse(
    sections: Mapping[str, Any],
    file: str,
    workloads: Collection[str],
    locate: Locate = lambda _: None,
    parameters_of: ParametersOf = lambda _: None,
    problem_of: ProblemOf = lambda _: None,
) -> Stack:
    """The stack that `sections` (by name: `platform`, ...) declare, of the `workloads` that there are.

    Raises:
        ConfigError: with every mistake, each on a line with `file`, where it stands there, and the path in it.
    """
    told = _unknown_workloads(sections, workloads)
    try:
        stack = Stack.model_validate(sections)
    except ValidationError as error:
        told |= _told(sections, error)
    told |= _wrong_parameters(sections, workloads, parameters_of)
    others = (
        *_too_large(sections),
        *_misplaced_groups(sections),
        *_unjudgeable(sections, workloads, problem_of),
        *_wrong_spaces(sections, workloads, parameters_of),
        *_colliding(sections),
    )
    told |= {path: text for path, text in others if path not in told}
    if told:
        count = f"{len(told)} mistake" + ("s" if len(told) > 1 else "")
        lines = [f"  {file}{_at(locate(path))}: {path_of(path)}: {text}" for path, text in told.items()]
        raise ConfigError("\n".join([f"{count} in {file}:", *lines]))
    return stack


def _at(place: tuple[int, int] | None) -> str:
    return f":{place[0]}:{place[1]}" if place else ""


def _told(sections: Mapping[str, Any], error: ValidationError) -> dict[Path, str]:
    """Every mistake by its path; what several members of a choice say of the same value, as one."""
    texts: dict[Path, list[str]] = {}
    found = mistakes_in(Stack, error, sections)
    for mistake in found:
        texts.setdefault(mistake.path, []).append(mistake.text)
    # pydantic looks at a whole only where its parts are right.
    problem = _misplaced(*(bool(sections.get(name)) for name in ("platform", "platformStack", "workloads", "environment")))
    if problem is not None and not any(mistake.path == () for mistake in found):
        texts[()] = [problem]
    return {path: "; or ".join(dict.fromkeys(said)) for path, said in texts.items()}


def _unknown_workloads(sections: Mapping[str, Any], known: Collection[str]) -> dict[Path, str]:
    """Workloads without a folder; that of a model of others is made by a command."""
    told: dict[Path, str] = {}
    for name, given in _mapping(sections.get("workloads")).items():
        if name in known:
            continue
        if _mapping(given).get("mlflow"):
            told["workloads", name] = (
                f"it has no contract yet: `heliostat contract {name}` writes it from the model, to be reviewed"
            )
            continue
        told["workloads", name] = (
            f"there is no such workload (there are: {', '.join(known) or 'none'}): "
            f"make the folder workloads/{str(name).replace('-', '_')} with a workload.py, or correct the name"
        )
    return told


def _wrong_parameters(sections: Mapping[str, Any], known: Collection[str], parameters_of: ParametersOf) -> dict[Path, str]:
    """What does not fit in the overrides of trainings' parameters, whatever else is wrong."""
    told: dict[Path, str] = {}
    for name, workload in _mapping(sections.get("workloads")).items():
        given = _mapping(_mapping(_mapping(workload).get("training")).get("parameters"))
        declared = parameters_of(name) if given and name in known else None
        for mistake in declared.mistakes(given) if declared is not None else ():
            # What is no value of a parameter at all is told already.
            if not isinstance(given.get(str(mistake.path[0]) if mistake.path else ""), (dict, list)):
                told[("workloads", name, "training", "parameters", *mistake.path)] = mistake.text
    return told


def _wrong_spaces(
    sections: Mapping[str, Any], known: Collection[str], parameters_of: ParametersOf
) -> Iterator[tuple[Path, str]]:
    """What tunings search that the workload's parameters do not take."""
    for name, workload in _mapping(sections.get("workloads")).items():
        tuning = _right(Tuning, _mapping(_mapping(workload).get("training")).get("tuning"))
        declared = parameters_of(name) if tuning is not None and name in known else None
        if tuning is not None and declared is not None:
            yield from (
                (("workloads", name, "training", "tuning", *path), text) for path, text in space_mistakes(tuning, declared)
            )


def _unjudgeable(sections: Mapping[str, Any], known: Collection[str], problem_of: ProblemOf) -> Iterator[tuple[Path, str]]:
    """What gates and checks ask for and the workload's task does not have."""
    for name, given in _mapping(sections.get("workloads")).items():
        problem = problem_of(name) if name in known else None
        if problem is None:
            continue
        raw = _mapping(_mapping(given).get("gate"))
        gate = _right(Gate, raw) or _right(Gate, {"metric": raw.get("metric")}) or Gate()
        for path, text in gate_mistakes(gate, problem):
            yield ("workloads", name, "gate", *_as_written(raw, path)), text
        strategy = _mapping(_mapping(given).get("serving")).get("strategy")
        for path, text in strategy_mistakes(strategy, problem):
            yield ("workloads", name, "serving", "strategy", *path), text
        monitor = _right(Monitor, _mapping(given).get("monitor"))
        for mistake in mistakes_of(monitor, problem) if monitor is not None else ():
            yield ("workloads", name, "monitor", *mistake.path), mistake.text


def _as_written(given: Mapping[str, Any], path: Path) -> Path:
    """A path whose first key is spelt as the config spells it."""
    return path if path[0] in given else (to_camel(str(path[0])), *path[1:])


def _too_large(sections: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """What no cluster that the stack declares could hold, even with nothing else on it."""
    platform = _right(LocalPlatform, sections.get("platform"))
    if platform is None:
        return
    for name, given in _mapping(sections.get("workloads")).items():
        workload = _right(Workload, given)
        if workload is not None:
            yield from ((("workloads", name, *path), text) for path, text in too_large(platform, workload))


def _misplaced_groups(sections: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """What is wrong with groups of nodes, and with workloads that name one."""
    # What has no groups needs no catalog of machines, which takes a moment to read.
    platform = sections.get("platform")
    if isinstance(platform, Mapping) and "groups" in platform:
        from heliostat.spec.machines.declared import group_mistakes

        yield from ((("platform", *path), text) for path, text in group_mistakes(platform))
    for name, given in _mapping(sections.get("workloads")).items():
        workload = _right(Workload, given)
        if workload is not None and _names_nodes(workload):
            from heliostat.spec.machines.declared import misplaced

            here = platform if isinstance(platform, Mapping) else None
            yield from ((("workloads", name, *path), text) for path, text in misplaced(here, workload))


def _colliding(sections: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Coordinators of federated trainings that would listen at one place."""
    taken: dict[tuple[str, int], str] = {}
    for name, given in _mapping(sections.get("workloads")).items():
        listener = _right(CoordinatorListener, _mapping(_mapping(given).get("federated")).get("coordinator"))
        if listener is None:
            continue
        other = taken.setdefault((listener.host, listener.port), name)
        if other != name:
            text = f"{listener.port} is the port of {other}'s coordinator too: give each its own"
            yield ("workloads", name, "federated", "coordinator", "port"), text


def _names_nodes(workload: Workload) -> bool:
    """Whether a workload says which nodes it runs on."""
    training = workload.training
    return bool(training.scaling.group or workload.serving.group or training.cluster is TrainingCluster.OWN)


def _right(model: type[M], given: Any) -> M | None:
    """What a part of the config declares, where that is right."""
    try:
        return model.model_validate(given)
    except ValidationError:
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def path_of(location: tuple[int | str, ...]) -> str:
    """`('workloads', 'flights', 'gate', 'slices', 0)` as `heliostat:workloads.flights.gate.slices[0]`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return f"{PROJECT}:{path.removeprefix('.')}" if path else "config"


def json_schema(
    parameters: Mapping[str, type[JobParameters]], problems: Mapping[str, Problem] | None = None
) -> dict[str, Any]:
    """The JSON Schema of a `Pulumi.<stack>.yaml`, Pulumi's own keys included, with the training `parameters` by workload, and
    the metrics that the gates of those have whose `problems` are given."""
    from heliostat.spec.describing import Described

    schema = Stack.model_json_schema(by_alias=True, schema_generator=Described)
    properties = schema["properties"]
    properties["workloads"]["properties"] = {
        name: _with_parameters(typed, (problems or {}).get(name)) for name, typed in parameters.items()
    }
    config = {f"{PROJECT}:{name}": properties[name] for name in SECTIONS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Heliostat stack",
        "description": "A Pulumi.<stack>.yaml of this project. Made from heliostat.spec; do not edit.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "encryptionsalt": {"type": "string"},
            "secretsprovider": {"type": "string"},
            "encryptedkey": {"type": "string"},
            "environment": {},
            "config": {
                "type": "object",
                "properties": config,
                "patternProperties": {f"^(?!{PROJECT}:)[^:]+:.+$": {}},
                "additionalProperties": False,
            },
        },
        "$defs": schema["$defs"],
    }


def _with_parameters(typed: type[JobParameters], problem: Problem | None) -> dict[str, Any]:
    parts: dict[str, Any] = {"training": {"properties": {"parameters": overrides_schema(typed)}}}
    if problem is not None and problem.names:
        known = [*problem.names, *(name for name, now in FORMER.items() if now in problem.names)]
        parts["gate"] = {"properties": {"metric": {"enum": known}}}
    return {"allOf": [{"$ref": "#/$defs/Workload"}, {"properties": parts}]}


def schema_text(parameters: Mapping[str, type[JobParameters]], problems: Mapping[str, Problem] | None = None) -> str:
    """The schema as the committed file holds it."""
    return json.dumps(json_schema(parameters, problems), indent=2) + "\n"
