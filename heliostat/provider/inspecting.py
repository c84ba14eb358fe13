"""What a resource's inputs say of the workload's code, held against the code itself before anything starts.

The code is imported in a process of its own, once for each state of it: that nothing was wrong is remembered in the
checkout (`.heliostat/inspections`), so that an update with nothing to do starts no process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

import heliostat
from heliostat.provider import postprocessing
from heliostat.provider.properties import text_of
from heliostat.provider.resource import Failure
from heliostat.spec import judging
from heliostat.spec.code import digest_of
from heliostat.spec.expectations import Expectations
from heliostat.spec.inspection import Asked, Inspection, InspectionTask, KeptProto, Role, ServedModelAddress, Told
from heliostat.spec.judging import check_mistakes, gate_mistakes
from heliostat.spec.personal import Privacy
from heliostat.spec.problem import Problem, scores_are_numbers
from heliostat.spec.training_resources import Code
from heliostat.spec.workload import Gate, Interface, Limits

_SECONDS: Final = 120.0
_TAIL: Final = 2_000
_OF_NUMBERS: Final = ("prediction-distance", "model-metric")
"""Checks of a field that has to be a number."""


async def inspect(code: Code, task: InspectionTask) -> Inspection:
    """What is wrong with the code; nothing where it does not lie here."""
    return await asyncio.to_thread(_inspected, code, task)


def _inspected(code: Code, task: InspectionTask) -> Inspection:
    if not Path(code.root).is_dir():
        return Inspection()
    kept = _place(code, task)
    with contextlib.suppress(OSError, ValidationError):
        return Inspection.model_validate_json(kept.read_bytes())
    found = _asked(code, task)
    if not (found.mistakes or found.model or found.closed or found.proto):
        with contextlib.suppress(OSError):
            _keep(kept, found)
    return found


async def of_entry_point(given: Mapping[str, Any], role: Role, place: str) -> list[Failure]:
    """Mistakes in the entry point that stands at `place` in the inputs beside its `code`."""
    entry_point = str(given[place])
    task = InspectionTask(asked=(Asked(entry_point=entry_point, role=role),))
    return entry_point_mistakes(await inspect(Code.model_validate(given["code"]), task), {entry_point: place})


async def of_contract(given: Mapping[str, Any]) -> list[Failure]:
    """Mistakes in the contract of some inputs, and in the post-processing steps behind it."""
    contract = str(given["contract"])
    steps, places = postprocessing.asked_of(given)
    task = InspectionTask(asked=(Asked(entry_point=contract, role=Role.CONTRACT), *steps))
    return entry_point_mistakes(await inspect(Code.model_validate(given["code"]), task), {**places, contract: "contract"})


async def of_metric(given: Mapping[str, Any], function: str, place: str) -> list[Failure]:
    """Mistakes in a metric of the workload's own, which stands at `place`."""
    task = InspectionTask(asked=(Asked(entry_point=function, role=Role.METRIC),))
    return entry_point_mistakes(await inspect(Code.model_validate(given["code"]), task), {function: place})


def gate_failures(given: Mapping[str, Any]) -> Iterator[Failure]:
    """What the gate in some inputs asks for and the task beside it does not have."""
    if not isinstance(given.get("gate"), Mapping):
        return
    try:
        gate = Gate.model_validate(given["gate"])
        problem = Problem.model_validate(given.get("problem") or {})
    except ValidationError:
        return  # told already
    for path, text in gate_mistakes(gate, problem):
        yield Failure(text_of(("gate", to_camel(str(path[0])), *path[1:])), text)


async def of_application(given: Mapping[str, Any]) -> list[Failure]:
    """Mistakes in an application's contract, its golden requests and its strategy's checks."""
    found, places = await inspect_application(given)
    return [
        *entry_point_mistakes(found, places),
        *([Failure("proto", found.proto)] if found.proto else []),
        *answer_mistakes(given["strategy"], found.answer),
        *metric_failures(given["strategy"]),
    ]


def metric_failures(strategy: Mapping[str, Any]) -> Iterator[Failure]:
    """Checks of a strategy (as it stands in the inputs) by a metric that the task in the check does not have."""
    for path, check in checks_of(strategy):
        if check.get("kind") == "model-metric":
            for place, text in check_mistakes(check, Problem.model_validate(check.get("of") or {})):
                yield Failure(text_of((*path, *place)), text)


