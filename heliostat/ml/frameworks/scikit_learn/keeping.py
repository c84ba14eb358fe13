"""Fitted values as files, without a pickle: each kind of value in a format that holds data and no code.

| value | kept as |
| --- | --- |
| numbers, text, booleans, None, and lists, tuples and mappings of them | JSON |
| NumPy's arrays and scalars | `.npy` |
| pandas' series, indexes and frames | Parquet |
| LightGBM's and XGBoost's models | their own text and JSON |
| everything of scikit-learn, and SciPy's matrices | skops |

skops is told to trust the types of scikit-learn, NumPy and SciPy, and nothing else (docs/adr has the reasons).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

INDEX: Final = "values.json"
_TRUSTED: Final = ("sklearn.", "numpy.", "scipy.")
_SHOWN: Final = 5


class UnkeepableError(ValueError):
    """A fitted value that no safe format holds; the text says which, why, and what to do."""


def save(values: Mapping[str, Any], directory: Path) -> None:
    """Write `values` into `directory`.

    Raises:
        UnkeepableError: with every value that cannot be kept.
    """
    index: dict[str, Any] = {}
    wrong: list[str] = []
    for number, (name, value) in enumerate(values.items()):
        try:
            index[name] = _saved(value, directory, f"{number:03d}")
        except UnkeepableError as error:
            wrong.append(f"{name}, a {type(value).__module__}.{type(value).__qualname__}, {error}")
    if wrong:
        raise UnkeepableError("; ".join(wrong))
    (directory / INDEX).write_text(json.dumps(index, indent=2))


def load(directory: Path) -> dict[str, Any]:
    """The values that `save` wrote into `directory`.

    Raises:
        ValueError: there are none, or a file holds types that are not trusted.
    """
    try:
        index = json.loads((directory / INDEX).read_text())
    except FileNotFoundError:
        raise ValueError(f"{directory} holds no {INDEX}: other code made the model") from None
    return {name: _loaded(entry, directory) for name, entry in index.items()}


def _saved(value: Any, directory: Path, stem: str) -> dict[str, Any]:
    """Write one value, and say how."""
    library = type(value).__module__.partition(".")[0]
    if _is_json(value):
        return {"form": "json", "value": _to_json(value)}
    if isinstance(value, np.ndarray | np.generic):
        return _array(value, directory / f"{stem}.npy")
    if library == "pandas":
        return _frame(value, directory / f"{stem}.parquet")
    if library == "lightgbm":
        return _lightgbm(value, directory / f"{stem}.lightgbm.txt")
    if library == "xgboost":
        path = directory / f"{stem}.xgboost.json"
        value.save_model(path)
        return {"form": "xgboost", "file": path.name, "class": type(value).__name__}
    return _skops(value, directory / f"{stem}.skops")


def _loaded(entry: Mapping[str, Any], directory: Path) -> Any:
    form = entry["form"]
    if form == "json":
        return _from_json(entry["value"])
    return _READERS[form](directory / entry["file"], entry)


def _array(value: Any, path: Path) -> dict[str, Any]:
    array = np.asarray(value)
    if array.dtype.hasobject:
        if not all(isinstance(each, str) for each in array.ravel()):
            raise UnkeepableError("holds objects, which only a pickle could keep: give numbers, booleans or text")
        np.save(path, array.astype(np.str_), allow_pickle=False)
        return {"form": "array", "file": path.name, "text": True}
    np.save(path, array, allow_pickle=False)
    return {"form": "array", "file": path.name, "scalar": isinstance(value, np.generic)}


def _load_array(path: Path, entry: Mapping[str, Any]) -> Any:
    array = np.load(path, allow_pickle=False)
    if entry.get("text"):
        return array.astype(object)
    return array[()] if entry.get("scalar") else array


def _frame(value: Any, path: Path) -> dict[str, Any]:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        kind, frame, name = "frame", value, None
    elif isinstance(value, pd.Series):
        kind, frame, name = "series", value.to_frame(name="value"), value.name
    elif isinstance(value, pd.Index):
        kind, frame, name = "index", pd.DataFrame({"value": value}), value.name
    else:
        return _skops(value, path.with_suffix(".skops"))
    try:
        frame.to_parquet(path)
    except Exception as error:
        raise UnkeepableError(f"cannot be written as Parquet ({error}): keep its numbers and texts alone") from None
    return {"form": "pandas", "file": path.name, "kind": kind, "name": name}


def _load_frame(path: Path, entry: Mapping[str, Any]) -> Any:
    import pandas as pd

    frame = pd.read_parquet(path)
    if entry["kind"] == "frame":
        return frame
    found = frame["value"].rename(entry["name"])
    return found if entry["kind"] == "series" else pd.Index(found, name=entry["name"])


def _lightgbm(value: Any, path: Path) -> dict[str, Any]:
    booster = getattr(value, "booster_", value)
    classes = getattr(value, "classes_", None)
    booster.save_model(str(path))
    return {"form": "lightgbm", "file": path.name, "classes": None if classes is None else np.asarray(classes).tolist()}


def _load_lightgbm(path: Path, entry: Mapping[str, Any]) -> Any:
    from heliostat.ml.frameworks.lightgbm.booster import Booster

    return BoosterModel(Booster(path), entry["classes"])


class BoosterModel:
    """A model of LightGBM with the methods of its scikit-learn interface, which its own format does not bring back."""

    def __init__(self, booster: Any, classes: list[Any] | None) -> None:
        self._booster = booster
        self.classes_ = None if classes is None else np.asarray(classes)

    def predict_proba(self, features: Any) -> Any:
        """Probabilities, rows x classes."""
        scores = np.asarray(self._booster.predict(np.ascontiguousarray(features, dtype=np.float64)))
        return scores if scores.ndim == 2 else np.column_stack([1 - scores, scores])

    def predict(self, features: Any) -> Any:
        """Classes, or numbers where there are none."""
        if self.classes_ is None:
            return np.asarray(self._booster.predict(np.ascontiguousarray(features, dtype=np.float64)))
        return self.classes_[self.predict_proba(features).argmax(axis=1)]


def _load_xgboost(path: Path, entry: Mapping[str, Any]) -> Any:
    import importlib

    model = getattr(importlib.import_module("xgboost"), entry["class"])()
    model.load_model(path)
    return model


def _skops(value: Any, path: Path) -> dict[str, Any]:
    import skops.io

    try:
        content = skops.io.dumps(value)
        unknown = _untrusted(content)
    except Exception as error:
        raise UnkeepableError(f"cannot be kept by skops ({type(error).__name__}: {error}): {_FIX}") from None
    if unknown:
        raise UnkeepableError(f"needs code that a file cannot bring along, {_listed(unknown)}: {_FIX}")
    path.write_bytes(content)
    return {"form": "skops", "file": path.name}


_FIX: Final = "a function of your own belongs into the features' code, where training and serving share it"


def load_skops(path: Path) -> Any:
    """The value in a file of skops.

    Raises:
        ValueError: it holds types that are not trusted.
    """
    import skops.io

    content = path.read_bytes()
    if unknown := _untrusted(content):
        raise ValueError(f"{path} holds {_listed(unknown)}, which is none of scikit-learn's: it was not made by this code")
    return skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))


def _untrusted(content: bytes) -> list[str]:
    import skops.io

    return [name for name in skops.io.get_untrusted_types(data=content) if not name.startswith(_TRUSTED)]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _is_json(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    if isinstance(value, dict):
        return all(isinstance(key, str | int | float) and _is_json(each) for key, each in value.items())
    return value is None or type(value) in (bool, int, float, str)


def _to_json(value: Any) -> Any:
    """With a mark where JSON would forget what it was: a tuple, or a mapping by numbers."""
    if isinstance(value, tuple):
        return {"tuple": [_to_json(each) for each in value]}
    if isinstance(value, dict):
        return {"mapping": [[key, _to_json(each)] for key, each in value.items()]}
    return [_to_json(each) for each in value] if isinstance(value, list) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(each) for each in value]
    if isinstance(value, dict):
        if "tuple" in value:
            return tuple(_from_json(each) for each in value["tuple"])
        return {key: _from_json(each) for key, each in value["mapping"]}
    return value


_READERS: Final[Mapping[str, Callable[[Path, Mapping[str, Any]], Any]]] = {
    "array": _load_array,
    "pandas": _load_frame,
    "lightgbm": _load_lightgbm,
    "xgboost": _load_xgboost,
    "skops": lambda path, _: load_skops(path),
}
