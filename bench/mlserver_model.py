"""The flights model as MLServer serves one: a runtime of its own, as its documentation says, with the workload's predictor.

Runs in an environment of its own (`bench.mlserver`), which has MLServer and LightGBM, and reads this library's sources.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from workloads.flights.predictor import FlightsPredictor

_EPOCH = dt.datetime(1970, 1, 1)
_TIMES = ("scheduled_departure", "scheduled_arrival")


class Flights(MLModel):  # type: ignore[misc]
    """Answers with the probability, and whether it is one."""

    async def load(self) -> bool:
        """Read the model that `uri` names."""
        self._predictor = FlightsPredictor.load(Path(self.settings.parameters.uri))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Tensors in, tensors out."""
        columns: dict[str, Any] = {}
        for tensor in payload.inputs:
            if tensor.datatype == "BYTES":
                texts = StringCodec.decode_input(tensor)
                columns[tensor.name] = [_seconds(text) for text in texts] if tensor.name in _TIMES else texts
            else:
                columns[tensor.name] = NumpyCodec.decode_input(tensor).ravel()
        scores = np.asarray(self._predictor.predict(columns))
        outputs = [NumpyCodec.encode_output("late_probability", scores), NumpyCodec.encode_output("late", scores >= 0.5)]
        return InferenceResponse(model_name=self.name, outputs=outputs)


def _seconds(text: str) -> int:
    since = dt.datetime.fromisoformat(text) - _EPOCH
    return since.days * 86_400 + since.seconds
