"""From a file to the files of a workload: reads, takes apart, runs, writes, and tries what it wrote."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from heliostat.convert import running
from heliostat.convert.analysis import plan_of
from heliostat.convert.facts import Facts, Line, Task
from heliostat.convert.plan import Plan
from heliostat.convert.questions import page, questions_of
from heliostat.convert.reading import program, read
from heliostat.convert.rendering.features import probe_code
from heliostat.convert.rendering.naming import Workload
from heliostat.convert.rendering.serving import computed_answer
from heliostat.convert.rendering.workload import files, recorded_answers, section
from heliostat.convert.source import ConversionError, Place, Question


@dataclass(frozen=True)
class Options:
    """How a source is converted."""

    name: str
    interface: str = "rest"
    model: str | None = None
    """The variable of the model that is served, where there are several."""
    run: bool = True
    timeout_seconds: float = 600.0
    config: Path | None = None
    """The repository's pyproject.toml, which says how its code looks."""


@dataclass(frozen=True)
class Converted:
    """What came of it."""

    files: Mapping[str, str]
    """Texts by their paths below the repository."""
    section: Mapping[str, object]
    """The workload's section of a stack's config."""
    questions: list[Question]
    recorded: int = 0
    """How many rows the source's answers are recorded of."""
    differences: list[str] = field(default_factory=list)
    """What the workload answers otherwise."""


def convert(source: Path, options: Options) -> Converted:
    """The workload that a notebook or a script becomes.

    Raises:
        ConversionError: it cannot be read, does not run, or has nothing to serve.
    """
    found = read(source)
    plan = plan_of(program(found), options.model)
    folder = str(source.resolve().parent)
    facts = _run(plan, found.name, folder, options.timeout_seconds) if options.run else None
    has_tasks = importlib.util.find_spec("heliostat.spec.tasks") is not None
    workload = Workload(options.name, plan, facts, options.interface, found.name, folder, has_tasks)
    made = running.formatted(files(workload), options.config)
    differences = None
    if facts is not None and facts.recorded:
        differences = running.differences(made, workload.package, recorded_answers(workload), options.timeout_seconds)
    questions = questions_of(workload, differences)
    made[f"workloads/{workload.module}/QUESTIONS.md"] = page(workload, questions)
    return Converted(made, section(workload), questions, len(facts.recorded) if facts else 0, differences or [])


def _run(plan: Plan, name: str, folder: str, seconds: float) -> Facts:
    """What a run of the program tells.

    Raises:
        ConversionError: it does not run; the text has the place.
    """
    outcome = running.recorded(_task(plan, name, folder), seconds)
    if outcome.failure is not None:
        place = Place(outcome.failure.cell, outcome.failure.line)
        skipped = [
            each for each in plan.program.questions if each.is_open and each.place is not None and "left out" in each.text
        ]
        hint = "".join(f"\n  {each.place}: {each.text}" for each in skipped)
        raise ConversionError(
            f"{name} does not run: {place}: {outcome.failure.error}; make it run from top to bottom, or take "
            f"--no-run, which records no "
            f"answers{f'. What was not run of it:{hint}' if hint else ''}"
        )
    if outcome.facts is None:
        raise ConversionError(f"{name} ended before its last statement: it must not exit by itself")
    return outcome.facts


def _task(plan: Plan, name: str, folder: str) -> Task:
    answer, statements = plan.answer, plan.program.statements
    asks = answer.statement is not None and answer.rows is not None
    return Task(
        name=name,
        folder=folder,
        statements=tuple(Line(code=ast.unparse(each.node), cell=each.place.cell, line=each.place.line) for each in statements),
        root=plan.root,
        root_from=plan.root_from,
        splits=tuple((each.index, each.part) for each in plan.splits),
        fit_at=plan.fit.index,
        model=plan.model,
        features=ast.unparse(plan.features),
        answer_at=answer.statement if asks and answer.statement is not None else plan.fit.index,
        answer_rows=ast.unparse(answer.rows) if asks and answer.rows is not None else ast.unparse(plan.features),
        answer_part=answer.part if asks else plan.fit.part,
        computed=ast.unparse(answer.after) if answer.after is not None and _is_computed(plan) else "",
        probe=probe_code(plan),
    )


def _is_computed(plan: Plan) -> bool:
    """Whether clients are told what the program computes from its model's answer."""
    probe = Workload("probe", plan, None, "rest", "", "", has_tasks=False)
    return bool(computed_answer(probe, "score"))
