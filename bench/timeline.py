"""What requests that were sent at a constant rate say, each with its beginning, its length and who answered it. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_GOOD = range(200, 400)


@dataclass(frozen=True)
class Hit:
    """One request."""

    at: float
    """When it was due, Unix time in seconds."""
    seconds: float
    """Until its answer was there."""
    code: int
    """The answer's status; 0 where there was none."""
    version: str
    """Which version answered, by its label; empty where none says."""

    @property
    def failed(self) -> bool:
        """Whether it was not answered well."""
        return self.code not in _GOOD


def between(hits: Sequence[Hit], begin: float, end: float = math.inf) -> list[Hit]:
    """Those that began in a stretch of time."""
    return [hit for hit in hits if begin <= hit.at < end]


def failed(hits: Sequence[Hit]) -> int:
    """How many failed."""
    return sum(hit.failed for hit in hits)


def share(hits: Sequence[Hit], version: str) -> float:
    """The share of the requests that `version` answered, 0 to 1.

    Raises:
        ValueError: there are no requests.
    """
    if not hits:
        raise ValueError("there are no requests to take a share of")
    return sum(hit.version == version for hit in hits) / len(hits)


def last_start(hits: Sequence[Hit], version: str) -> float | None:
    """When the last request began that `version` answered; None where it answered none."""
    return max((hit.at for hit in hits if hit.version == version), default=None)


def first_start(hits: Sequence[Hit], version: str) -> float | None:
    """When the first one began."""
    return min((hit.at for hit in hits if hit.version == version), default=None)


def quantile_ms(hits: Sequence[Hit], quantile: float) -> float:
    """The time that `quantile` of the requests did not exceed, in milliseconds.

    Raises:
        ValueError: there are no requests.
    """
    if not hits:
        raise ValueError("there are no requests to take a quantile of")
    lengths = sorted(hit.seconds for hit in hits)
    return 1e3 * lengths[min(len(lengths) - 1, math.ceil(quantile * len(lengths)) - 1)]


def figures(hits: Sequence[Hit]) -> dict[str, object]:
    """In short, for results.json."""
    if not hits:
        return {"requests": 0}
    codes = Counter(hit.code for hit in hits)
    span = max(hit.at for hit in hits) - min(hit.at for hit in hits)
    return {
        "requests": len(hits),
        "requests_per_second": round(len(hits) / span, 1) if span else None,
        "failed": failed(hits),
        "codes": {str(code): count for code, count in sorted(codes.items())},
        "p50_ms": round(quantile_ms(hits, 0.5), 3),
        "p99_ms": round(quantile_ms(hits, 0.99), 3),
    }
