"""Loads a model by its flavour: the library's own object where that answers as MLflow's pyfunc does, else pyfunc.

Importing mlflow takes seconds, and its pyfunc looks at each request's types, which the contract has done by then.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from heliostat.ml.mlflow_models.described import MODEL_FILE
from heliostat.spec.logged_models import PYFUNC, Loader, LoggedModel, Reads

Answering = Callable[[Any, Mapping[str, Any]], Any]
"""From the model's input and parameters to its raw output."""


class NotLoadableError(ValueError):
    """What a model needs is not here; the text says what, and what to do."""


def load(folder: Path, model: LoggedModel, reads: Reads, loader: Loader = Loader.NATIVE) -> Answering:
    """The model in `folder`, ready to answer.

    Raises:
        NotLoadableError: its library is missing, or it does not load.
    """
    _see_its_code(folder, model)
    load_it = _pyfunc if loader is Loader.PYFUNC else _LOADERS.get(model.flavour, _pyfunc)
    try:
        return load_it(folder, model, reads)
    except ModuleNotFoundError as error:
        needs = model.library if model.flavour != PYFUNC and error.name == _MODULES.get(model.flavour) else error.name
        raise NotLoadableError(
            f"{model.name} needs the package {needs}, which is not here: name it in the model's `pip_requirements` when you "
            "log it, so that it gets an environment that has it, or install it where replicas run"
        ) from None


def _see_its_code(folder: Path, model: LoggedModel) -> None:
    """Put the code that was logged with it on the path, as MLflow does."""
    code = model.flavours.get(PYFUNC, {}).get("code")
    if isinstance(code, str) and (place := str(folder / code)) not in sys.path:
        sys.path.insert(0, place)


def _sklearn(folder: Path, model: LoggedModel, reads: Reads) -> Answering:
    said = model.flavours["sklearn"]
    loaded = _serialized(folder / str(said["pickled_model"]), said)
    if reads is Reads.ARRAY:
        _forget_names(loaded)
    return _without_parameters(getattr(loaded, str(model.flavours[PYFUNC].get("predict_fn") or "predict")))


def _lightgbm(folder: Path, model: LoggedModel, reads: Reads) -> Answering:
    said = model.flavours["lightgbm"]
    path = folder / str(said["data"])
    lightgbm = importlib.import_module("lightgbm")
    if said.get("model_class", "lightgbm.basic.Booster") == "lightgbm.basic.Booster":
        return _without_parameters(lightgbm.Booster(model_file=str(path)).predict)
    loaded = _serialized(path, said)
    if reads is Reads.ARRAY:
        _forget_names(loaded)
    return _without_parameters(loaded.predict)


def _xgboost(folder: Path, model: LoggedModel, reads: Reads) -> Answering:
    said, xgboost = model.flavours["xgboost"], importlib.import_module("xgboost")
    name = str(said.get("model_class", "xgboost.core.Booster"))
    if not name.startswith("xgboost."):
        raise NotLoadableError(f"{model.name} is a {name}, which is no class of xgboost's")
    loaded = getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2])()
    loaded.load_model(str(folder / str(said["data"])))
    if model.parameters:  # what becomes of them is MLflow's own
        return _pyfunc(folder, model, reads)
    if not isinstance(loaded, xgboost.Booster):
        return _without_parameters(partial(loaded.predict, validate_features=reads is not Reads.ARRAY))
    if reads is Reads.ARRAY:
        return _without_parameters(partial(loaded.inplace_predict, validate_features=False))
    return lambda given, _: loaded.predict(xgboost.DMatrix(given))


def _onnx(folder: Path, model: LoggedModel, reads: Reads) -> Answering:
    import numpy as np

    said, onnxruntime = model.flavours["onnx"], importlib.import_module("onnxruntime")
    wanted = [tuple(each) if isinstance(each, list) else each for each in said.get("providers") or ["CPUExecutionProvider"]]
    there = set(onnxruntime.get_available_providers())
    providers = [each for each in wanted if (each[0] if isinstance(each, tuple) else each) in there]
    session = onnxruntime.InferenceSession(str(folder / str(said["data"])), providers=providers or ["CPUExecutionProvider"])
    inputs = {each.name: each.type for each in session.get_inputs()}
    outputs = [each.name for each in session.get_outputs()]
    columnar = reads in (Reads.FRAME, Reads.ARRAY)

    def answer(given: Any, _: Mapping[str, Any]) -> Any:
        if hasattr(given, "columns"):
            given = {name: given[name].to_numpy() for name in inputs} if len(inputs) > 1 else given.to_numpy()
        feeds = given if isinstance(given, dict) else {next(iter(inputs)): given}
        feeds = {name: _single(array) if inputs[name] == "tensor(float)" else array for name, array in feeds.items()}
        found = session.run(outputs, feeds)
        return {name: np.asarray(each).reshape(-1) if columnar else each for name, each in zip(outputs, found, strict=True)}

    return answer


def _single(array: Any) -> Any:
    """As float32, where it is float64: ONNX takes each as it is declared."""
    return array.astype("float32") if array.dtype == "float64" else array


def _pyfunc(folder: Path, model: LoggedModel, _: Reads) -> Answering:
    # What MLflow would tell of this process goes to its makers, by a thread that changes the environment meanwhile.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    pyfunc = importlib.import_module("mlflow.pyfunc")
    loaded = pyfunc.load_model(str(folder), suppress_warnings=True)
    if not model.parameters:
        return lambda given, _: loaded.predict(given)
    return lambda given, parameters: loaded.predict(given, params=dict(parameters))


_LOADERS: Final[Mapping[str, Callable[[Path, LoggedModel, Reads], Answering]]] = {
    "sklearn": _sklearn,
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "onnx": _onnx,
}
_MODULES: Final = {"sklearn": "sklearn", "lightgbm": "lightgbm", "xgboost": "xgboost", "onnx": "onnxruntime"}


def _without_parameters(predict: Callable[[Any], Any]) -> Answering:
    return lambda given, _: predict(given)


def _serialized(path: Path, said: Mapping[str, Any]) -> Any:
    """An object that was saved: with skops, which is asked to trust what MLflow recorded that it may, or as a pickle."""
    if said.get("serialization_format") == "skops":
        skops = importlib.import_module("skops.io")
        return skops.load(path, trusted=said.get("skops_trusted_types"))
    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301 - who names a model trusts it: docs/models-of-others.md


def _forget_names(fitted: Any) -> None:
    """Have an estimator, and those in it, take arrays with no word about columns' names, which cost more than the answer."""
    waiting, seen = [fitted], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen or not hasattr(each, "get_params"):
            continue
        seen.add(id(each))
        vars(each).pop("feature_names_in_", None)
        for value in vars(each).values():
            parts = value if isinstance(value, (list, tuple)) else [value]
            for part in parts:
                waiting.extend(part if isinstance(part, tuple) else [part])


def digest_of(folder: Path) -> str:
    """SHA-256 of a model's `MLmodel`, which has its time and a number of its own: by it a model is known again."""
    import hashlib

    return hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()
