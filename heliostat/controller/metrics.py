"""What Prometheus is told, read from the reconciler at each scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from heliostat.controller.backends.fleet import FleetRouter
from heliostat.controller.consent import Consents, ReplicaCounts
from heliostat.controller.monitor_states import MonitorStates
from heliostat.controller.reconciler import Reconciler
from heliostat.controller.step_counters import StepCounters
from heliostat.controller.task_queues import TaskQueues
from heliostat.controller.unexpected_requests import UnexpectedRequests
from heliostat.rollout import refusals, show
from heliostat.rollout.model import SHARES, Colour, Observed, State
from heliostat.spec.analysis import Verdict
from heliostat.spec.latencies import BOUNDS_MS, Counts
from heliostat.spec.rollouts import Phase
from heliostat.spec.routes import PREDICT, REJECTIONS
from heliostat.spec.task_queue import QueueDepth

CONTENT_TYPE = CONTENT_TYPE_LATEST
_VERSION = ["application", "version"]
_ROUTE = [*_VERSION, "route"]
_VERDICTS = {Verdict.PASS: 1, Verdict.INCONCLUSIVE: 0, Verdict.FAIL: -1}


class Metrics(Collector):
    """Of one controller, in a registry of its own."""

    def __init__(
        self,
        reconciler: Reconciler,
        queues: TaskQueues,
        steps: StepCounters,
        consents: Consents,
        monitors: MonitorStates,
        unexpected: UnexpectedRequests,
    ) -> None:
        self._registry = CollectorRegistry()
        self._reconciler = reconciler
        self._consents = consents
        self._queues = queues
        self._steps = steps
        self._monitors = monitors
        self._unexpected = unexpected
        self._registry.register(self)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterator[Metric]:
        """Nothing: what there is to tell is known at a scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One scrape."""
        reconciler = self._reconciler
        states = [reconciler.states[name] for name in sorted(reconciler.states)]
        seen = {state.name: reconciler.observed.get(state.name, Observed()) for state in states}
        yield from _traffic({state.name: reconciler.meter.versions(state.name) or {} for state in states})
        yield from _places(states, seen)
        yield from _rollouts(states, seen)
        yield from _analyses(states, seen, reconciler.now())
        ended = CounterMetricFamily("heliostat_rollouts", "Rollouts that ended", labels=["application", "strategy", "result"])
        for state in states:
            for (strategy, result), count in sorted(reconciler.store.tallies(state.name).items()):
                ended.add_metric([state.name, strategy, result], count)
        yield ended
        yield _gauge("heliostat_ledger_waiting", "Entries that are not in the ledger yet", reconciler.store.count_waiting())
        yield _gauge("heliostat_cluster_answers", "Whether Ray answers", reconciler.ray_answers)
        yield _gauge("heliostat_traffic_plane_up", "Whether HAProxy runs", reconciler.traffic.alive)
        if isinstance(reconciler.traffic, FleetRouter):
            yield _members(reconciler.traffic)
        yield from _tasks(self._queues.depths)
        yield from _postprocessing(self._steps)
        yield _without_consent(self._consents.counts)
        yield from self._unexpected.families()
        yield from self._monitors.families()
        written = not reconciler.store.faults.error
        yield _gauge("heliostat_store_writes", "Whether what is decided can be written down", written)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _without_consent(counts: tuple[ReplicaCounts, ...]) -> Metric:
    told = CounterMetricFamily(
        "heliostat_requests_without_consent",
        "Requests that a replica answered and did not keep, as they did not say that it may",
        labels=[*_VERSION, "replica"],
    )
    for each in counts:
        told.add_metric([each.application, each.version, each.replica], each.counts.without_consent)
    return told


def _tasks(depths: Mapping[str, QueueDepth]) -> Iterator[Metric]:
    """What is in the queues of applications that take tasks."""
    tasks = GaugeMetricFamily("heliostat_tasks", "Tasks of an application, by state", labels=["application", "state"])
    oldest = GaugeMetricFamily(
        "heliostat_tasks_oldest_seconds", "Age of the task that waits longest; 0 where none does", labels=["application"]
    )
    ended = CounterMetricFamily("heliostat_tasks_ended", "Tasks that ended", labels=["application", "state"])
    for name, depth in sorted(depths.items()):
        for state, count in (("waiting", depth.waiting), ("running", depth.running), ("dead", depth.dead)):
            tasks.add_metric([name, state], count)
        if depth.oldest_seconds is not None or not depth.waiting:
            oldest.add_metric([name], depth.oldest_seconds or 0.0)
        for state, count in sorted(depth.ended.items()):
            ended.add_metric([name, state], count)
    yield from (tasks, oldest, ended, _workers(depths))


def _workers(depths: Mapping[str, QueueDepth]) -> Metric:
    found = GaugeMetricFamily("heliostat_task_workers", "Replicas of workers of tasks", labels=[*_VERSION, "state"])
    for name, depth in sorted(depths.items()):
        for each in depth.workers:
            for state, count in (("asked", each.replicas), ("running", each.running), ("most", each.max_replicas)):
                found.add_metric([name, each.version, state], count)
    return found


def _postprocessing(steps: StepCounters) -> Iterator[Metric]:
    """What steps did to answers of clients."""
    labels = [*_VERSION, "step", "outcome", "reason"]
    answers = CounterMetricFamily(
        "heliostat_postprocessed_answers", "Answers that a step saw, changed, was passed over on, or failed on", labels=labels
    )
    removed = CounterMetricFamily("heliostat_postprocessing_removed", "Entries that steps took out of answers", labels=labels)
    for key, count in sorted(steps.answers.items()):
        answers.add_metric([*key], count)
    for key, count in sorted(steps.removed.items()):
        removed.add_metric([*key], count)
    yield from (answers, removed)


def _members(fleet: FleetRouter) -> Metric:
    told = GaugeMetricFamily("heliostat_traffic_members", "HAProxies of the traffic plane, by state", labels=["state"])
    members = fleet.members()
    told.add_metric(["counts"], len(members))
    told.add_metric(["ready"], sum(each.report.ready for each in members))
    told.add_metric(["current"], sum(each.report.revision == fleet.wanted.revision for each in members))
    return told


def _traffic(versions: dict[str, dict[str, dict[str, Counts]]]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "heliostat_requests", f"Requests of clients that were answered or failed; {PREDICT} has the predictions", labels=_ROUTE
    )
    failed = CounterMetricFamily(
        "heliostat_failed_requests",
        "Those of them that ended with a status of 500 or above, or without an answer; predictions also with any other status "
        "that none has",
        labels=_ROUTE,
    )
    rejected = CounterMetricFamily(
        "heliostat_rejected_requests",
        f"Requests beside them that the contract does not take: with {', '.join(map(str, REJECTIONS))}",
        labels=_ROUTE,
    )
    durations = HistogramMetricFamily(
        "heliostat_request_duration_seconds",
        "Time to answer, as the traffic plane measures it, without failures; the sum is reckoned from the buckets",
        labels=_ROUTE,
    )
    found = [
        ([name, label, route], counts)
        for name, labels in versions.items()
        for label, routes in labels.items()
        for route, counts in routes.items()
    ]
    for labels, counts in found:
        requests.add_metric(labels, counts.requests)
        failed.add_metric(labels, counts.failed)
        if labels[-1] == PREDICT:
            rejected.add_metric(labels, counts.rejected)
        durations.add_metric(labels, _buckets(counts), _sum(counts))
    yield from (requests, failed, rejected, durations)


def _buckets(counts: Counts) -> list[tuple[str, float]]:
    """The counts at or below each bound, in seconds."""
    bounds = [*(f"{bound / 1000:g}" for bound in BOUNDS_MS), "+Inf"]
    below, found = 0, list[tuple[str, float]]()
    for bound, count in zip(bounds, counts.latencies, strict=True):
        below += count
        found.append((bound, below))
    return found


def _sum(counts: Counts) -> float:
    """Seconds, with each answer in the middle of its bucket."""
    lows, highs = (0.0, *BOUNDS_MS), (*BOUNDS_MS, BOUNDS_MS[-1])
    middles = ((low + high) / 2000 for low, high in zip(lows, highs, strict=True))
    return sum(count * middle for count, middle in zip(counts.latencies, middles, strict=True))


def _places(states: list[State], seen: dict[str, Observed]) -> Iterator[Metric]:
    weight = GaugeMetricFamily("heliostat_traffic_weight", "Share of the new requests, 0 to 1", labels=_VERSION)
    replicas = GaugeMetricFamily("heliostat_replicas", "Replicas", labels=[*_VERSION, "state"])
    for state in states:
        told = dict[str, tuple[float, int, int]]()
        for colour in Colour:
            slot, share = state.slot(colour), seen[state.name].share
            if slot.desired is not None:
                part = (share if colour is Colour.GREEN else SHARES - share) / SHARES
                label, healthy = slot.desired.version.label, len(seen[state.name].seen(colour).healthy)
                before = told.get(label, (0.0, 0, 0))
                told[label] = (before[0] + part, before[1] + slot.replicas, before[2] + healthy)
        for label, (part, asked, healthy) in told.items():
            weight.add_metric([state.name, label], part)
            replicas.add_metric([state.name, label, "asked"], asked)
            replicas.add_metric([state.name, label, "healthy"], healthy)
    yield from (weight, replicas)


def _rollouts(states: list[State], seen: dict[str, Observed]) -> Iterator[Metric]:
    phases = GaugeMetricFamily(
        "heliostat_rollout_phase", "1 for the phase of the newest rollout", labels=["application", "phase"]
    )
    steps = GaugeMetricFamily("heliostat_rollout_step", "Which step the newest rollout is at, from 0", labels=["application"])
    shifts = GaugeMetricFamily(
        "heliostat_shift_seconds", "From the last decision to move traffic until that was so", labels=["application"]
    )
    refused = GaugeMetricFamily(
        "heliostat_refused", "Declarations that were rolled back and are not shipped again", labels=["application"]
    )
    for state in states:
        refused.add_metric([state.name], len(refusals.shown(state)))
        if state.rollout is None:
            continue
        for phase in Phase:
            phases.add_metric([state.name, phase.value], phase is state.rollout.phase)
        steps.add_metric([state.name], show.step(state))
        took = seen[state.name].shift_milliseconds or state.rollout.figures.get("shift_milliseconds")
        if isinstance(took, (int, float)):
            shifts.add_metric([state.name], took / 1000)
    yield from (phases, steps, shifts, refused)


def _analyses(states: list[State], seen: dict[str, Observed], now: float) -> Iterator[Metric]:
    """The findings of each newest rollout's last analysis; of two checks with one name the worse verdict."""
    values = GaugeMetricFamily("heliostat_analysis_value", "What a check measured", labels=["application", "check", "side"])
    verdicts = GaugeMetricFamily(
        "heliostat_analysis_verdict", "1 pass, 0 open or inconclusive, -1 fail", labels=["application", "check"]
    )
    for state in states:
        results = show.analyses(state, seen[state.name], now) if state.rollout is not None else ()
        findings = results[-1].findings if results else ()
        sides = dict[tuple[str, str], float]()
        worst = dict[str, int]()
        for finding in findings:
            for side, value in (("candidate", finding.candidate), ("serving", finding.serving)):
                if value is not None:
                    sides.setdefault((finding.check, side), value)
            verdict = _VERDICTS[finding.verdict] if finding.verdict is not None else 0
            worst[finding.check] = min(worst.get(finding.check, 1), verdict)
        for (check, side), value in sides.items():
            values.add_metric([state.name, check, side], value)
        for check, verdict in worst.items():
            verdicts.add_metric([state.name, check], verdict)
    yield from (values, verdicts)
