"""A record's figures as series to draw, and its phases as spans; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

from heliostat.spec.rollouts import Phase, Record, Rollout, Sample, VersionSample

Pick = Callable[[VersionSample], float | None]


@dataclass(frozen=True)
class PhaseSpan:
    """How long a rollout was in one phase, in seconds since it began."""

    phase: Phase
    begin: float
    end: float


@dataclass(frozen=True)
class Span:
    """The time that a picture shows, in seconds since `zero`, which is Unix time; it may begin before."""

    zero: float
    begin: float
    end: float

    @property
    def length(self) -> float:
        """In seconds."""
        return self.end - self.begin


def span_of(record: Record) -> Span:
    """From the rollout's beginning, or its first sample, to its end, its last sample or its last event, whichever is later."""
    rollout = record.rollout
    ends = [rollout.started_at, *(event.at for event in rollout.events), *(sample.at for sample in record.samples)]
    if rollout.ended_at is not None:
        ends.append(rollout.ended_at)
    first = min([rollout.started_at, *(sample.at for sample in record.samples[:1])])
    return Span(rollout.started_at, first - rollout.started_at, max(max(ends) - rollout.started_at, 1.0))


def phases(rollout: Rollout, end: float) -> tuple[PhaseSpan, ...]:
    """The phases one after the other, the last up to `end`; one that comes back, as a canary's do, has a span each time."""
    found: list[PhaseSpan] = []
    for event in rollout.events:
        at = min(max(event.at - rollout.started_at, 0.0), end)
        if found and found[-1].phase is event.phase:
            continue
        if found:
            found[-1] = PhaseSpan(found[-1].phase, found[-1].begin, at)
        found.append(PhaseSpan(event.phase, at, end))
    return tuple(found)


def thinned(samples: Sequence[Sample], most: int) -> tuple[Sample, ...]:
    """At most about `most` samples that still show every failure: of each stretch its last sample with its worst figures."""
    size = -(-len(samples) // most) if most else 1
    if size <= 1:
        return tuple(samples)
    return tuple(_merged(samples[start : start + size]) for start in range(0, len(samples), size))


def _merged(stretch: Sequence[Sample]) -> Sample:
    return stretch[-1].model_copy(
        update={
            "candidate": _worst([sample.candidate for sample in stretch if sample.candidate is not None]),
            "serving": _worst([sample.serving for sample in stretch if sample.serving is not None]),
            "unanswered_per_second": max(sample.unanswered_per_second for sample in stretch),
        }
    )


def _worst(stretch: Sequence[VersionSample]) -> VersionSample | None:
    if not stretch:
        return None
    return stretch[-1].model_copy(
        update={
            "replicas": min(one.replicas for one in stretch),
            "requests_per_second": sum(one.requests_per_second for one in stretch) / len(stretch),
            "failed_per_second": max(one.failed_per_second for one in stretch),
            "rejected_per_second": max(one.rejected_per_second for one in stretch),
            "others_per_second": sum(one.others_per_second for one in stretch) / len(stretch),
            "p50_ms": max((one.p50_ms for one in stretch if one.p50_ms is not None), default=None),
            "p99_ms": max((one.p99_ms for one in stretch if one.p99_ms is not None), default=None),
        }
    )


def values(samples: Sequence[Sample], side: str, pick: Pick) -> list[float]:
    """One figure of one version over time; where there is none, a gap."""
    found = [getattr(sample, side) for sample in samples]
    picked = [None if one is None else pick(one) for one in found]
    return [nan if value is None else float(value) for value in picked]


def requests(one: VersionSample) -> float | None:
    """Predictions a second."""
    return one.requests_per_second


def failures(one: VersionSample) -> float | None:
    """Failed predictions a second."""
    return one.failed_per_second


def rejections(one: VersionSample) -> float | None:
    """Requests for predictions a second that the contract does not take."""
    return one.rejected_per_second


def median(one: VersionSample) -> float | None:
    """The median latency, in milliseconds."""
    return one.p50_ms


def tail(one: VersionSample) -> float | None:
    """The latency that one in a hundred exceeds, in milliseconds."""
    return one.p99_ms


def replicas(one: VersionSample) -> float | None:
    """Healthy replicas."""
    return one.replicas
