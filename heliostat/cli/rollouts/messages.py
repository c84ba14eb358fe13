"""Numbers, times, phases and versions as people read them; pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from heliostat.cli.display.messages import duration
from heliostat.spec.analysis import AnalysisResult, Source, Verdict
from heliostat.spec.rollouts import Origin, Phase, Rollout

NOTHING = "\N{EN DASH}"
ENDS = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED})
SETTLED = frozenset({Phase.RETAINING, Phase.RETIRING, Phase.SUCCEEDED})
"""The new version has all traffic and has passed everything: for a client the rollout is through."""

PHASES = {
    Phase.PENDING: "about to begin",
    Phase.STARTING: "starting the candidate",
    Phase.TESTING: "asking it the golden requests",
    Phase.SHIFTING: "moving traffic",
    Phase.ANALYSING: "analysing",
    Phase.PAUSED: "paused",
    Phase.WAITING: "waiting for a person",
    Phase.RETAINING: "through; the old version is kept",
    Phase.RETIRING: "through; the old version goes",
    Phase.ROLLING_BACK: "rolling back",
    Phase.SUCCEEDED: "succeeded",
    Phase.FAILED: "failed",
    Phase.SUPERSEDED: "superseded",
}
_SOURCES = {
    Source.TRAFFIC: "traffic",
    Source.SHADOW: "copies of the traffic",
    Source.RECENT: "recent requests, replayed",
    Source.PREDICTION_LOG: "the prediction log, replayed",
    Source.GOLDEN: "golden requests",
    Source.OWN: "a check of one's own",
}
_SHARES = ("success rate", "rejection rate", "disagreement")
# a figure's name ends in its unit
_UNITS = {"seconds": "s", "milliseconds": "ms", "ms": "ms"}


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits, an en dash for nothing: `9.81 ms`, `1,480`, `0.00213`."""
    if value is None:
        return NOTHING
    if value == int(value) and abs(value) < 1e15:
        text = f"{int(value):,}"
    elif abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.3g}"
    return f"{text} {unit}" if unit else text


def percent(share: float) -> str:
    """A share of 0 to 1, to 0.01 %."""
    return f"{round(100 * share, 2):g} %"


def moment(at: float) -> str:
    """`2013-01-31 12:00:05` in the machine's time zone."""
    return datetime.datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock(at: float) -> str:
    """`12:00:05` in the machine's time zone."""
    return datetime.datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def span(seconds: float) -> str:
    """A length of time: `0.3s`, `3m07s`, `2d03h`."""
    seconds = max(0.0, seconds)
    if seconds < 86400:
        return duration(seconds)
    days, rest = divmod(round(seconds), 86400)
    return f"{days}d{rest // 3600:02d}h"


def took(rollout: Rollout, now: float) -> str:
    """How long it took, or has been on its way."""
    return span((rollout.ended_at or now) - rollout.started_at)


def origin(said: Origin | None) -> str:
    """`ada at 1f0c9a2b (with local changes)`; empty where that is not known."""
    if said is None:
        return ""
    commit = f" at {said.commit[:10]}" if said.commit else ""
    return f"{said.by}{commit}{' (with local changes)' if said.commit and said.dirty else ''}"


def source(of: Source | None) -> str:
    """Which requests a figure was made of."""
    return _SOURCES[of] if of else ""


def verdict(of: Verdict | None) -> str:
    """A verdict, also one that is not there yet."""
    return "open" if of is None else str(of)


def measured(check: str, value: float | None) -> str:
    """What a check measured, in its unit: shares in percent, latencies in milliseconds."""
    if value is not None and check.startswith(_SHARES):
        return f"{100 * value:.4g} %"
    return number(value, "ms" if check.startswith("latency") else "")


def figure(name: str, value: Any) -> tuple[str, str]:
    """A figure's name and value: `("startup", "12.1 s")` of `startup_seconds`."""
    stem, _, unit = name.rpartition("_")
    if unit not in _UNITS:
        stem, unit = name, ""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    said = number(value, _UNITS.get(unit, "")) if plain else str(value)
    return (stem or "time").replace("_", " "), said


def figures(of: Mapping[str, Any]) -> str:
    """All figures in one line."""
    return ", ".join(" ".join(figure(name, value)) for name, value in of.items() if not isinstance(value, dict | list))


def checks(analyses: tuple[AnalysisResult, ...]) -> str:
    """`7 of 8 checks passed`; empty without any."""
    findings = [finding for result in analyses for finding in result.findings]
    good = sum(finding.verdict is Verdict.PASS for finding in findings)
    return f"{good} of {len(findings)} checks passed" if findings else ""


def first_line(text: str | None) -> str:
    """The first line that says something."""
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), "")
