"""Made-up rollouts, as a controller would tell them."""

import math
import random

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis import Analysis, AnalysisResult, CheckResult, Disagreement, Latency, Source, SuccessRate, Verdict
from heliostat.spec.ledger import Entry, EntryKind
from heliostat.spec.rollouts import (
    Desired,
    Origin,
    Phase,
    Record,
    Rollout,
    RolloutEvent,
    Sample,
    Status,
    Version,
    VersionSample,
)
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep
from heliostat.spec.workload import Limits, PredictionLog

BEGAN = 1_772_370_000.0
ORIGIN = Origin(by="ada", commit="1f0c9a2b77de0c5a4f3e2d1c0b9a8f7e6d5c4b3a", dirty=True)
ANALYSIS = Analysis(
    checks=(SuccessRate(at_least=0.99), Latency(quantile=0.99, times=1.5), Disagreement(at_most=0.05)),
    seconds=30,
    min_requests=100,
)
CANARY = Canary(
    steps=(CanaryStep(weight=10), CanaryStep(weight=50, pause_seconds=20), CanaryStep(weight=75, approval=True)),
    analysis=ANALYSIS,
)
TRACEBACK = """Traceback (most recent call last):
  File "app.py", line 3, in load
    <script>alert("x & y")</script>
ValueError: no such column: "origin\""""


def version(number=1):
    digest = f"{number:064x}"
    return Version(
        digest=digest,
        label=f"{number}-{number:08x}",
        code_uri=f"file:///objects/code/{number:064x}.zip",
        contract="workloads.flights.serve:Contract",
        model_uri=f"models:/flights/{number}",
        data_digest=f"{number + 100:064x}",
        tracking_uri="http://127.0.0.1:5000",
        store=StoreAddress(uri="file:///objects"),
        prediction_log=PredictionLog(),
        limits=Limits(),
    )


def desired(number=1, strategy=None, replicas=2):
    return Desired(
        version=version(number),
        replicas=replicas,
        cpus_per_replica=1.0,
        max_ongoing_requests=64,
        startup_timeout_seconds=180.0,
        strategy=strategy or CANARY,
    )


TWICE = "at most 1.5 times what serves"


def finding(check="latency p99", verdict=Verdict.PASS, candidate=10.24, serving=9.81, limit=TWICE, **more):
    counted = {"requests": 1480, "source": Source.TRAFFIC} | more
    return CheckResult(check=check, verdict=verdict, candidate=candidate, serving=serving, limit=limit, **counted)


def result(step, began, verdict=Verdict.PASS, findings=None):
    found = findings or (
        finding("success rate", candidate=1.0, serving=0.9998, limit="at least 0.99"),
        finding(),
        finding("disagreement", candidate=0.0132, serving=None, limit="at most 0.05", source=Source.SHADOW, requests=610),
    )
    ended = began + 30 if verdict else None
    return AnalysisResult(step=step, verdict=verdict, findings=tuple(found), began_at=began, ended_at=ended)


def measured(replicas, rate, failed=0.0, p50=4.0, p99=10.0):
    quiet = rate <= 0
    return VersionSample(
        replicas=replicas,
        requests_per_second=max(rate, 0),
        failed_per_second=failed,
        p50_ms=None if quiet else p50,
        p99_ms=None if quiet else p99,
    )


_PLAN = ((0, 0.0), (22, 0.1), (54, 0.5), (90, 0.75), (130, 1.0))


