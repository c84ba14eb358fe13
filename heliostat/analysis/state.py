"""The state of an analysis: where replicas answer, what was counted, what the checks found. One event loop owns it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from typing import Final

import aiohttp

from heliostat.analysis.answers import Pair
from heliostat.analysis.client import Reply, VersionClient
from heliostat.analysis.comparisons import comparison, figures
from heliostat.analysis.ground_truth import GroundTruth
from heliostat.analysis.model_metrics import Metrics
from heliostat.ml.label_files import LabelForm
from heliostat.spec.analysis import CustomCheck, Measurement, Measurements, ModelMetric, Source
from heliostat.spec.analysis_runner import AnalysisTask, Endpoints
from heliostat.spec.latencies import BOUNDS_MS, BUCKETS, Counts
from heliostat.spec.routes import Ending

_SAMPLE_BYTES: Final = 1 << 17
"""A larger one is not shown."""
_SAMPLES: Final = 200
"""Requests that a custom check is shown."""


class Tally:
    """Counts, while they grow, as the traffic plane counts."""

    def __init__(self) -> None:
        self.requests = self._failed = self._rejected = 0
        self._latencies = [0] * BUCKETS

    def add(self, reply: Reply, milliseconds: float) -> None:
        """Count an answer."""
        if reply.ending is Ending.REJECTED:
            self._rejected += 1
            return
        self.requests += 1
        if reply.failed:
            self._failed += 1
        else:
            self._latencies[bisect_left(BOUNDS_MS, milliseconds)] += 1

    @property
    def counts(self) -> Counts:
        """What was counted."""
        latencies = tuple(self._latencies)
        return Counts(requests=self.requests, failed=self._failed, rejected=self._rejected, latencies=latencies)


class AnalysisState:
    """One task and what came of it so far."""

    def __init__(self, task: AnalysisTask, session: aiohttp.ClientSession) -> None:
        self.task = task
        self.candidate, self.serving = VersionClient(session), VersionClient(session)
        self.truth = GroundTruth(task.candidate.store, task.application, form=_label_form(task))
        self.scored: set[str] = set()
        """Ids of requests that were compared when their truth was known."""
        self.samples: deque[Pair] = deque(maxlen=_SAMPLES)
        self.custom_figures: dict[int, Measurement] = {}
        """What custom checks came to, by their place."""
        self.exhausted = False
        self.waits_for: set[str] = set()
        """Versions of which no replica takes connections now."""
        self._comparisons = [
            (place, found)
            for place, check in enumerate(task.analysis.checks)
            if (found := comparison(check, self.truth)) is not None
        ]
        self._replayed = (Tally(), Tally())
        self._copied = (Tally(), Tally())
        self._sources: Counter[Source] = Counter()

    @property
    def endpoints(self) -> Endpoints:
        """Where replicas answer now."""
        return Endpoints(candidate=self.candidate.urls, serving=self.serving.urls)

    def meet(self, endpoints: Endpoints) -> None:
        """Take note of where replicas answer from now on."""
        self.candidate.urls, self.serving.urls = endpoints.candidate, endpoints.serving

    @property
    def metrics(self) -> bool:
        """Whether a check needs ground truth."""
        return any(isinstance(check, ModelMetric) for check in self.task.analysis.checks)

    @property
    def custom_checks(self) -> list[tuple[int, CustomCheck]]:
        """The custom checks, by their place."""
        return [(place, check) for place, check in enumerate(self.task.analysis.checks) if isinstance(check, CustomCheck)]

    @property
    def custom_metrics(self) -> list[Metrics]:
        """The checks of a metric of the workload's own."""
        return [found for _, found in self._comparisons if isinstance(found, Metrics) and found.custom is not None]

    @property
    def replayed(self) -> int:
        """Predictions that both were asked for."""
        return self._replayed[0].requests

    @property
    def copied(self) -> int:
        """Predictions that the candidate was asked for by copies of clients' requests."""
        return self._copied[0].requests

    def count_replay(self, source: Source, pair: Pair) -> None:
        """Count a request that both versions were sent, by this process's clock."""
        self._sources[source] += 1
        self._replayed[0].add(pair.candidate, pair.candidate.milliseconds)
        if pair.serving is not None:
            self._replayed[1].add(pair.serving, pair.serving.milliseconds)

    def take_copy(self, pair: Pair) -> None:
        """Count a copy of a client's request. Both versions' times are those inside of the application, to be comparable."""
        inside = pair.candidate.inside
        self._copied[0].add(pair.candidate, pair.candidate.milliseconds if inside is None else inside)
        if pair.serving is not None:
            self._copied[1].add(pair.serving, pair.serving.milliseconds)
        self.compare(pair)

    def compare(self, pair: Pair) -> None:
        """Have every check look at a request's answers."""
        if pair.request.request_id in self.truth.requests:
            self.scored.add(pair.request.request_id)
        if pair.size <= _SAMPLE_BYTES:
            self.samples.append(pair)
        for _, each in self._comparisons:
            each.add(pair)

    def figures(self) -> Measurements:
        """Everything measured so far."""
        shadow = self.task.shadow_share is not None
        copies = shadow and (self.copied >= self.task.analysis.min_requests or self.copied >= self.replayed)
        candidate, serving = self._copied if copies else self._replayed
        first = Source.SHADOW if copies else Source.RECENT
        return Measurements(
            source=first if copies or not self._sources else self._sources.most_common(1)[0][0],
            requests=candidate.requests,
            candidate=candidate.counts,
            serving=serving.counts,
            checks={**figures(self._comparisons), **self.custom_figures},
            exhausted=self.exhausted,
            error="; ".join(f"no replica of {version} takes connections now" for version in sorted(self.waits_for)),
        )


def _label_form(task: AnalysisTask) -> LabelForm:
    """What labels of the workload's task may be."""
    tasks = [check.of.task for check in task.analysis.checks if isinstance(check, ModelMetric) and check.of is not None]
    return LabelForm.of(next((found for found in tasks if found is not None), None))
