"""A model that MLflow logged, as its `MLmodel` and its requirements describe it; and the addresses that name one. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from heliostat.spec.base import Digest, Model

ModelSource = Annotated[
    str,
    Field(
        pattern=r"^(models:/[^/@\s]+/[1-9][0-9]*|models:/[^/@\s]+@[A-Za-z0-9_-]+|models:/m-[0-9a-f]+|runs:/[0-9a-f]{32}/\S+"
        r"|(s3|gs)://[^/\s]+/\S+|file:///\S+)$"
    ),
]
"""A model that MLflow logged: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `models:/m-ID`, `runs:/ID/NAME`, or the address of
the folder that holds its `MLmodel`: `s3://`, `gs://` or `file:///`."""

FLAVOURS: Final = ("sklearn", "lightgbm", "xgboost", "onnx")
"""Those whose own object answers, in this order of preference; what has none of them answers by MLflow's pyfunc."""
_LIBRARIES: Final = {
    "sklearn": "scikit-learn",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "onnx": "onnxruntime",
}
PYFUNC: Final = "python_function"
_PICKLES: Final = re.compile(r"\.(pkl|pickle|joblib)$")


class LoggedModelError(ValueError):
    """A model that cannot be served as it was logged; the text says why, and what to do."""


class Reads(StrEnum):
    """What the model is given the rows of a request as."""

    FRAME = "frame"
    """A pandas frame of its columns."""
    ARRAY = "array"
    """A NumPy array of its columns, which all are numbers."""
    TENSOR = "tensor"
    """One NumPy array, a row at a time."""
    TENSORS = "tensors"
    """NumPy arrays by name."""
    LIST = "list"
    """A list of values, as the model's type hints say."""


class Loader(StrEnum):
    """What answers."""

    NATIVE = "native"
    """The object of the flavour's own library, where it has one of those that are known."""
    PYFUNC = "pyfunc"
    """MLflow's wrapper of it."""


class ModelEnvironment(Model):
    """Packages of a model's own, which replicas find before what is installed."""

    digest: Digest
    """Of what is in it, and for which Python and machine."""
    uri: str
    """A zip in the object store, by that digest."""
    packages: tuple[str, ...]
    """`name==version` of all that it holds."""


class LoggedModel(Model):
    """What is known of a model without loading it."""

    name: str
    """As it was asked for."""
    flavours: dict[str, dict[str, Any]]
    inputs: tuple[dict[str, Any], ...] | None
    """The signature's, as MLflow writes it; None where there is none."""
    outputs: tuple[dict[str, Any], ...] | None
    parameters: tuple[dict[str, Any], ...] = ()
    hinted: bool = False
    """Whether the signature is made of type hints, so that the model takes a list."""
    example: dict[str, Any] | None = None
    """Where the input example lies; None where there is none."""
    python: str = ""
    """The Python that logged it, e.g. 3.11.7."""
    mlflow: str = ""
    """The MLflow that logged it."""
    requirements: tuple[str, ...] = ()
    """The lines of its requirements.txt."""

    @property
    def flavour(self) -> str:
        """The flavour that answers: the one that MLflow's pyfunc itself would load."""
        loader = self.flavours.get(PYFUNC, {}).get("loader_module")
        return next((each for each in FLAVOURS if each in self.flavours and loader == f"mlflow.{each}"), PYFUNC)

    @property
    def library(self) -> str | None:
        """What has to be installed for its flavour, by the package's name; None where that is its requirements' affair."""
        return _LIBRARIES.get(self.flavour)

    @property
    def is_pickled(self) -> bool:
        """Whether it is, in part, a pickle: one of another Python's may not load, or load as something else."""
        said = self.flavours.get(self.flavour, {})
        if said.get("serialization_format") in ("pickle", "cloudpickle"):
            files = [said.get("pickled_model"), said.get("data"), said.get("model_path")]
            return any(isinstance(name, str) and not name.endswith((".lgb", ".txt")) for name in files)
        values = [str(value) for flavour in self.flavours.values() for value in flavour.values()]
        return any(_PICKLES.search(value) for value in values) or "cloudpickle_version" in self.flavours.get(PYFUNC, {})


def parsed(name: str, described: Mapping[str, Any], requirements: str = "") -> LoggedModel:
    """The model whose `MLmodel`, read as YAML, is `described`.

    Raises:
        LoggedModelError: it is none.
    """
    flavours = described.get("flavors")
    if not isinstance(flavours, Mapping) or not flavours:
        raise LoggedModelError(f"{name} has an MLmodel without flavours: it was not logged by MLflow")
    signature = described.get("signature") or {}
    if PYFUNC not in flavours:
        raise LoggedModelError(
            f"{name} has the flavours {', '.join(flavours)}, and none that answers for itself ({PYFUNC}): log it with a "
            "flavour of MLflow's that has one, or as a mlflow.pyfunc.PythonModel"
        )
    return LoggedModel(
        name=name,
        flavours={str(key): dict(value or {}) for key, value in flavours.items()},
        inputs=_columns(signature.get("inputs")),
        outputs=_columns(signature.get("outputs")),
        parameters=_columns(signature.get("params")) or (),
        hinted=bool(described.get("is_signature_from_type_hint")),
        example=described.get("saved_input_example_info") or None,
        python=str((flavours.get(PYFUNC) or {}).get("python_version") or ""),
        mlflow=str(described.get("mlflow_version") or ""),
        requirements=tuple(_lines(requirements)),
    )


def _columns(text: Any) -> tuple[dict[str, Any], ...] | None:
    if not text:
        return None
    found = json.loads(text) if isinstance(text, str) else text
    return tuple(found) if isinstance(found, Sequence) else None


def _lines(requirements: str) -> list[str]:
    lines = (line.partition(" #")[0].strip() for line in requirements.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def python_mistake(model: LoggedModel, here: str) -> str | None:
    """Why a model cannot be loaded by the Python `here` (as 3.11.7), if so: pickles hold the byte code of functions."""
    if not model.is_pickled or not model.python or _minor(model.python) == _minor(here):
        return None
    return (
        f"{model.name} is a pickle of Python {model.python}, and replicas run Python {here}: it may not load, or "
        f"as something else. Log it again with Python {_minor(here)}, or in a format that is no pickle (skops, ONNX, or a "
        "library's own)"
    )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
