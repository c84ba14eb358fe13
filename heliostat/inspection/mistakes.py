"""The mistakes in a workload's code that show without running what it does."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from difflib import ndiff
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from heliostat.ml.arrays import ArrayModel
from heliostat.ml.contracts import Contract, Golden, fields_of, load_entry_point, reads_whole
from heliostat.ml.ensembles import load_model
from heliostat.ml.federated import Federation
from heliostat.serving.bodies import Bodies, problems
from heliostat.serving.expectations import ExpectedRows
from heliostat.serving.postprocessing import parameters_of
from heliostat.spec.expectations import Expectations
from heliostat.spec.inspection import Asked, Inspection, InspectionTask, KeptProto, Role, ServedModelAddress, Told
from heliostat.spec.personal import Privacy
from heliostat.spec.workload import Limits

_OURS: Final = ("heliostat/", "importlib", "<frozen")
_MOST_CHANGES: Final = 400
_NUMBERS: Final = frozenset({"number", "integer", "boolean"})


def inspected(task: InspectionTask) -> Inspection:
    """Every mistake in what is asked about."""
    told: list[Told] = []
    answer, model, closed, proto = None, "", "", ""
    inputs: tuple[str, ...] | None = None
    personal, unlogged = tuple[str, ...](), tuple[str, ...]()
    for asked in task.asked:
        found, texts = _loaded(asked)
        if isinstance(found, Contract):
            texts += mistakes_of(found, task.limits, task.expectations if task.is_application else None)
            texts += _personal(found, task) if not texts else ()
            answer = _answer_fields(found.answer) if _is_model(found.answer) else None
            inputs = tuple(fields_of(found)) if _is_model(found.row) else None
            personal = _personal_names(found.row) if _is_model(found.row) else ()
            unlogged = _unlogged(found.row) if _is_model(found.row) else ()
            model, closed = _unservable(found, task.model) if task.model is not None and not texts else ("", "")
            proto = _stale(found, task.proto) if task.proto is not None and not texts else ""
        told += [Told(entry_point=asked.entry_point, text=text) for text in texts]
    return Inspection(
        mistakes=tuple(told), model=model, closed=closed, proto=proto, answer=answer, inputs=inputs, personal=personal,
        unlogged=unlogged,
    )  # fmt: skip


def _loaded(asked: Asked) -> tuple[Any, list[str]]:
    try:
        found = load_entry_point(asked.entry_point)
    except Exception as error:
        return None, [f"cannot be imported: {_why(error)}"]
    mistakes = list(_ROLES[asked.role](found))
    if asked.role is Role.POSTPROCESSING and not mistakes:
        try:
            parameters_of(found, asked.parameters)
        except ValueError as error:
            mistakes.append(f"cannot be a step: {error}")
    return found, mistakes


def _why(error: Exception) -> str:
    """The error with the line of the workload's own code that it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not any(own in frame.filename for own in _OURS)]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _takes(given: Any, what: str, arguments: int = 1) -> Iterator[str]:
    """That a function is none, or does not take so many arguments."""
    if not callable(given):
        yield f"is a {type(given).__name__}: it must be a function of {what}"
        return
    try:
        signature = inspect.signature(given)
        signature.bind(*[None] * arguments)
    except ValueError:  # of some built-ins nothing is known
        return
    except TypeError as error:
        yield f"takes {signature}: it must take {what} ({error})"


def _predictor(given: Any) -> Iterator[str]:
    if not isinstance(given, type):
        yield f"is a {type(given).__name__}: it must be a class with `load` and `predict`"
        return
    for name, what, instance in (("load", "a directory", ()), ("predict", "columns", (None,))):
        method = getattr(given, name, None)
        if method is None:
            yield f"has no method `{name}`: a predictor has `load(directory)`, a class method, and `predict(columns)`"
            continue
        try:
            inspect.signature(method).bind(*instance, None)
        except TypeError as error:
            kind = "a class method that takes" if name == "load" else "to take"
            yield f"`{name}` must be {kind} {what}: {error}"


def _is_contract(given: Any) -> Iterator[str]:
    if not isinstance(given, Contract):
        yield f"is a {type(given).__name__}: it must be a heliostat.ml.contracts.Contract"


def _federation(given: Any, private: bool = False) -> Iterator[str]:
    if not isinstance(given, Federation):
        base = "FederatedAveraging or FederatedSums of heliostat.ml.federated"
        yield f"is a {type(given).__name__}: it must be an object of a class below {base}"
        return
    if private and not given.private:
        yield f"is a {type(given).__name__}, whose sums cannot be clipped: `privacy` needs a FederatedAveraging"
    if not (isinstance(getattr(given, "predictor", None), type) and issubclass(given.predictor, ArrayModel)):
        yield "has no `predictor`: a class below heliostat.ml.arrays.ArrayModel, which is made of the last parameters"


_ROLES: Final[Mapping[Role, Callable[[Any], Iterator[str]]]] = {
    Role.DATASET: lambda given: _takes(given, "one argument, the parameters"),
    Role.INGESTED: lambda given: _takes(given, "two arguments, the parameters and the rows that are ingested", 2),
    Role.AUGMENTATION: lambda given: _takes(given, "two arguments, the train split and the parameters", 2),
    Role.TRANSFORMATION: lambda given: _takes(given, "one argument, the columns"),
    Role.TRAINING: lambda given: _takes(given, "one argument, the training's context"),
    Role.FEDERATION: _federation,
    Role.PRIVATE_FEDERATION: lambda given: _federation(given, private=True),
    Role.PREDICTOR: _predictor,
    Role.CONTRACT: _is_contract,
    Role.CHECK: lambda given: _takes(given, "one argument, the candidate"),
    Role.POSTPROCESSING: lambda given: _takes(given, "three arguments, the rows, their answers and what is given", 3),
    Role.METRIC: lambda given: _takes(given, "two arguments, the labels and the predictions", 2),
}


