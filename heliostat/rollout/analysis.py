"""The verdict on a candidate: a pure function of an analysis and of what was measured.

What is a share (of failed requests, of slow ones, of different answers) fails as soon as chance cannot explain it any more,
in whichever stretch of time; where it does not, its plain figure decides once the analysis has lasted its time. Figures
that are no shares decide at that time only. Where clients sent too little, what the analysis runner sent stands in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from heliostat.rollout import limits
from heliostat.rollout.chance import DOUBT, binomial_p_value, doubt_of_a_look, slower_than, wilson
from heliostat.rollout.judged import Judged, judge_measured
from heliostat.rollout.observed import Colour, Evidence, Window
from heliostat.spec.analysis import (
    Analysis,
    CheckResult,
    CustomCheck,
    Latency,
    Measurements,
    RejectionRate,
    Source,
    SuccessRate,
    Verdict,
)
from heliostat.spec.latencies import Counts

GRACE_SECONDS = 60.0
"""How much longer an analysis waits for what it lacks, on top of the time that a check of one's own may take."""
_ROUNDING = 1e-9
_FEW = 3
"""Bad answers that are more than a coincidence where there are too few requests for a verdict."""

Counted = SuccessRate | RejectionRate | Latency


@dataclass(frozen=True)
class Judgement:
    """What an analysis came to, or stands at."""

    findings: tuple[CheckResult, ...]
    verdict: Verdict | None
    """None: it goes on."""
    beyond_chance: bool = False
    """A failure that more figures could not change."""


def grace(analysis: Analysis) -> float:
    """How long after its time an analysis is inconclusive for want of figures, in seconds."""
    return GRACE_SECONDS + max(
        (check.timeout_seconds for check in analysis.checks if isinstance(check, CustomCheck)), default=0.0
    )


def judge(analysis: Analysis, evidence: Evidence, candidate: Colour, elapsed: float, late: bool = False) -> Judgement:
    """The findings after `elapsed` seconds; `late` once no more figures are waited for."""
    done = elapsed >= analysis.seconds
    judged = tuple(_check(analysis, number, evidence, candidate, elapsed) for number in range(len(analysis.checks)))
    findings = tuple(each.finding if done else each.so_far for each in judged)
    if any(each.beyond for each in judged):
        return Judgement(findings, Verdict.FAIL, beyond_chance=True)
    if not done:
        return Judgement(findings, None)
    verdicts = {finding.verdict for finding in findings}
    if Verdict.FAIL in verdicts:
        return Judgement(findings, Verdict.FAIL)
    if not late and any(each.waits for each in judged):
        return Judgement(findings, None)
    return Judgement(findings, Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts else Verdict.PASS)


def enough_traffic(analysis: Analysis, evidence: Evidence, candidate: Colour) -> bool:
    """Whether clients sent what every check on counted requests needs."""
    whole = _whole(evidence, candidate)
    counted = [check for check in analysis.checks if isinstance(check, Counted)]
    return all(whole.suffices(check, analysis.min_requests) for check in counted)


def needs_analysis_runner(analysis: Analysis) -> bool:
    """Whether it has checks that no counter can answer."""
    return any(not isinstance(check, Counted) for check in analysis.checks)


@dataclass(frozen=True)
class _Basis:
    """What counted checks are judged by."""

    candidate: Counts
    serving: Counts
    source: Source
    doubt: float = DOUBT
    exhausted: bool = False

    def suffices(self, check: Counted, least: int) -> bool:
        """Whether there are enough requests of each version that `check` compares."""
        compared = (self.candidate, self.serving) if _relative(check) else (self.candidate,)
        fewest = min(_trials(check, counts) for counts in compared)
        return fewest >= least or (self.exhausted and fewest > 0)


@dataclass(frozen=True)
class _Share:
    """`bad` of `total` requests, of which `allowed`, a share, may be."""

    bad: float
    total: float
    allowed: float

    @property
    def exceeds(self) -> bool:
        return self.total > 0 and self.bad / self.total > self.allowed + _ROUNDING

    def beyond_chance(self, doubt: float) -> bool:
        return binomial_p_value(self.bad, self.total, self.allowed) < doubt


