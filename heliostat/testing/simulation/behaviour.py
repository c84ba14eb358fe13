"""How a simulated version behaves, and what its clients send."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.spec.analysis import Verdict


@dataclass(frozen=True)
class VersionBehaviour:
    """How a version behaves: by default as it should. Shares are from 0 to 1.

    Raises:
        ValueError: a value is beyond its limits.
    """

    starts: bool = True
    """Whether its replicas start at all."""
    healthy: bool = True
    """Whether a replica that has started answers its probes."""
    passes_golden: bool = True
    """Whether a replica answers the contract's golden requests as it should."""
    error_rate: float = 0.0
    """Share of predictions that fail."""
    rejection_rate: float = 0.0
    """Share of requests for predictions that its contract rejects."""
    latency_ms: float = 10.0
    """What each prediction takes, in milliseconds."""
    disagreement: float = 0.0
    """Share of the same rows to which the candidate gives another answer than what serves."""
    prediction_distance: float = 0.0
    """Between the answers of the candidate and of what serves, in the unit of the check."""
    model_metric: float | None = 0.8
    """The model's own metric, whichever a check asks for; None where no row's truth is known yet."""
    custom_check: Verdict | float = Verdict.PASS
    """What checks of one's own come to, or the figure that they hold against their limits."""

    def __post_init__(self) -> None:
        for name in ("error_rate", "rejection_rate", "disagreement"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value:g}: give a share from 0 to 1, e.g. 0.05 for 5 %")
        if self.latency_ms <= 0:
            raise ValueError(f"latency_ms is {self.latency_ms:g}: give more than 0 milliseconds")


@dataclass(frozen=True)
class Traffic:
    """What clients send, and what an analysis can replay where they send too little.

    Raises:
        ValueError: a number is below 0.
    """

    requests_per_second: float = 200.0
    """Requests for predictions, at a steady rate."""
    recorded_requests: int = 500
    """Requests of before that can be replayed; 0 leaves the contract's golden requests."""

    def __post_init__(self) -> None:
        for name in ("requests_per_second", "recorded_requests"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name):g}: give 0 or more")
