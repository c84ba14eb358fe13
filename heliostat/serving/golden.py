"""A contract's golden requests, asked of a replica in itself: through the whole path, but for the network and the logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from heliostat.ml.contracts import Contract, Golden
from heliostat.serving.errors import HttpError

Answering = Callable[[bytes], bytes]
"""From a body to the answer."""


class GoldenFailures(HttpError):
    """Golden requests that were answered otherwise than the contract expects."""

    def __init__(self, failures: list[dict[str, str]]) -> None:
        super().__init__(500, f"{len(failures)} golden requests failed")
        self.failures = failures

    @property
    def body(self) -> dict[str, Any]:
        """Which failed and why."""
        return {"failures": self.failures}


def passed(contract: Contract[Any, Any], answer: Answering) -> int:
    """The number of golden requests, all of which passed.

    Raises:
        GoldenFailures: some did not.
    """
    failures = [
        {"name": each.name, "reason": reason} for each in contract.golden if (reason := _failure(each, answer)) is not None
    ]
    if failures:
        raise GoldenFailures(failures)
    return len(contract.golden)


def listed(contract: Contract[Any, Any]) -> bytes:
    """The golden requests and the examples; text as Latin-1, as the tap has it."""
    bodies = [each.body for each in contract.golden] + [to_json(example) for example in contract.examples]
    return to_json({"bodies": [body.decode("latin-1") for body in bodies]})


def _failure(golden: Golden, answering: Answering) -> str | None:
    try:
        status, answer = 200, json.loads(answering(golden.body))
    except HttpError as refusal:
        status, answer = refusal.status, {"detail": refusal.detail}
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if status != golden.status:
        return f"answered {status} instead of {golden.status}: {answer}"
    return _unexpected(golden, answer) if status == 200 else None


def _unexpected(golden: Golden, answer: Any) -> str | None:
    try:
        if golden.check(answer):
            return None
    except Exception as error:
        return f"its check failed on {answer}: {type(error).__name__}: {error}"
    return f"expected {golden.expected}, got {answer}"
