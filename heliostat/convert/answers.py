"""Whether a workload answers as what it was converted from did."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from heliostat.ml.contracts import Contract, Predictor

TOLERANCE: Final = 1e-9
"""How far a number may be from what was recorded: of its size, where that is above one."""


def differences(
    contract: Contract[Any, Any], predictor: Predictor, recorded: Sequence[Mapping[str, Any]], tolerance: float = TOLERANCE
) -> list[str]:
    """What is answered otherwise than it was recorded, row by row; each row is asked on its own, as a request of one."""
    found: list[str] = []
    for number, each in enumerate(recorded):
        row = contract.row.model_validate_json(_json(each["request"]))
        predictions: Any = predictor.predict(contract.columns([row]))
        score = predictions.tolist()[0]
        answer = contract.respond(score).model_dump(mode="json")
        found += [f"row {number}: {text}" for text in _of_row(answer, each, tolerance)]
    return found


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


def _of_row(answer: Mapping[str, Any], recorded: Mapping[str, Any], tolerance: float) -> Iterator[str]:
    if not _alike(answer["prediction"], recorded["prediction"], tolerance):
        yield f"prediction is {answer['prediction']!r}, recorded was {recorded['prediction']!r}"
    wanted = recorded.get("probabilities")
    if wanted is None:
        return
    if "probability" in answer:
        pairs = [("probability", answer["probability"], wanted[1])]
    else:
        given = cast("Mapping[str, float]", answer.get("probabilities", {}))
        pairs = [(f"probabilities.{name}", value, other) for (name, value), other in zip(given.items(), wanted, strict=False)]
    for name, value, other in pairs:
        if not _alike(value, other, tolerance):
            yield f"{name} is {value!r}, recorded was {other!r}"


def _alike(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, bool | str) or isinstance(other, bool | str):
        return bool(one == other)
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
