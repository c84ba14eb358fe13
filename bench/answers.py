"""What came of each request of a load: when it was sent, how long its answer took, its status, the version that gave it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NO_VERSION = ""
"""Of an answer that names none: HAProxy's own, for one; or no answer at all."""


@dataclass(frozen=True, eq=False)
class Answers:
    """One entry a request in each array, by the time that it was sent; 16 bytes a request."""

    sent: npt.NDArray[np.float64]
    """Unix time, in seconds."""
    latencies_ms: npt.NDArray[np.float32]
    """Until the answer was read, or the error was known."""
    failures: npt.NDArray[np.uint16]
    """Which of `kinds`; 0 is a good answer."""
    versions: npt.NDArray[np.uint16]
    """Which of `names`."""
    kinds: tuple[str, ...]
    """What went wrong, e.g. `status 503` or `no answer: EOF`; the first is empty."""
    names: tuple[str, ...]
    """Versions, as the answers name them."""

    @classmethod
    def of(cls, rows: Sequence[tuple[float, float, str, str]]) -> Answers:
        """From (sent, milliseconds, failure or "", version or "") each, in any order."""
        kinds, names = Names(""), Names(NO_VERSION)
        order = sorted(rows, key=lambda row: row[0])
        return cls(
            np.array([row[0] for row in order], np.float64),
            np.array([row[1] for row in order], np.float32),
            np.array([kinds.index(row[2]) for row in order], np.uint16),
            np.array([names.index(row[3]) for row in order], np.uint16),
            kinds.all(),
            names.all(),
        )

    @property
    def requests(self) -> int:
        """That were sent."""
        return len(self.sent)

    @property
    def failed(self) -> int:
        """Without an answer, or with one of status 400 and above."""
        return int(np.count_nonzero(self.failures))

    @property
    def failed_share(self) -> float:
        """Of all requests, 0 to 1."""
        return self.failed / max(1, self.requests)

    def failed_by_kind(self) -> dict[str, int]:
        """How many failed in which way."""
        return _by_name(self.failures[self.failures > 0], self.kinds)

    def between(self, start: float | None = None, end: float | None = None) -> Answers:
        """Of the requests that were sent from `start` on and before `end`, in Unix seconds."""
        low = 0 if start is None else int(np.searchsorted(self.sent, start))
        high = len(self.sent) if end is None else int(np.searchsorted(self.sent, end))
        part = slice(low, max(low, high))
        return Answers(
            self.sent[part], self.latencies_ms[part], self.failures[part], self.versions[part], self.kinds, self.names
        )

    def quantile_ms(self, quantile: float) -> float:
        """The latency that `quantile` (0 to 1) of the requests did not exceed; NaN where there are none.

        Requests that failed are among them, with the time until that was known.
        """
        return float(np.quantile(self.latencies_ms, quantile)) if self.requests else float("nan")

    def by_version(self) -> dict[str, int]:
        """How many answers each version gave; `NO_VERSION` are those that name none."""
        return _by_name(self.versions, self.names)

    def share(self, version: str) -> float:
        """Of the answers that name a version, those of `version`, 0 to 1; NaN where none names one."""
        counts = self.by_version()
        named = sum(count for name, count in counts.items() if name != NO_VERSION)
        return counts.get(version, 0) / named if named else float("nan")

    def first(self, version: str) -> float | None:
        """When the first request was sent that `version` answered; None where it answered none."""
        found = self._sent_to(version)
        return float(found[0]) if len(found) else None

    def last(self, version: str) -> float | None:
        """When the last request was sent that `version` answered; None where it answered none."""
        found = self._sent_to(version)
        return float(found[-1]) if len(found) else None

    def behind_ms(self, rate: float, quantile: float = 0.99) -> float:
        """How far the generator itself was behind its schedule of `rate` a second, in milliseconds: its own want of CPU."""
        if not self.requests:
            return float("nan")
        behind = self.sent - np.arange(len(self.sent)) / rate
        return float(np.quantile(behind - behind.min(), quantile)) * 1000

    def figures(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "requests": self.requests, "failed": self.failed, "failed_by_kind": self.failed_by_kind(),
            "p50_ms": round(self.quantile_ms(0.5), 3), "p99_ms": round(self.quantile_ms(0.99), 3),
            "by_version": self.by_version(),
        }  # fmt: skip

    def _sent_to(self, version: str) -> npt.NDArray[np.float64]:
        if version not in self.names:
            return self.sent[:0]
        found: npt.NDArray[np.float64] = self.sent[self.versions == self.names.index(version)]
        return found


class Names:
    """Names by number, in the order in which they come."""

    def __init__(self, *known: str) -> None:
        self._numbers = {name: number for number, name in enumerate(known)}

    def index(self, name: str) -> int:
        """Its number."""
        return self._numbers.setdefault(name, len(self._numbers))

    def all(self) -> tuple[str, ...]:
        """By number."""
        return tuple(self._numbers)


def _by_name(numbers: npt.NDArray[np.uint16], names: tuple[str, ...]) -> dict[str, int]:
    counts = np.bincount(numbers, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}
