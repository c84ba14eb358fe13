"""A model of others that is loaded and answers as its contract says."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from heliostat.ml.contracts import Columns
from heliostat.ml.mlflow_models import flavours, inputs, outputs
from heliostat.ml.mlflow_models.described import model_in
from heliostat.spec.environments import differences, needed
from heliostat.spec.logged_models import LoggedModel, Reads
from heliostat.spec.model_contracts import ModelContract
from heliostat.spec.model_signatures import misfits


class MlflowPredictor:
    """A model with its contract, which a class below this one holds: `of` makes it."""

    contract: ClassVar[ModelContract]
    loaded: ClassVar[str] = ""
    """The digest of the model that this process answers with: golden answers are of one model."""
    whole_model: ClassVar[bool] = True
    """`load` is given all of MLflow's folder."""

    def __init__(self, model: LoggedModel, answering: flavours.Answering, reads: Reads | None = None) -> None:
        self._make = inputs.maker(self.contract.model_copy(update={"reads": reads or self.contract.reads}), model)
        self._answering = answering
        self._read = outputs.reader(self.contract.answer)
        self._parameters = {name: field.default for name, field in self.contract.request.items() if field.parameter}

    @classmethod
    def of(cls, contract: ModelContract) -> type[MlflowPredictor]:
        """The predictor of a contract."""
        return type("ModelOfOthers", (cls,), {"contract": contract, "loaded": ""})

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The model in MLflow's folder.

        Raises:
            ValueError: it does not fit the contract, or what it needs is not here; the text says all that differs.
        """
        model = model_in(directory, cls.contract.recorded.model)
        if found := misfits(cls.contract, model):
            raise ValueError(f"the model's signature does not fit the contract: {'; '.join(found)}")
        if lacking := differences(needed(model, cls.contract.loader), _version_of):
            raise ValueError(f"the model's requirements are not met here: {'; '.join(map(str, lacking))}")
        digest = flavours.digest_of(directory)
        reads = cls.contract.reads
        if reads is Reads.ARRAY and digest != cls.contract.recorded.digest:
            reads = Reads.FRAME  # that arrays do as well was seen of another model
        loaded = cls(model, flavours.load(directory, model, reads, cls.contract.loader), reads)
        cls.loaded = digest
        return loaded

    def predict(self, columns: Columns) -> outputs.Answers:
        """One answer a row; see `heliostat.ml.mlflow_models.outputs`.

        Raises:
            AnswerError: the model answers something that the contract does not have.
        """
        rows = len(next(iter(columns.values())))
        if not self._parameters:
            return self._read(self._answering(self._make(columns), {}), rows)
        return self._by_parameters(columns, rows)

    def _by_parameters(self, columns: Columns, rows: int) -> outputs.Answers:
        """Rows that share the parameters together: a model takes one value of each at a time."""
        named = {name: columns.get(name, [None] * rows) for name in self._parameters}
        groups: dict[str, tuple[dict[str, Any], list[int]]] = {}
        for row in range(rows):
            given = {name: self._parameter(name, values[row]) for name, values in named.items()}
            groups.setdefault(repr(given), (given, []))[1].append(row)
        found: outputs.Answers | None = None
        for given, chosen in groups.values():
            part = _taken(columns, chosen) if len(groups) > 1 else columns
            answers = self._read(self._answering(self._make(part), given), len(chosen))
            if found is None:
                found = np.empty((rows, *answers.shape[1:]), answers.dtype if len(groups) == 1 else object)
            found[chosen] = answers
        assert found is not None  # noqa: S101 - there is a row
        return found

    def _parameter(self, name: str, value: Any) -> Any:
        return self._parameters[name] if value is None else value


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _taken(columns: Columns, rows: Sequence[int]) -> dict[str, list[Any]]:
    return {name: [values[row] for row in rows] for name, values in columns.items()}
