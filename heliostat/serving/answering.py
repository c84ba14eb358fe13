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
from heliostat.serving.expectations import ExpectedRows
from heliostat.serving.postprocessing import Processed, Steps


class Answering:
    """What a contract and its predictor answer. Safe to use from several threads."""

    def __init__(
        self,
        contract: Contract[Any, Any],
        predictor: Predictor,
        max_rows: int,
        steps: Steps | None = None,
        expected: ExpectedRows | None = None,
    ) -> None:
        """`steps`: what the model's answers pass through before anybody gets them; `expected`: what requests are held to
        beyond the contract."""
        self.contract = contract
        self._steps = steps
        self._predictor = predictor
        self.bodies = Bodies(contract.row, max_rows, expected)

    def answered(self, body: bytes) -> tuple[Sequence[Any], bytes, Processed | None]:
        """The rows in a JSON body, the answer to them as JSON, and what steps did to it where there are some.

        Raises:
            HttpError: the body does not fit the contract.
            BaseException: whatever the workload's code raises.
        """
        rows, single = self.read(body)
        if self._steps is not None:
            processed = self._steps.apply(rows, self._model_answers(rows))
            return rows, processed.body(single), processed
        # A single row is the usual request, and needs no list.
        answer = self.contract.respond(self._scores(rows)[0]) if single else {"rows": self._model_answers(rows)}
        return rows, to_json(answer), None

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
        return self.processed(rows)[0]

    def processed(self, rows: Sequence[Any]) -> tuple[list[Any], Processed | None]:
        """The same, with what steps did to them where there are some."""
        return self.finished(rows, self._model_answers(rows))

    def finished(self, rows: Sequence[Any], answers: list[Any]) -> tuple[list[Any], Processed | None]:
        """What becomes of the model's answers to rows."""
        if self._steps is None:
            return answers, None
        processed = self._steps.apply(rows, answers)
        return processed.answers, processed

    def _model_answers(self, rows: Sequence[Any]) -> list[Any]:
        respond = self.contract.respond
        return [respond(score) for score in self._scores(rows)]

    def _scores(self, rows: Sequence[Any]) -> list[Any]:
        predicted = self._predictor.predict(self.contract.columns(rows))
        # An array is the usual answer, and NumPy takes it apart by itself.
        scores: list[Any] = predicted.tolist() if isinstance(predicted, np.ndarray) else parts_of(predicted)
        if len(scores) != len(rows):
            raise ValueError(f"the predictor gave {len(scores)} scores for {len(rows)} rows")
        return scores