def mistakes_of(contract: Contract[Any, Any], limits: Limits, expectations: Expectations | None = None) -> Iterator[str]:
    """What in a contract cannot work."""
    wrong = [name for name in ("row", "answer") if not _is_model(getattr(contract, name))]
    yield from (f"its `{name}` must be a pydantic model, a class" for name in wrong)
    yield from (f"its predictor: {text}" for text in _predictor(contract.predictor))
    yield from (f"its `respond`: {text}" for text in _takes(contract.respond, "one argument, a score"))
    if "row" in wrong:
        return
    for number, example in enumerate(contract.examples):
        if not isinstance(example, contract.row):
            yield f"its example {number} is a {type(example).__name__}: it must be a {contract.row.__name__}"
    expected = ExpectedRows(expectations, contract.row) if expectations is not None else None
    yield from expected.unknown if expected is not None else ()
    bodies = Bodies(contract.row, limits.max_rows, expected)
    for golden in contract.golden:
        yield from _golden(golden, bodies, limits)


def _personal(contract: Contract[Any, Any], task: InspectionTask) -> Iterator[str]:
    """What cannot be done about the personal fields of an application's contract."""
    from heliostat.serving import personal
    from heliostat.serving.prediction_log.columns import Columns

    if task.privacy is None and not task.is_application:
        return
    privacy = task.privacy or Privacy()
    columns = Columns.of(contract.row, contract.answer)
    yield from personal.mistakes_of(contract, columns, privacy, bool(privacy.keys), task.queue)


def _personal_names(row: type[BaseModel]) -> tuple[str, ...]:
    from heliostat.serving.prediction_log.columns import personal_names

    return personal_names(row)


def _unlogged(row: type[BaseModel]) -> tuple[str, ...]:
    from heliostat.serving.prediction_log.columns import Shape, columns_of_rows

    return tuple(each.name for each in columns_of_rows(row) if each.kind.shape is Shape.SECRET)


def _golden(golden: Golden, bodies: Bodies, limits: Limits) -> Iterator[str]:
    """That a golden request is not answered with the status that it is to be answered with, whatever the model says."""
    body = golden.body
    if len(body) > limits.max_body_bytes and golden.status == 200:
        yield f"its golden request {golden.name!r} has {len(body)} bytes, limits.maxBodyBytes is {limits.max_body_bytes}"
        return
    try:
        bodies.read(body)
    except ValidationError as error:
        if golden.status == 200:
            found = problems(error, body)
            places = "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in found[:3])
            yield f"it refuses its own golden request {golden.name!r}, which expects an answer: {places}"
        return
    if golden.status == 422:
        yield f"it takes its golden request {golden.name!r}, which expects a refusal (422)"


def _answer_fields(answer: type[BaseModel]) -> dict[str, bool] | None:
    """The fields of an answer's JSON, and whether each can be a number."""
    if answer.model_config.get("extra") == "allow":
        return None
    schema = answer.model_json_schema(by_alias=True, mode="serialization")
    definitions = schema.get("$defs", {})
    properties = schema.get("properties")
    return None if properties is None else {name: _numeric(field, definitions) for name, field in properties.items()}


def _numeric(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    """Whether a value of this schema can be a number or a boolean; where that is not plain, it can."""
    if "$ref" in schema:
        return _numeric(definitions.get(schema["$ref"].rpartition("/")[2], {}), definitions)
    choices = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    if choices:
        return any(_numeric(choice, definitions) for choice in choices)
    kinds = schema.get("type")
    return kinds is None or bool(_NUMBERS & set([kinds] if isinstance(kinds, str) else kinds))


def _stale(contract: Contract[Any, Any], kept: KeptProto) -> str:
    """Why the definition that is kept is not the contract's."""
    from heliostat.serving.grpc.definition import define
    from heliostat.spec.proto import DefinitionError, parse, text_of

    command = f"`heliostat proto {kept.application}`"
    if not kept.text:
        return f"there is none: {command} writes contract.proto beside the contract's module; commit it"
    try:
        wanted = text_of(define(contract, kept.application, parse(kept.text)))
    except DefinitionError as error:
        return f"contract.proto cannot be read: {error}"
    except ValueError as error:
        return str(error)
    if wanted == kept.text:
        return ""
    changes = ndiff(kept.text.splitlines(), wanted.splitlines())
    shown = "; ".join(line for line in changes if line[:2] in ("- ", "+ "))[:_MOST_CHANGES]
    return f"contract.proto is not the contract's ({shown}): {command} brings it up to date, and numbers what is new"


def _unservable(contract: Contract[Any, Any], model: ServedModelAddress) -> tuple[str, str]:
    """Why the contract's predictor cannot serve a model, and why nobody is let in to the model.

    Both are empty where it can, or where MLflow is not up to tell.
    """
    from heliostat.serving import model_cache
    from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError

    try:
        whole = reads_whole(contract.predictor)
        folder = model_cache.fetch(model.uri, model.tracking_uri, model.tracking_access, whole=whole)
    except RetryableError:
        return "", ""
    except NoAccessError as error:
        return "", str(error)
    except (PermanentError, ValueError) as error:
        return str(error), ""
    try:
        load_model(contract.predictor, folder)
    except Exception as error:
        return f"the predictor of the contract does not load it: {_why(error)}", ""
    return "", ""


def _is_model(given: Any) -> bool:
    return isinstance(given, type) and issubclass(given, BaseModel)