async def inspect_application(
    given: Mapping[str, Any], model: ServedModelAddress | None = None
) -> tuple[Inspection, dict[str, str]]:
    """What is wrong with an application's code, and where each entry point is named; with `model`, whether it is loaded."""
    functions, metrics = functions_asked(given["strategy"]), metrics_asked(given["strategy"])
    contract = str(given["contract"])
    steps, places = postprocessing.asked_of(given)
    task = InspectionTask(
        asked=(
            Asked(entry_point=contract, role=Role.CONTRACT),
            *steps,
            *(Asked(entry_point=function, role=Role.CHECK) for function in functions if function != contract),
            *(Asked(entry_point=function, role=Role.METRIC) for function in metrics if function not in functions),
        ),
        limits=Limits.model_validate(given["limits"]),
        expectations=Expectations.model_validate(given["expectations"]) if given.get("expectations") else None,
        privacy=Privacy.model_validate(given["privacy"]) if given.get("privacy") else None,
        is_application=True,
        queue=bool(given.get("queue")),
        model=model,
        proto=_kept_proto(given),
    )
    return await inspect(Code.model_validate(given["code"]), task), {
        **places, **metrics, **functions, contract: "contract",
    }  # fmt: skip


def _kept_proto(given: Mapping[str, Any]) -> KeptProto | None:
    """The definition of an application that answers calls."""
    if not Interface(given.get("interface", Interface.REST)).has_grpc:
        return None
    return KeptProto(application=str(given["name"]), text=str(given.get("proto", "")))


def entry_point_mistakes(found: Inspection, places: Mapping[str, str]) -> list[Failure]:
    """Mistakes by the property's path; `places` says which property named an entry point."""
    return [Failure(places[each.entry_point], f"{each.entry_point} {each.text}") for each in found.mistakes]


def _place(code: Code, task: InspectionTask) -> Path:
    parts = (code.digest, _library(), sys.version, task.model_dump_json())
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return Path(code.root, ".heliostat", "inspections", f"{name}.json")


@cache
def _library() -> str:
    """The digest of what looks at the code."""
    top = Path(heliostat.__file__).parent
    parts = ("inspection", "ml", "serving", "spec")
    return digest_of(top, (str(path.relative_to(top)) for part in parts for path in (top / part).rglob("*.py")))


def _keep(place: Path, found: Inspection) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(f".{os.getpid()}")
    partial.write_text(found.model_dump_json(by_alias=True))
    partial.replace(place)


def _asked(code: Code, task: InspectionTask) -> Inspection:
    with tempfile.TemporaryDirectory(prefix="heliostat-inspection-") as folder:
        given, answer = Path(folder, "task.json"), Path(folder, "answer.json")
        given.write_text(task.model_dump_json(by_alias=True))
        path = os.pathsep.join([code.root, *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            ended = subprocess.run(  # noqa: S603 - our own program
                [sys.executable, "-m", "heliostat.inspection", str(given), str(answer)],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _failed(task, f"is not imported after {_SECONDS:g} s: what takes long belongs into a function")
        if ended.returncode or not answer.is_file():
            said = ended.stderr.decode(errors="replace").strip()[-_TAIL:]
            return _failed(task, f"ends the process that imports it: {said}")
        return Inspection.model_validate_json(answer.read_bytes())


def _failed(task: InspectionTask, text: str) -> Inspection:
    return Inspection(mistakes=tuple(Told(entry_point=asked.entry_point, text=text) for asked in task.asked))


def answer_mistakes(strategy: Mapping[str, Any], answer: Mapping[str, bool] | None) -> Iterator[Failure]:
    """Checks of a strategy (as it stands in the inputs) that ask for what the contract's answer does not have."""
    for path, check in checks_of(strategy):
        field = check.get("field")
        if answer is None or not isinstance(field, str):
            continue
        place = text_of((*path, "field"))
        if field not in answer:
            known = ", ".join(answer) or "nothing"
            yield Failure(place, f"the contract's answer has no field {field!r}: it has {known}")
        elif check.get("kind") in _OF_NUMBERS and not answer[field] and scores_are_numbers(_problem_of(check)):
            numbers = ", ".join(name for name, numeric in answer.items() if numeric) or "none"
            yield Failure(place, f"the field {field!r} of the contract's answer is no number; of those there are: {numbers}")


def metrics_asked(strategy: Mapping[str, Any]) -> dict[str, str]:
    """The workload's own metrics that a strategy's checks name, and where each is named first."""
    found: dict[str, str] = {}
    for path, check in checks_of(strategy):
        for metric in (check.get("of") or {}).get("metrics", ()):
            found.setdefault(metric["function"], text_of((*path, "metric")))
    return found


def _problem_of(check: Mapping[str, Any]) -> Problem | None:
    return Problem.model_validate(check["of"]) if check.get("of") else None


def functions_asked(strategy: Mapping[str, Any]) -> dict[str, str]:
    """The functions of a strategy's own checks, and where each is named first."""
    found: dict[str, str] = {}
    for path, check in checks_of(strategy):
        if isinstance(check.get("function"), str):
            found.setdefault(check["function"], text_of((*path, "function")))
    return found


def checks_of(strategy: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    """Every check in a strategy, as it stands in the inputs, with its path from the resource."""
    yield from ((("strategy", *path), check) for path, check in judging.checks_of(strategy))
