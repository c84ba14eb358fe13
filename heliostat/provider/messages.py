"""A rollout in the words of an update: where it stands, why it is left, and why it failed. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from heliostat.spec.analysis import CheckResult, Source, Verdict
from heliostat.spec.rollouts import BlockedVersion, Phase, Rollout, Status

_SHARES = ("success rate", "rejection rate", "disagreement")
"""Checks whose figures are shares, by how their names begin."""
_SOURCES = {
    Source.TRAFFIC: "of clients",
    Source.SHADOW: "copied from clients",
    Source.RECENT: "replayed: clients' latest",
    Source.PREDICTION_LOG: "replayed from the prediction log",
    Source.GOLDEN: "golden and examples",
    Source.OWN: "of its own",
}


_VERDICTS = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "failed",
    Verdict.INCONCLUSIVE: "came to no verdict",
    None: "had not come to its end",
}


def standing(rollout: Rollout, now: float) -> str:
    """Where it is, with its figures: `canary 10 %: success-rate 100 % of 1,234 (at least 99 %): pass, 12 s left`."""
    where: str = rollout.strategy.kind
    if rollout.candidate_weight or rollout.analyses:
        where += f" {percent(rollout.candidate_weight)}"
    if len(rollout.steps) > 1:
        where += f", step {rollout.step + 1} of {len(rollout.steps)}"
    result = rollout.analyses[-1] if rollout.analyses else None
    if result is not None and result.ended_at is None:
        measured = (finding for finding in result.findings if finding.candidate is not None)
        said = ", ".join(map(finding_in_short, measured)) or "no figures yet"
    else:
        said = rollout.phase.value
    left = f", {_span(rollout.until - now)} left" if rollout.until is not None else ""
    return f"{where}: {said}{left}"


def finding_in_short(finding: CheckResult) -> str:
    """`latency p99 12 ms vs 11 ms (at most 1.5 times what serves): pass`."""
    text = f"{finding.check} {_figure(finding, finding.candidate)}"
    if finding.serving is not None:
        text += f" vs {_figure(finding, finding.serving)}"
    if finding.requests:
        text += f" of {finding.requests:,}"
    text += f" ({finding.limit})"
    return text if finding.verdict is Verdict.INCONCLUSIVE else f"{text}: {finding.verdict.value}"


def why_left(name: str, rollout: Rollout, detached: bool) -> str:
    """Why an update leaves a rollout that goes on, and what to do next."""
    label, until = rollout.to_version, f" until {_moment(rollout.until)}" if rollout.until is not None else ""
    watch = f"`heliostat rollout watch {name}` shows it, and the next `up` follows it"
    if rollout.phase is Phase.WAITING:
        late = f"; left alone, it is rolled back at {_moment(rollout.until)}" if rollout.until is not None else ""
        # It names what it speaks of: whoever reads it late, or second, approves nothing else.
        this = f"{name} --rollout {rollout.number} --step {rollout.step + 1}"
        return (
            f"{label} has {percent(rollout.candidate_weight)} of the traffic and waits for a person: "
            f"`heliostat rollout approve {this}` lets it go on, `heliostat rollout abort {name}` rolls it back{late}. {watch}"
        )
    if detached:
        return f"the rollout to {label} has begun and goes on by itself: {watch}"
    if rollout.phase is Phase.RETAINING:
        return f"{label} has all the traffic, and the version before is kept{until}: {watch}"
    doing = "is paused" if rollout.phase is Phase.PAUSED else "is analysed"
    share = f"at {percent(rollout.candidate_weight)} of the traffic" if rollout.candidate_weight else "without traffic"
    return f"{label} {doing} {share}{until}; the rollout goes on by itself: {watch}"


def why_failed(status: Status, rollout: Rollout) -> str:
    """What went wrong, with the figures and the candidate's own traceback, what serves, and what the next update does."""
    stays = f"{status.serving.label} goes on serving" if status.serving is not None else "nothing serves"
    lines = [f"{rollout.to_version} was not put into place; {stays}.", *_reason(rollout)]
    if rollout.figures:
        lines.append(f"Measured: {_measured(rollout)}.")
    refused = next((each for each in status.refused if each.rollout == rollout.number), None)
    lines.append(
        "The next `up` tries it again."
        if refused is None
        else "The next `up` does not ship it again until it, or what it has to pass, changes; `up --retry-refused` does."
    )
    return "\n".join(lines)


def refused(found: BlockedVersion) -> str:
    """That a declaration was rolled back before and is not shipped again by itself."""
    reason = next(iter(found.reason.strip().splitlines()), "")
    return (
        f"{found.label} was rolled back at {_moment(found.at)} (rollout {found.rollout}): {reason.rstrip('.')}. "
        "It is not shipped again until it, or what it has to pass, changes; `--retry-refused` ships it all the same"
    )


def percent(share: float) -> str:
    """A share of 0 to 1, to 0.01 %."""
    return f"{round(100 * share, 2):g} %"


def _reason(rollout: Rollout) -> list[str]:
    """The error, with the figures of the last analysis, line by line, in the place of what its first line says of them."""
    lines = (rollout.error or "").rstrip().splitlines()
    last = rollout.analyses[-1] if rollout.analyses else None
    if last is None or last.verdict is Verdict.PASS or not last.findings:
        return lines
    figures = [f"  {_in_full(finding)}" for finding in last.findings]
    head, colon, _ = lines[0].partition(": ") if lines else ("", "", "")
    if colon and last.verdict is not None and head.startswith("the analysis of"):
        return [f"{head[0].upper()}{head[1:]}:", *figures, *lines[1:]]
    verdict = _VERDICTS[last.verdict]
    step = f" ({rollout.steps[last.step]})" if last.step < len(rollout.steps) else ""
    return [*lines, f"The analysis of step {last.step + 1}{step} {verdict}:", *figures]


def _in_full(finding: CheckResult) -> str:
    parts = [f"{finding.check}: {_figure(finding, finding.candidate)}"]
    if finding.serving is not None:
        parts.append(f"{_figure(finding, finding.serving)} of what serves")
    parts.append(finding.limit)
    if finding.requests:
        kind = f" {_SOURCES[finding.source]}" if finding.source is not None else ""
        parts.append(f"{finding.requests:,} requests{kind}")
    reason = f" ({finding.text})" if finding.text else ""
    return f"{', '.join(parts)}: {finding.verdict.value}{reason}"


def _figure(finding: CheckResult, value: float | None) -> str:
    if value is None:
        return "unknown"
    if finding.check.startswith(_SHARES):
        return percent(value)
    return f"{_number(value)} ms" if finding.check.startswith("latency p") else _number(value)


def _measured(rollout: Rollout) -> str:
    return ", ".join(_with_unit(name, value) for name, value in _scalars(rollout.figures.items()))


def _scalars(items: Iterable[tuple[str, object]]) -> Iterable[tuple[str, float]]:
    return ((name, value) for name, value in items if isinstance(value, (int, float)) and not isinstance(value, bool))


def _with_unit(name: str, value: float) -> str:
    """`startup_seconds` 12.1 as `startup 12.1 s`."""
    for ending, unit in (("_milliseconds", "ms"), ("_seconds", "s"), ("_ms", "ms")):
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} {_number(value)} {unit}"
    return f"{name.replace('_', ' ')} {_number(value)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _span(seconds: float) -> str:
    seconds = max(0, round(seconds))
    if seconds < 100:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _moment(at: float) -> str:
    """In the machine's time zone."""
    return datetime.datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
