"""Whether a gate and the checks of an analysis ask for what a workload's task has. Pure: told in the preview."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

from heliostat.spec.fairness import selects_nobody
from heliostat.spec.mistakes import Path
from heliostat.spec.problem import Problem, near
from heliostat.spec.strategies import Strategy
from heliostat.spec.task_kind import Comparison
from heliostat.spec.workload import Gate

S = TypeVar("S", bound=Any)


def judged_by(gate: Gate, problem: Problem | None) -> str | None:
    """The metric of a gate; None where there is nothing to judge by."""
    return gate.metric or (problem or Problem()).default_metric


def resolved_gate(gate: Gate, problem: Problem) -> Gate:
    """The gate with the metric that it judges by."""
    return gate.model_copy(update={"metric": judged_by(gate, problem)})


def gate_mistakes(gate: Gate, problem: Problem | None) -> Iterator[tuple[Path, str]]:
    """What a gate asks for and the task does not have, with the path below the gate."""
    problem = problem or Problem()
    if gate.metric is not None and gate.metric not in problem.names:
        yield ("metric",), _no_metric(gate.metric, problem)
    if gate.beat_baseline_by and problem.task is not None and not problem.task.has_baseline:
        text = f"the task {problem.task.kind} has no baseline to be better than, and {gate.beat_baseline_by:g} is asked for"
        yield ("beat_baseline_by",), f"{text}: leave it out"
    if gate.fairness and problem.task is not None and problem.task.kind != "binary":
        text = selects_nobody(problem.task.kind)
        yield from ((("fairness", number), text) for number in range(len(gate.fairness)))
    if judged_by(gate, problem) is None:
        for number in range(len(gate.slices)):
            text = "the task has no metric to judge a slice by: declare a metric of the workload's own, or leave it out"
            yield ("slices", number), text


def check_mistakes(check: Mapping[str, Any], problem: Problem | None) -> Iterator[tuple[Path, str]]:
    """What a check, as it stands in the inputs or the config, asks for and the task does not have."""
    problem, kind = problem or Problem(), check.get("kind")
    task = problem.task
    custom = [metric.name for metric in problem.metrics]
    metric = check.get("metric")
    own = kind == Comparison.METRIC and metric in custom
    if task is not None and kind in [*Comparison] and kind not in task.comparisons and not own:
        can = ", ".join(sorted(task.comparisons))
        yield ("kind",), f"a {kind} says nothing of the task {task.kind}: of those that compare answers it has {can}"
        return
    if kind == Comparison.METRIC and isinstance(metric, str):
        from heliostat.spec.metrics import canonical

        if canonical(metric) not in problem.names:
            yield ("metric",), _no_metric(canonical(metric), problem)


def strategy_mistakes(strategy: Any, problem: Problem | None) -> Iterator[tuple[Path, str]]:
    """The same of every check in a strategy as it stands in the inputs or the config, with the path below the strategy."""
    for path, check in checks_of(strategy):
        yield from (((*path, *place), text) for place, text in check_mistakes(check, problem))


def resolved_strategy(strategy: Strategy, problem: Problem) -> Strategy:
    """The strategy whose checks of a model's metric say of which problem it is, where that is not what is taken anyway."""
    if problem.says_nothing:
        return strategy
    written = TypeAdapter(Strategy).dump_python(strategy, mode="json", by_alias=True)
    for _, check in checks_of(written):
        if check.get("kind") == Comparison.METRIC:
            of = problem.with_only(str(check["metric"]))
            if not of.says_nothing:
                check["of"] = of.model_dump(mode="json", by_alias=True, exclude_none=True)  # type: ignore[index]
    found: Strategy = TypeAdapter(Strategy).validate_python(written)
    return found


def metric_functions(strategy: Strategy) -> tuple[str, ...]:
    """The workload's own metrics that a resolved strategy's checks name, by entry point."""
    written = TypeAdapter(Strategy).dump_python(strategy, mode="json", by_alias=True)
    found = [metric["function"] for _, check in checks_of(written) for metric in (check.get("of") or {}).get("metrics", ())]
    return tuple(dict.fromkeys(found))


def checks_of(value: Any) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every check in a strategy as it stands in inputs or a config, with its path."""
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, here = waiting.pop(0)
        if isinstance(here, Mapping):
            if path[-2:-1] == ("checks",):
                yield path, here
                continue
            waiting += [((*path, key), item) for key, item in here.items()]
        elif isinstance(here, (list, tuple)):
            waiting += [((*path, index), item) for index, item in enumerate(here)]


def _no_metric(name: str, problem: Problem) -> str:
    if not problem.names:
        return f"{name!r} is no metric of the task {problem.task.kind if problem.task else ''}: declare one of your own"
    of = f", the metrics of the task {problem.task.kind}" if problem.task is not None else ""
    return f"{name!r} is none of {', '.join(problem.names)}{of}{near(name, problem.names)}"