def samples(seconds=175, fails_at=None, seed=7):
    """A steady 200 requests a second; from `fails_at` on the candidate fails and is slow, five seconds later it is gone."""
    dice, found = random.Random(seed), []
    for second in range(seconds):
        weight = [share for since, share in _PLAN if second >= since][-1]
        failing = fails_at is not None and second >= fails_at
        if fails_at is not None and second >= fails_at + 5:
            weight = 0.0
        rate = 200 + 8 * math.sin(second / 9) + dice.gauss(0, 4)
        slow = 6.0 if failing else 1.0
        started = min(2, max(0, second // 9))
        tail = (10.2 + dice.expovariate(0.5)) * slow
        new = measured(started, rate * weight, rate * weight * 0.08 * failing, 4.3 * slow, tail)
        old = measured(0 if second > 165 else 2, rate * (1 - weight), 0.0, 4.1, 9.8 + dice.expovariate(0.5))
        found.append(Sample(at=BEGAN + second, candidate_weight=weight, candidate=new, serving=old))
    return tuple(found)


_STORY = (
    (0, Phase.PENDING, "declared by ada: 1-00000001 -> 2-00000002"),
    (0.2, Phase.STARTING, "2 replicas of 2-00000002 start beside 1-00000001"),
    (19, Phase.TESTING, "4 golden requests to each of 2 replicas"),
    (21, Phase.SHIFTING, "10 % of the traffic to 2-00000002"),
    (22, Phase.ANALYSING, "success rate, latency p99, disagreement for 30 s"),
    (53, Phase.SHIFTING, "50 % of the traffic to 2-00000002"),
    (54, Phase.ANALYSING, "success rate, latency p99, disagreement for 30 s"),
    (84, Phase.PAUSED, "for 20 s since the step began"),
    (89, Phase.SHIFTING, "75 % of the traffic to 2-00000002"),
    (90, Phase.WAITING, "for a person: heliostat rollout approve"),
    (129, Phase.SHIFTING, "approved by grace: looks good; all traffic to 2-00000002"),
    (135, Phase.RETAINING, "1-00000001 is kept for 30 s"),
    (165, Phase.RETIRING, "1-00000001 goes"),
    (172, Phase.SUCCEEDED, "2-00000002 serves"),
)
STEPS = (
    "10 % of the traffic, analysed for 30 s",
    "50 % of the traffic, analysed for 30 s, at least 20 s",
    "75 % of the traffic, analysed for 30 s, then a person",
    "all of the traffic",
)


SHIFTS = [
    {"weight": weight, "at": BEGAN + at, "shift_milliseconds": took, "seconds": lasted}
    for weight, at, took, lasted in ((0.1, 22, 1.2, 31), (0.5, 54, 2.1, 35), (0.75, 90, 1.9, 39), (1.0, 130, 2.94, None))
]


def told(story):
    numbered = enumerate(story, 1)
    return tuple(RolloutEvent(number=n, at=BEGAN + at, phase=phase, message=text) for n, (at, phase, text) in numbered)


def rollout(**changes):
    values = {
        "number": 7,
        "phase": Phase.SUCCEEDED,
        "started_at": BEGAN,
        "ended_at": BEGAN + 172,
        "step": 3,
        "steps": STEPS,
        "from_version": "1-00000001",
        "to_version": "2-00000002",
        "strategy": CANARY,
        "candidate_weight": 1.0,
        "events": told(_STORY),
        "figures": {"startup_seconds": 18.7, "shift_milliseconds": 2.94, "steps": SHIFTS},
        "analyses": (result(0, BEGAN + 22), result(1, BEGAN + 54), result(2, BEGAN + 90)),
        "origin": ORIGIN,
    }
    return Rollout(**values | changes)


def succeeded():
    return Record(application="flights", rollout=rollout(), samples=samples())


def failed():
    """Rolled back at its second step."""
    story = (
        *_STORY[:7],
        (68, Phase.ROLLING_BACK, "success rate 0.92 is below 0.99: all traffic back to 1-00000001"),
        (74, Phase.FAILED, "2-00000002 was rolled back; 1-00000001 serves"),
    )
    bad = (
        finding("success rate", Verdict.FAIL, 0.92, 0.9998, "at least 0.99", text="beyond chance after 14 s"),
        finding("latency p99", Verdict.FAIL, 61.2, 9.9),
        finding("disagreement", Verdict.INCONCLUSIVE, None, None, "at most 0.05", requests=12, text="12 of 100 requests"),
    )
    going = rollout(
        phase=Phase.FAILED,
        ended_at=BEGAN + 74,
        step=1,
        candidate_weight=0.0,
        events=told(story),
        error=f"success rate 0.92 is below 0.99 (1,480 requests)\n{TRACEBACK}",
        analyses=(result(0, BEGAN + 22), result(1, BEGAN + 54, Verdict.FAIL, bad)),
    )
    return Record(application="flights", rollout=going, samples=samples(75, fails_at=60))


def waiting():
    """Its third step waits for a person; nothing has ended."""
    going = rollout(
        phase=Phase.WAITING,
        ended_at=None,
        step=2,
        candidate_weight=0.75,
        events=told(_STORY[:10]),
        until=BEGAN + 90 + 3600,
        analyses=(result(0, BEGAN + 22), result(1, BEGAN + 54), result(2, BEGAN + 90, None)),
    )
    return Record(application="flights", rollout=going, samples=samples(100))


def first():
    """Nothing served before, and nothing was measured."""
    going = rollout(
        number=1,
        from_version=None,
        strategy=BlueGreen(),
        steps=("all of the traffic",),
        step=0,
        events=told(_STORY[:3]),
        phase=Phase.TESTING,
        ended_at=None,
        candidate_weight=0.0,
        analyses=(),
        figures={},
        origin=None,
    )
    return Record(application="flights", rollout=going, samples=())


def status(record=None, name="flights", number=2, **changes):
    going = record.rollout if record else rollout()
    values = {
        "name": name,
        "desired": desired(number),
        "serving": version(number),
        "healthy_replicas": 2,
        "rollout": going,
        "url": f"http://127.0.0.1:8080/{name}",
    }
    return Status(**values | changes)


def entry(number, kind=EntryKind.SHIFT, before=1, after=2, weight=1.0, at=None, **changes):
    """The shares of `after` is `weight`, that of `before` the rest."""
    weights = {version(after).digest: weight}
    if before and weight < 1:
        weights[version(before).digest] = 1 - weight
    values = {
        "number": number,
        "id": f"flights/{number}",
        "application": "flights",
        "at": BEGAN + 60 * number if at is None else at,
        "kind": kind,
        "rollout": number,
        "phase": Phase.SUCCEEDED if kind is EntryKind.END else Phase.SHIFTING,
        "strategy": CANARY,
        "previous": desired(before) if before else None,
        "target": desired(after),
        "weights": {} if kind is EntryKind.REMOVED else weights,
        "origin": ORIGIN,
        "figures": {"startup_seconds": 18.7},
    }
    return Entry(**values | changes)
