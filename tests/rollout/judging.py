"""What the tests of analyses judge, and how."""

from __future__ import annotations

from heliostat.rollout.analysis import Judgement, judge
from heliostat.rollout.model import Colour, Evidence, Window
from heliostat.spec.analysis import (
    Analysis,
    Check,
    CheckResult,
    Latency,
    Measurement,
    Measurements,
    Source,
    SuccessRate,
)
from heliostat.spec.latencies import Counts


def analysis(*checks: Check, seconds: float = 30, least: int = 100) -> Analysis:
    return Analysis(checks=checks, seconds=seconds, min_requests=least)


def traffic(candidate: Counts, serving: Counts | None = None, seconds: float = 30.0) -> Evidence:
    return Evidence((Window(seconds, blue=serving or Counts(), green=candidate),))


def judged(wanted: Analysis, evidence: Evidence, elapsed: float = 30.0, late: bool = False) -> Judgement:
    return judge(wanted, evidence, Colour.GREEN, elapsed, late)


def only(judgement: Judgement) -> CheckResult:
    (finding,) = judgement.findings
    return finding


def replayed(candidate: Counts, serving: Counts | None = None, exhausted: bool = True, **more: object) -> Evidence:
    figures = {"source": Source.RECENT, "candidate": candidate, "serving": serving or Counts(), "exhausted": exhausted, **more}
    return Evidence((Window(30.0),), Measurements.model_validate(figures))


def measured(figure: Measurement | None, exhausted: bool = True, error: str = "") -> Evidence:
    checks = {0: figure} if figure is not None else {}
    return Evidence((), Measurements(source=Source.RECENT, checks=checks, exhausted=exhausted, error=error))


RATE = analysis(SuccessRate(at_least=0.99))
RELATIVE = analysis(SuccessRate(margin=0.01))
P99 = analysis(Latency(at_most_ms=50))
TWICE = analysis(Latency(times=2.0))
