"""What the analysis runner measured, against its limits: disagreement, distances, the model's own metric, custom checks."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.rollout import limits
from heliostat.rollout.chance import binomial_p_value, doubt_of_a_look
from heliostat.spec.analysis import (
    CheckResult,
    CustomCheck,
    Disagreement,
    Measurement,
    Measurements,
    ModelMetric,
    PredictionDistance,
    Source,
    Verdict,
)

Measured = Disagreement | PredictionDistance | ModelMetric | CustomCheck
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Judged:
    """One check."""

    finding: CheckResult
    """As it decides once the analysis has lasted its time."""
    beyond: bool = False
    """It fails now: more figures could not change that."""
    waits: bool = False
    """It lacks figures that may yet come."""
    unsure: str = ""
    """Why it does not fail before that time."""

    @property
    def so_far(self) -> CheckResult:
        """As it stands while figures are gathered."""
        if self.beyond or self.finding.verdict is not Verdict.FAIL:
            return self.finding
        text = self.finding.text or self.unsure or "beyond the limit so far"
        return self.finding.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "text": text})


def judge_measured(check: Measured, number: int, figures: Measurements | None, least: int) -> Judged:
    """The check at place `number` of its analysis."""
    figure = figures.checks.get(number) if figures is not None else None
    source = Source.OWN if isinstance(check, CustomCheck) else figures.source if figures is not None else None
    if figures is None or figure is None:
        return _missing(check, figures, source)
    verdict, text = _verdict(check, figure, figures.exhausted, least)
    finding = CheckResult(
        check=limits.name(check),
        verdict=verdict,
        candidate=figure.candidate,
        serving=figure.serving,
        limit=limits.limit(check),
        requests=figure.rows,
        source=source,
        text="; ".join(part for part in (text, figure.text) if part),
    )
    if verdict is Verdict.INCONCLUSIVE:
        return Judged(finding, waits=not (figures.exhausted or isinstance(check, CustomCheck)))
    return Judged(finding, beyond=verdict is Verdict.FAIL and _is_beyond(check, figure, least))


def _missing(check: Measured, figures: Measurements | None, source: Source | None) -> Judged:
    text = "the analysis runner has not answered yet" if figures is None else "not measured yet"
    if figures is not None and figures.error:
        text = f"it could not be measured: {figures.error}"
    finding = CheckResult(
        check=limits.name(check), verdict=Verdict.INCONCLUSIVE, limit=limits.limit(check), source=source, text=text
    )
    over = figures is not None and (figures.exhausted and not isinstance(check, CustomCheck))
    return Judged(finding, waits=not over)


def _is_beyond(check: Measured, figure: Measurement, least: int) -> bool:
    if isinstance(check, CustomCheck):
        return figure.verdict is Verdict.FAIL
    if not isinstance(check, Disagreement) or figure.candidate is None or figure.rows < least:
        return False
    return binomial_p_value(figure.candidate * figure.rows, figure.rows, check.at_most) < doubt_of_a_look(
        1.0, 1.0, figure.rows, least
    )


def _verdict(check: Measured, figure: Measurement, exhausted: bool, least: int) -> tuple[Verdict, str]:
    if isinstance(check, CustomCheck):
        return _own(check, figure)
    if figure.candidate is None and figure.verdict is None:
        return Verdict.INCONCLUSIVE, "" if figure.text else _nothing(check)
    if figure.rows < least and isinstance(check, ModelMetric):
        return Verdict.INCONCLUSIVE, f"the truth of {figure.rows} of {least} rows is known"
    if figure.rows < least and not (exhausted and figure.rows):
        return Verdict.INCONCLUSIVE, f"{figure.rows} of {least} rows were compared"
    if figure.verdict is not None or figure.candidate is None:  # too much was not answered for a number to say anything
        return figure.verdict or Verdict.INCONCLUSIVE, ""
    if isinstance(check, ModelMetric):
        return _metric(check, figure.candidate, figure.serving)
    return (Verdict.FAIL if figure.candidate > check.at_most + _ROUNDING else Verdict.PASS), ""


def _metric(check: ModelMetric, candidate: float, serving: float | None) -> tuple[Verdict, str]:
    sign = 1.0 if check.higher_is_better else -1.0
    if check.limit is not None and sign * (candidate - check.limit) < -_ROUNDING:
        return Verdict.FAIL, ""
    if check.margin is None:
        return Verdict.PASS, ""
    if serving is None:
        return Verdict.INCONCLUSIVE, "there is no figure of what serves to compare with"
    return (Verdict.FAIL if sign * (candidate - serving) < -check.margin - _ROUNDING else Verdict.PASS), ""


def _own(check: CustomCheck, figure: Measurement) -> tuple[Verdict, str]:
    value = figure.candidate
    if figure.verdict is not None:
        return figure.verdict, ""
    if value is None:
        return Verdict.INCONCLUSIVE, "" if figure.text else _nothing(check)
    if check.at_least is None and check.at_most is None:
        return Verdict.INCONCLUSIVE, f"it answered {value:g} without a verdict, and has neither `atLeast` nor `atMost`"
    low = check.at_least is not None and value < check.at_least
    return (Verdict.FAIL if low or (check.at_most is not None and value > check.at_most) else Verdict.PASS), ""


def _nothing(check: Measured) -> str:
    if isinstance(check, ModelMetric):
        return "no row's truth is known yet"
    if isinstance(check, CustomCheck):
        return "it gave no number for `atLeast` and `atMost` to decide on"
    return "there was nothing to compare"
