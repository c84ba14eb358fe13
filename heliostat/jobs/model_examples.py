"""The input example that MLflow keeps with a model, as rows of a request; and what the model's own object tells of its task.

Only the process that records a model's answers imports this, for it imports mlflow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from heliostat.spec.logged_models import LoggedModel, LoggedModelError, Reads
from heliostat.spec.model_contracts import ModelTask
from heliostat.spec.model_signatures import INPUT, reads_of

_MOST_ROWS: Final = 5
_LIBRARIES: Final = frozenset({"sklearn", "lightgbm", "xgboost", "numpy", "scipy"})
_OBJECTIVES: Final = {
    "binary": ModelTask.BINARY,
    "cross_entropy": ModelTask.BINARY,
    "multiclass": ModelTask.MULTICLASS,
    "multiclassova": ModelTask.MULTICLASS,
    "multi": ModelTask.MULTICLASS,
    "lambdarank": ModelTask.RANKING,
    "rank_xendcg": ModelTask.RANKING,
    "rank": ModelTask.RANKING,
    "quantile": ModelTask.QUANTILES,
    "reg": ModelTask.REGRESSION,
    **dict.fromkeys(
        ("regression", "regression_l1", "huber", "fair", "poisson", "mape", "gamma", "tweedie", "count"), ModelTask.REGRESSION
    ),
}
"""By the first part of what LightGBM and XGBoost call an objective."""


@dataclass(frozen=True)
class Example:
    """An input example as pyfunc takes it: its first rows."""

    inputs: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)


def of(folder: Path, model: LoggedModel) -> Example | None:
    """The model's input example; None where it has none.

    Raises:
        LoggedModelError: it cannot be read.
    """
    if model.example is None:
        return None
    from mlflow.models import Model

    described = Model.load(str(folder))
    try:
        inputs = described.load_input_example(str(folder))
        parameters = described.load_input_example_params(str(folder)) or {}
    except Exception as error:
        raise LoggedModelError(f"the input example of {model.name} cannot be read: {type(error).__name__}: {error}") from None
    return Example(_first(inputs), parameters)


def _first(inputs: Any) -> Any:
    if isinstance(inputs, Mapping) and not hasattr(inputs, "iloc"):
        return {name: np.asarray(each)[:_MOST_ROWS] for name, each in inputs.items()}
    return inputs.iloc[:_MOST_ROWS] if hasattr(inputs, "iloc") else inputs[:_MOST_ROWS]


def rows(example: Example, model: LoggedModel) -> list[dict[str, Any]]:
    """The example's rows as a client would send them; what is missing is null."""
    given, parameters = example.inputs, dict(example.parameters)
    match reads_of(model):
        case Reads.FRAME:
            types = {str(each["name"]): each.get("type") for each in model.inputs or ()}
            found = [
                {str(name): _plain(value, types.get(str(name))) for name, value in row.items()}
                for row in given.to_dict(orient="records")
            ]
        case Reads.TENSORS:
            count_ = len(next(iter(given.values())))
            found = [{name: _plain(each[row]) for name, each in given.items()} for row in range(count_)]
        case _:
            values = given.to_numpy() if hasattr(given, "to_numpy") else given
            found = [{INPUT: _plain(value)} for value in values]
    return [{**row, **{name: _plain(value) for name, value in parameters.items()}} for row in found]


def _plain(value: Any, kind: Any = None) -> Any:
    """A value as JSON, and the contract's strict types, have it."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)) or str(value) == "NaT":
        return None
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    if kind == "datetime" and not isinstance(value, str):
        return value.isoformat()
    return float(value) if kind in ("float", "double") and not isinstance(value, bool) else value


def schema(answered: Any) -> list[dict[str, Any]]:
    """What MLflow would write of an answer into a signature."""
    from mlflow.models import infer_signature

    signature = infer_signature(None, answered)
    found: list[dict[str, Any]] = signature.outputs.to_dict() if signature.outputs is not None else []
    return found


def count(answered: Any) -> int:
    """How many rows an answer has."""
    if isinstance(answered, Mapping) and not hasattr(answered, "iloc"):
        return len(next(iter(answered.values())))
    return int(answered.shape[0]) if hasattr(answered, "shape") else len(answered)


def task_of(folder: Path, model: LoggedModel) -> tuple[str, str]:
    """The kind of problem, where the model's own object tells it, and what it tells of the answer; both empty where not."""
    try:
        raw = _raw(folder, model)
    except Exception:
        return "", ""
    if model.flavour in ("lightgbm", "xgboost") and not hasattr(raw, "get_params"):
        return str(_OBJECTIVES.get(_objective(model.flavour, raw), "")), ""
    from sklearn.base import is_classifier, is_regressor

    if not hasattr(raw, "get_params") or not (is_classifier(raw) or is_regressor(raw)):
        return "", ""
    if is_regressor(raw):
        return ModelTask.REGRESSION.value, ""
    classes = getattr(raw, "classes_", None)
    if classes is None or isinstance(classes, list):
        return (ModelTask.MULTILABEL.value if isinstance(classes, list) else ""), ""
    kind = ModelTask.BINARY if len(classes) == 2 else ModelTask.MULTICLASS
    named = ", ".join(str(each) for each in list(classes)[:20]) + (", ..." if len(classes) > 20 else "")
    asked = model.flavours["python_function"].get("predict_fn", "predict")
    return kind.value, f"one of {named}" if asked == "predict" else f"{asked} of {named}, in this order"


def _raw(folder: Path, model: LoggedModel) -> Any:
    import mlflow.pyfunc

    if model.flavour not in ("sklearn", "lightgbm", "xgboost"):
        return None
    return mlflow.pyfunc.load_model(str(folder), suppress_warnings=True).get_raw_model()


def _objective(flavour: str, raw: Any) -> str:
    if flavour == "lightgbm":
        return str(raw.dump_model(num_iteration=1).get("objective", "")).split()[0]
    import json

    return str(json.loads(raw.save_config())["learner"]["objective"]["name"]).partition(":")[0]


def is_of_libraries(folder: Path, model: LoggedModel) -> bool:
    """Whether an estimator, and all those in it, are classes of known libraries and no functions of somebody's own."""
    try:
        waiting: list[Any] = [_raw(folder, model)]
    except Exception:
        return False
    while waiting:
        each = waiting.pop()
        if callable(each) and not hasattr(each, "get_params"):
            return False
        if hasattr(each, "get_params"):
            if type(each).__module__.partition(".")[0] not in _LIBRARIES or type(each).__name__ == "FunctionTransformer":
                return False
            waiting.extend(_parts(each.get_params(deep=False).values()))
    return True


def _parts(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        entries = value if isinstance(value, (list, tuple)) else [value]
        for entry in entries:
            found.extend(entry if isinstance(entry, (list, tuple)) else [entry])
    return [each for each in found if hasattr(each, "get_params") or callable(each)]