def _check(analysis: Analysis, number: int, evidence: Evidence, candidate: Colour, elapsed: float) -> Judged:
    check = analysis.checks[number]
    if isinstance(check, Counted):
        return _counted(check, analysis, evidence, candidate, elapsed)
    return judge_measured(check, number, evidence.figures, analysis.min_requests)


def _counted(check: Counted, analysis: Analysis, evidence: Evidence, candidate: Colour, elapsed: float) -> Judged:
    least, whole, replayed = analysis.min_requests, _whole(evidence, candidate), _replayed(evidence.figures)
    bases = [_basis(window, evidence, candidate, elapsed, least) for window in evidence.windows]
    # Replays come as fast as they are answered: how slow they are says something only once there is nothing better.
    bases += [replayed] if replayed is not None and not isinstance(check, Latency) else []
    found = next((basis for basis in bases if _is_beyond(check, basis, least)), None)
    if found is not None:
        return Judged(_finding(check, found, Verdict.FAIL, "more than chance explains"), beyond=True)
    early = _hopeless(check, evidence, candidate, elapsed)
    if early is not None:
        return Judged(_finding(check, early, Verdict.FAIL, "few requests, but more than chance explains"), beyond=True)
    if whole.suffices(check, least):
        # Where samples were lost on the way, what is left of them is not the whole.
        part = evidence.windows[0].seconds < min(elapsed, analysis.seconds) / 2
        return replace(_plain(check, whole, least), waits=part)
    few = [share for share in _shares(check, whole, 1, careful=True) if share.bad >= _FEW and share.beyond_chance(DOUBT)]
    if few:
        # What clients met outweighs what was replayed.
        return Judged(_finding(check, whole, Verdict.FAIL, "few requests, but more than chance explains"))
    if any(share.exceeds for share in _shares(check, whole, least)):
        return Judged(_finding(check, whole, Verdict.FAIL, ""))
    if replayed is not None and replayed.suffices(check, least):
        return _plain(check, replayed, least)
    return _wanting(check, whole, replayed, evidence.figures, least)


def _hopeless(check: Counted, evidence: Evidence, candidate: Colour, elapsed: float) -> _Basis | None:
    """A window in which so many requests failed that it does not matter how few there were.

    Only failures are that plain: the first answers of a version may be slow for once.
    """
    if not isinstance(check, SuccessRate):
        return None
    bases = [_basis(window, evidence, candidate, elapsed, 1) for window in evidence.windows]
    some = (basis for basis in bases if basis.candidate.failed >= _FEW)
    return next((basis for basis in some if _is_beyond(check, basis, 1)), None)


def _plain(check: Counted, basis: _Basis, least: int) -> Judged:
    failed = any(share.exceeds for share in _shares(check, basis, 1 if basis.exhausted else least))
    finding = _finding(check, basis, Verdict.FAIL if failed else Verdict.PASS, "")
    return Judged(finding, unsure="beyond the limit so far; it may be chance" if failed else "")


def _wanting(check: Counted, whole: _Basis, replayed: _Basis | None, figures: Measurements | None, least: int) -> Judged:
    """There are too few requests for a verdict."""
    bases = (whole, *((replayed,) if replayed is not None else ()))
    basis = max(bases, key=lambda each: _trials(check, each.candidate))
    error = figures.error if figures is not None else ""
    trials = _trials(check, basis.candidate)
    text = f"{trials} of the candidate's {least} requests were there"
    if _relative(check) and trials >= least:
        text = f"{_trials(check, basis.serving)} of {least} requests to compare with were there"
    elif rejected := 0 if isinstance(check, RejectionRate) else max(each.candidate.rejected for each in bases):
        text += f", and {rejected} that its contract rejected"
    if error:
        text += f", and the analysis runner could not send more: {error}"
    # An error is how it stands: replicas come back, and a dead analysis runner is started again. The grace bounds the wait.
    waits = not (figures is not None and figures.exhausted)
    return Judged(_finding(check, basis, Verdict.INCONCLUSIVE, text), waits=waits)


