"""Looks at a model of others and records what it answers: `python -m heliostat.jobs.record <task> <found>`, files of JSON.

`heliostat contract` starts it, in the environment that the model will be served in: a model is code, and loads in a process of
its own. What it answers is MLflow's word (`mlflow.pyfunc`); the library's own object is taken where it answers the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from heliostat.jobs import model_examples
from heliostat.ml.mlflow_models import flavours, outputs
from heliostat.ml.mlflow_models.contracts import alike, as_json
from heliostat.ml.mlflow_models.described import model_in
from heliostat.ml.mlflow_models.rows import type_of
from heliostat.spec.logged_models import FLAVOURS, Loader, LoggedModel, LoggedModelError, Reads
from heliostat.spec.model_contracts import TODO, ModelContract, Ranges, questions
from heliostat.spec.model_fields import NUMBERS, ModelField
from heliostat.spec.model_signatures import Draft, answer_draft, misfits, reads_of, request_draft
from heliostat.spec.recording import Found, RecordingTask

_TOLERANCE: Final = 1e-9
_NO_ROWS: Final = "0" * 64


def main(task: str, found: str) -> None:
    """Read the task and write what was found; a mistake of the model is told in it."""
    asked = RecordingTask.model_validate_json(Path(task).read_bytes())
    try:
        result = record(asked)
    except (LoggedModelError, flavours.NotLoadableError, outputs.AnswerError) as error:
        result = Found(mistake=str(error))
    Path(found).write_text(result.model_dump_json(by_alias=True))


def record(task: RecordingTask) -> Found:
    """The draft of a contract, or the answers that one that is there lacks.

    Raises:
        LoggedModelError, NotLoadableError, AnswerError: the model cannot be served as it is.
    """
    folder = Path(task.folder)
    model = model_in(folder, task.name)
    digest = flavours.digest_of(folder)
    if task.contract is not None:
        return _again(folder, model, task, digest)
    request = request_draft(model)
    example = model_examples.of(folder, model)
    answered = None if example is None else _answered(folder, model, example)
    told = list(model.outputs or ()) or (model_examples.schema(answered) if answered is not None else [])
    answer = answer_draft(model, told) if told else {"prediction": {"type": f"{TODO}: the signature says nothing of answers"}}
    if answered is not None:
        _require_truth(model, answer, answered)
    rows = [] if example is None else model_examples.rows(example, model)
    task_guess, meaning = model_examples.task_of(folder, model)
    for each in answer.values():
        if meaning and "description" in each:
            each["description"] = f"{each['description']}; {meaning}"
    draft = {"reads": reads_of(model).value, "request": request, "answer": answer, "examples": as_json(rows)}
    if not rows or list(questions({"request": request, "types": [each.get("type") for each in answer.values()]})):
        return Found(draft=draft, task=task_guess, digest=digest, open=True)
    return _with_answers(folder, model, draft, Found(draft=draft, task=task_guess, digest=digest))


def _again(folder: Path, model: LoggedModel, task: RecordingTask, digest: str) -> Found:
    """The answers to the examples of a contract that is there."""
    draft = dict(task.contract or {})
    known = Found(draft=draft, digest=digest)
    contract = _contract(draft)
    if found := misfits(contract, model):
        raise LoggedModelError(f"the signature of {model.name} does not fit the contract: {'; '.join(found)}")
    return _with_answers(folder, model, draft, known)


def _with_answers(folder: Path, model: LoggedModel, draft: dict[str, Any], known: Found) -> Found:
    contract = _contract(draft)
    row = type_of("Row", contract.request)
    try:
        rows = [row.model_validate_json(json.dumps(example), strict=True) for example in contract.examples]
    except ValueError as error:
        raise LoggedModelError(
            f"the input example of {model.name} does not fit its own signature, which tells other than it takes: {error}. "
            "Log it again with a signature that is inferred of this example"
        ) from None
    given = {name: [getattr(each, attribute) for each in rows] for attribute, name in _attributes(row)}
    reads, loader, answers = _best(folder, model, contract, given, len(rows))
    return known.model_copy(update={"reads": reads, "loader": loader, "answers": tuple(as_json(each) for each in answers)})


def _attributes(row: Any) -> list[tuple[str, str]]:
    return [(attribute, field.alias or attribute) for attribute, field in row.model_fields.items()]


def _best(
    folder: Path, model: LoggedModel, contract: ModelContract, given: Mapping[str, Any], rows: int
) -> tuple[Reads, Loader, list[Any]]:
    """The quickest way that answers as pyfunc does, and the answers."""
    expected = _ask(folder, model, contract, given, rows, Loader.PYFUNC)
    ways = [(contract.reads, Loader.NATIVE)] if model.flavour in FLAVOURS else []
    if ways and contract.reads in (Reads.FRAME, Reads.ARRAY) and _may_be_an_array(folder, model, contract):
        ways.insert(0, (Reads.ARRAY, Loader.NATIVE))
    for reads, loader in ways:
        try:
            found = _ask(folder, model, contract.model_copy(update={"reads": reads}), given, rows, loader)
        except Exception:  # noqa: S112 - whatever it fails with, there is another way
            continue
        if alike(as_json(found), as_json(expected), _TOLERANCE):
            return reads, loader, expected
    return Reads.FRAME if contract.reads is Reads.ARRAY else contract.reads, Loader.PYFUNC, expected


def _ask(
    folder: Path, model: LoggedModel, contract: ModelContract, given: Mapping[str, Any], rows: int, loader: Loader
) -> list[Any]:
    from heliostat.ml.mlflow_models.contracts import answers_of
    from heliostat.ml.mlflow_models.predictor import MlflowPredictor

    if loader is Loader.PYFUNC and contract.reads is Reads.ARRAY:
        contract = contract.model_copy(update={"reads": Reads.FRAME})
    kind = MlflowPredictor.of(contract)
    predictor = kind(model, flavours.load(folder, model, contract.reads, loader))
    return answers_of(contract, predictor.predict(given))


def _may_be_an_array(folder: Path, model: LoggedModel, contract: ModelContract) -> bool:
    """Whether the columns are numbers, none may be missing, and nothing but libraries' own code looks at them."""
    columns = contract.columns.values()
    numbers = all(field.type in NUMBERS and field.required for field in columns)
    return numbers and (model.flavour != "sklearn" or model_examples.is_of_libraries(folder, model))


