"""Requests of the flights application: real flights, in the contract's words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

COUNT = 2_000
_SEED = 2013


@cache
def flights() -> Sequence[dict[str, Any]]:
    """`COUNT` flights of the test data as the body of one row each, always the same ones.

    A body is valid for every version of the contract that keeps its fields, and the answers differ from row to row: no cache
    on the way can answer in the model's place.
    """
    import numpy as np

    from workloads.flights.contract import Flight
    from workloads.flights.dataset import snapshot
    from workloads.flights.features import INPUTS

    test = snapshot({}).test
    chosen = np.sort(np.random.default_rng(_SEED).choice(test.num_rows, COUNT, replace=False))
    rows = test.select(list(INPUTS)).take(chosen).to_pylist()
    return [Flight.model_validate(row).model_dump(mode="json") for row in rows]
