"""A LightGBM model that only predicts, straight on the library's C API.

A replica loads this instead of the package `lightgbm`, whose import brings scikit-learn and pandas along (3 s, and most of
what a starting replica takes from those that serve beside it), and whose `predict` spends more on a row than the trees do.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import re
import threading
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.extras import require

__all__ = ["Booster"]

require("lightgbm", extra="lightgbm")

_FLOAT64: Final = 1
_NORMAL: Final = 0
_ALL_ROUNDS: Final = -1
_PARAMETERS: Final = b"num_threads=1"
"""Replicas share a machine, and a row is too little to share out."""


_CLASSES: Final = re.compile(r"\bnum_class:(\d+)")


class Booster:
    """A trained model, read from LightGBM's text format. Safe to use from several threads.

    LightGBM writes as many scores a row as a model has classes, into whatever it is given. So `outputs` is what the library
    says it will write, never what the caller expects of the model, and a file that would have it write more is refused.

    Raises:
        ValueError: the file is no LightGBM model, or contradicts itself.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        if not text.startswith("tree\n"):  # LightGBM ends the process for some of what it cannot read
            raise ValueError(f"{path} is not a LightGBM model in text format")
        if len(said := _outputs(text)) != 1:
            counts = ", ".join(f"{name} {count}" for count, name in sorted(said.items()))
            raise ValueError(f"{path} contradicts itself on how many scores it gives ({counts}): it is damaged")
        self._handle = ctypes.c_void_p()
        rounds = ctypes.c_int()
        try:
            _call("LGBM_BoosterLoadModelFromString", text.encode(), ctypes.byref(rounds), ctypes.byref(self._handle))
        except RuntimeError as error:
            raise ValueError(f"{path} cannot be read: {error}") from None
        self.rounds = rounds.value
        self.features = tuple(_header(text, "feature_names").split())
        self.outputs = self._scores_of(1)
        """Scores a row: the number of classes, or 1."""
        self._fast = ctypes.c_void_p()
        _call(
            "LGBM_BoosterPredictForMatSingleRowFastInit",
            self._handle, _NORMAL, 0, _ALL_ROUNDS, _FLOAT64, len(self.features), _PARAMETERS, ctypes.byref(self._fast),
        )  # fmt: skip
        self._lock = threading.Lock()  # one configuration for single rows, with a buffer of its own
        self._length = ctypes.c_int64()
        self._row = np.empty(self.outputs)
        self._predict_one = _library().LGBM_BoosterPredictForMatSingleRowFast
        self._length_reference, self._row_address = ctypes.byref(self._length), self._row.ctypes.data

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores of `matrix` (rows x features, in the order of `features`): one a row, or rows x `outputs` of several.

        Raises:
            ValueError: another number of columns.
        """
        if matrix.ndim != 2 or matrix.shape[1] != len(self.features):
            raise ValueError(f"the model takes {len(self.features)} features a row, not {matrix.shape[1:]}")
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        scores = self._one(matrix) if len(matrix) == 1 else self._many(matrix)
        return scores if self.outputs == 1 else scores.reshape(len(matrix), self.outputs)

    def _one(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        with self._lock:
            if self._predict_one(self._fast, matrix.ctypes.data, self._length_reference, self._row_address):
                raise RuntimeError(f"LightGBM: {_last_error()}")
            return self._row.copy()

    def _many(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = np.empty(self._scores_of(len(matrix)))
        length = ctypes.c_int64()
        _call(
            "LGBM_BoosterPredictForMat",
            self._handle, ctypes.c_void_p(matrix.ctypes.data), _FLOAT64, len(matrix), matrix.shape[1], 1, _NORMAL, 0,
            _ALL_ROUNDS, _PARAMETERS, ctypes.byref(length), scores.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        )  # fmt: skip
        return scores

    def _scores_of(self, rows: int) -> int:
        """How many doubles LightGBM writes for so many rows."""
        length = ctypes.c_int64()
        _call("LGBM_BoosterCalcNumPredict", self._handle, rows, _NORMAL, 0, _ALL_ROUNDS, ctypes.byref(length))
        return length.value

    def __del__(self) -> None:
        if getattr(self, "_fast", None):
            _library().LGBM_FastConfigFree(self._fast)
        if getattr(self, "_handle", None):
            _library().LGBM_BoosterFree(self._handle)


def parameter_aliases() -> dict[str, list[str]]:
    """The name of every parameter that LightGBM knows, with its other names."""
    length = ctypes.c_int64()
    _call("LGBM_DumpParamAliases", ctypes.c_int64(0), ctypes.byref(length), None)
    text = ctypes.create_string_buffer(length.value)
    _call("LGBM_DumpParamAliases", length, ctypes.byref(length), text)
    found: dict[str, list[str]] = json.loads(text.value)
    return found


def _outputs(text: str) -> dict[int, str]:
    """What a model's header says, in three places, of its scores a row. LightGBM asks one and writes by the others."""
    objective = _CLASSES.search(_header(text, "objective", ""))
    said = {name: _header(text, name) for name in ("num_class", "num_tree_per_iteration")}
    if objective:
        said["objective"] = objective[1]
    return {int(count): name for name, count in said.items()}


def _header(text: str, name: str, default: str | None = None) -> str:
    for line in text[: text.index("\n\n") if "\n\n" in text else None].splitlines():
        if line.startswith(f"{name}="):
            return line.partition("=")[2]
    if default is not None:
        return default
    raise ValueError(f"the LightGBM model names no {name}")


@cache
def _library() -> Any:
    spec = importlib.util.find_spec("lightgbm")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("the package lightgbm is not installed")
    library = ctypes.CDLL(str(Path(spec.submodule_search_locations[0], "lib", "lib_lightgbm.so")))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    library.LGBM_BoosterPredictForMatSingleRowFast.argtypes = [ctypes.c_void_p] * 4
    library.LGBM_RegisterLogCallback(_SILENT)
    return library


_SILENT = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda message: None)


def _call(name: str, *arguments: Any) -> None:
    if getattr(_library(), name)(*arguments):
        raise RuntimeError(f"LightGBM: {_last_error()}")


def _last_error() -> str:
    text: bytes = _library().LGBM_GetLastError()
    return text.decode(errors="replace")
