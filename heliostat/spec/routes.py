"""What clients may ask of an application, and what an answer says of the version that gave it.

Predictions are what a version is judged by. Pages, health, what is not there and what takes another method are counted apart:
they are answered fast and well by a version that fails every prediction.
"""

from __future__ import annotations

from enum import StrEnum

PREDICT = "/predict"
"""Asked by POST; the only route whose answers are held for or against a version."""
PAGES = ("/healthz", "/openapi.json", "/docs")
"""Asked by GET or HEAD."""
OTHER = "other"
"""Any other path, or a known one by another method."""
ROUTES = (PREDICT, *PAGES, OTHER)

REJECTIONS = (400, 413, 415, 422)
"""With these the contract rejects a request: its body is not JSON, too large, of another type, or does not fit."""
CUT_OFF = (408, 414, 431)
"""The request did not get as far as a contract, for it came too slowly, or its head is too large: the client's doing."""
BROKEN = 0
"""Stands for a status where there was no answer."""


class Ending(StrEnum):
    """How a prediction ended."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    """The contract does not take the request: no prediction was made."""
    FAILED = "failed"
    """The version gave no prediction, nor a reason that lies in the request."""


def ending_of(status: int) -> Ending:
    """What the status of an answer at PREDICT says."""
    if 200 <= status < 300:
        return Ending.ANSWERED
    return Ending.REJECTED if status in REJECTIONS else Ending.FAILED