def _is_beyond(check: Counted, basis: _Basis, least: int) -> bool:
    return any(share.beyond_chance(basis.doubt) for share in _shares(check, basis, least, careful=True))


def _shares(check: Counted, basis: _Basis, least: int, careful: bool = False) -> Iterator[_Share]:
    """What may not be exceeded, each of the check's limits for which there are `least` requests.

    `careful` gives what serves the benefit of chance too.
    """
    candidate, serving = basis.candidate, basis.serving
    if _trials(check, candidate) < least:
        return
    compares = _trials(check, serving) >= max(least, 1)
    if isinstance(check, Latency):
        yield from _slow(check, basis, compares, careful)
        return
    bad, total = _bad(check, candidate), _trials(check, candidate)
    most = check.at_most if isinstance(check, RejectionRate) else None if check.at_least is None else 1 - check.at_least
    if most is not None:
        yield _Share(bad, total, most)
    if check.margin is not None and compares:
        worst = wilson(_bad(check, serving), _trials(check, serving), basis.doubt)[1]
        usual = worst if careful else _bad(check, serving) / _trials(check, serving)
        yield _Share(bad, total, min(1.0, usual + check.margin))


def _slow(check: Latency, basis: _Basis, compares: bool, careful: bool) -> Iterator[_Share]:
    """What took longer than each limit; what failed took for ever, or a version would get faster by failing."""
    candidate, serving = basis.candidate, basis.serving
    limits_ms = [check.at_most_ms] if check.at_most_ms is not None else []
    if check.times is not None and compares:
        answers = sum(serving.latencies)
        rank = wilson(check.quantile * answers, answers, basis.doubt)[1] if careful else check.quantile
        usual_ms = serving.quantile_ms(rank)
        limits_ms += [check.times * usual_ms] if usual_ms is not None else []
    for limit_ms in limits_ms:
        slow = slower_than(candidate.latencies, limit_ms) + candidate.failed
        yield _Share(slow, candidate.requests, 1 - check.quantile)


def _trials(check: Counted, counts: Counts) -> int:
    """What a check's share is one of."""
    return counts.judged if isinstance(check, RejectionRate) else counts.requests


def _bad(check: SuccessRate | RejectionRate, counts: Counts) -> int:
    return counts.rejected if isinstance(check, RejectionRate) else counts.failed


def _finding(check: Counted, basis: _Basis, verdict: Verdict, text: str) -> CheckResult:
    def figure(counts: Counts) -> float | None:
        if isinstance(check, Latency):
            return counts.quantile_ms(check.quantile)
        return counts.success_rate if isinstance(check, SuccessRate) else counts.rejection_rate

    failed = basis.candidate.failed if isinstance(check, Latency) else 0
    parts = (text, f"{failed} of them failed, and count as slower than any limit" if failed else "")

    return CheckResult(
        check=limits.name(check),
        verdict=verdict,
        candidate=figure(basis.candidate),
        serving=figure(basis.serving),
        limit=limits.limit(check),
        requests=_trials(check, basis.candidate),
        source=basis.source,
        text="; ".join(part for part in parts if part),
    )


def _whole(evidence: Evidence, candidate: Colour) -> _Basis:
    window = evidence.windows[0] if evidence.windows else Window(0.0)
    return _Basis(window.counts(candidate), _serving(window, evidence, candidate), Source.TRAFFIC)


def _basis(window: Window, evidence: Evidence, candidate: Colour, elapsed: float, least: int) -> _Basis:
    counts = window.counts(candidate)
    doubt = doubt_of_a_look(elapsed, window.seconds, counts.judged, least)
    return _Basis(counts, _serving(window, evidence, candidate), Source.TRAFFIC, doubt)


def _serving(window: Window, evidence: Evidence, candidate: Colour) -> Counts:
    return window.counts(candidate.other) if evidence.before is None else evidence.before


def _replayed(figures: Measurements | None) -> _Basis | None:
    if figures is None:
        return None
    return _Basis(figures.candidate, figures.serving, figures.source, exhausted=figures.exhausted)


def _relative(check: Counted) -> bool:
    return (check.times if isinstance(check, Latency) else check.margin) is not None
