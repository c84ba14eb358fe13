"""Checks and their limits in words."""

from __future__ import annotations

from heliostat.spec.analysis import (
    Analysis,
    Check,
    CheckResult,
    CustomCheck,
    Disagreement,
    Latency,
    ModelMetric,
    PredictionDistance,
    RejectionRate,
    SuccessRate,
)
from heliostat.spec.formatting import duration, percent


def name(check: Check) -> str:
    """A check, e.g. `latency p99`."""
    match check:
        case SuccessRate():
            return "success rate"
        case RejectionRate():
            return "rejection rate"
        case Latency(quantile=quantile):
            return f"latency p{100 * quantile:g}"
        case Disagreement(field=field):
            return f"disagreement of {field}" if field else "disagreement"
        case PredictionDistance(field=field, distance=distance):
            return f"{distance} distance of {field}"
        case ModelMetric(metric=metric, field=field):
            return f"{metric} of {field}"
        case CustomCheck():
            return check.name


def limit(check: Check) -> str:
    """What a check asks for, e.g. `at most 1.5 times what serves`."""
    return " and ".join(_limits(check)) or "its own verdict"


def sentence(analysis: Analysis) -> str:
    """All checks with their limits, e.g. `success rate at least 99 %; latency p99 at most 50 ms`."""
    return "; ".join(f"{name(check)}: {limit(check)}" for check in analysis.checks)


def told(finding: CheckResult) -> str:
    """A finding in a line: `success rate 94.8 % (at least 99 %; 812 requests, traffic)`."""
    figure = figure_of(finding, finding.candidate) if finding.candidate is not None else "unknown"
    against = f", what serves has {figure_of(finding, finding.serving)}" if finding.serving is not None else ""
    source = f"; {finding.requests} requests, {finding.source}" if finding.source is not None and finding.requests else ""
    return f"{finding.check} {figure}{against} ({finding.limit}{source})" + (f": {finding.text}" if finding.text else "")


def figure_of(finding: CheckResult, value: float) -> str:
    """A figure of a check, in its unit: `94.8 %`, `12 ms`."""
    shares = dict.fromkeys(("success", "rejection", "disagreement"), percent)
    kind = {**shares, "latency": _milliseconds}.get(finding.check.split()[0], _plainly)
    return kind(value)


def length(analysis: Analysis) -> str:
    """How long an analysis takes, e.g. `30 s, at least 100 requests`."""
    least = analysis.min_requests
    return f"{duration(analysis.seconds)}, at least {least} request{'s' if least > 1 else ''}"


def _limits(check: Check) -> list[str]:
    found: list[str | float | None] = []
    match check:
        case SuccessRate():
            margin = check.margin and f"at most {percent(check.margin)} lower than what serves"
            found = [_some("at least", check.at_least, percent), margin or _zero(check.margin, "not lower than what serves")]
        case RejectionRate():
            margin = check.margin and f"at most {percent(check.margin)} higher than what serves"
            found = [_some("at most", check.at_most, percent), margin or _zero(check.margin, "not higher than what serves")]
        case Latency():
            at_most = check.at_most_ms and f"at most {check.at_most_ms:g} ms"
            found = [at_most, check.times and f"at most {check.times:g} times what serves"]
        case Disagreement():
            apart = f" (numbers {check.tolerance:g} apart agree)" if check.tolerance else ""
            found = [f"at most {percent(check.at_most)}{apart}"]
        case PredictionDistance():
            found = [f"at most {check.at_most:g}"]
        case ModelMetric():
            word = "at least" if check.higher_is_better else "at most"
            margin = check.margin and f"at most {check.margin:g} worse than what serves"
            found = [_some(word, check.limit), margin or _zero(check.margin, "not worse than what serves")]
        case CustomCheck():
            found = [_some("at least", check.at_least), _some("at most", check.at_most)]
    return [str(each) for each in found if each]


def _milliseconds(figure: float) -> str:
    return f"{figure:.3g} ms"


def _plainly(figure: float) -> str:
    return f"{figure:.4g}"


def _some(word: str, figure: float | None, shown: object = None) -> str | None:
    if figure is None:
        return None
    return f"{word} {percent(figure) if shown is percent else f'{figure:g}'}"


def _zero(margin: float | None, text: str) -> str | None:
    return text if margin == 0 else None
