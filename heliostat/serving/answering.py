"""Rows in, answers out, for whoever has a contract and a loaded predictor: nothing is kept, logged or limited in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic_core import ValidationError, to_json

from heliostat.ml.contracts import Contract, Predictor
from heliostat.ml.predictions import parts_of
from heliostat.serving.bodies import Bodies, problems
from heliostat.serving.errors import HttpError


class Answering:
    """What a contract and its predictor answer. Safe to use from several threads."""

    def __init__(self, contract: Contract[Any, Any], predictor: Predictor, max_rows: int) -> None:
        self.contract = contract
        self._predictor = predictor
        self.bodies = Bodies(contract.row, max_rows)

    def answered(self, body: bytes) -> tuple[Sequence[Any], bytes]:
        """The rows in a JSON body, and the answer to them as JSON.

        Raises:
            HttpError: the body does not fit the contract.
            BaseException: whatever the workload's code raises.
        """
        rows, single = self.read(body)
        # A single row is the usual request, and needs no list.
        return rows, to_json(self.contract.respond(self._scores(rows)[0]) if single else {"rows": self.answers(rows)})

    def read(self, body: bytes) -> tuple[Sequence[Any], bool]:
        """The rows in a JSON body, and whether it was a single one.

        Raises:
            HttpError: the body does not fit the contract.
        """
        if not body.strip():
            raise HttpError(422, 'the body is empty: send one row as a JSON object, or many as {"rows": [...]}')
        try:
            return self.bodies.read(body)
        except ValidationError as error:
            raise HttpError(422, problems(error, body)) from None

    def answers(self, rows: Sequence[Any]) -> list[Any]:
        """The contract's answers to rows of it, in their order."""
        respond = self.contract.respond
        return [respond(score) for score in self._scores(rows)]

    def _scores(self, rows: Sequence[Any]) -> list[Any]:
        predicted = self._predictor.predict(self.contract.columns(rows))
        # An array is the usual answer, and NumPy takes it apart by itself.
        scores: list[Any] = predicted.tolist() if isinstance(predicted, np.ndarray) else parts_of(predicted)
        if len(scores) != len(rows):
            raise ValueError(f"the predictor gave {len(scores)} scores for {len(rows)} rows")
        return scores