def _answered(folder: Path, model: LoggedModel, example: model_examples.Example) -> Any:
    """What pyfunc answers to the input example.

    Raises:
        LoggedModelError: it does not.
    """
    try:
        return flavours.load(folder, model, reads_of(model), Loader.PYFUNC)(example.inputs, example.parameters)
    except flavours.NotLoadableError:
        raise
    except Exception as error:
        raise LoggedModelError(
            f"{model.name} does not answer its own input example: {type(error).__name__}: {error}. Log it again with one, and "
            "with a signature, that it takes"
        ) from None


def _require_truth(model: LoggedModel, answer: Mapping[str, Draft], answered: Any) -> None:
    """See that the signature tells what the model answers.

    Raises:
        LoggedModelError: it tells something else.
    """
    fields = {name: ModelField.model_validate(_answerable(draft)) for name, draft in answer.items()}
    rows = model_examples.count(answered)
    try:
        outputs.reader(fields)(answered, rows)
    except outputs.AnswerError as error:
        raise LoggedModelError(
            f"the signature of {model.name} tells another answer than the model gives: {error}. Log it again with "
            "`signature=mlflow.models.infer_signature(inputs, answers)` of what it really answers"
        ) from None


def _answerable(draft: Draft) -> Draft:
    return {key: value for key, value in draft.items() if key != "description"}


def _contract(draft: Mapping[str, Any]) -> ModelContract:
    """The draft as a contract, with what is only asked of people left out."""
    examples: Sequence[Any] = draft["examples"]
    placeholder = {"name": "example", "request": {}, "answer": {}}
    return ModelContract.model_validate(
        {
            "title": "draft",
            "description": "draft",
            "task": "free",
            "ranges": Ranges.OPEN,
            "reads": draft["reads"],
            "request": draft["request"],
            "answer": draft["answer"],
            "examples": examples,
            "recorded": {"model": draft.get("model", "draft"), "digest": _NO_ROWS},
            "golden": [placeholder],
        }
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
