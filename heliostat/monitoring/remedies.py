"""What helps against what was found: other inputs and another meaning of the same inputs have different remedies. Pure.

Inputs that changed (data drift) ask for rows like the new ones. Where the same inputs have other labels (concept drift) more
rows of before do not help: labels have to be made anew, and old ones to count less. What tells them apart is the estimate
without labels: it holds as long as labels mean the same, so a loss that it did not expect is no matter of inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heliostat.spec.findings import Aspect, Finding, State

_BY_LABELS = (Aspect.QUALITY, Aspect.PREDICTION_BIAS, Aspect.CONCEPT_DRIFT)
_MOST_NAMED = 5
_NEW_ROWS = "train with newer rows, and with labels of values that are new; what older rows teach still holds"
_NEW_LABELS = (
    "have the newest rows labelled anew and train on these; leave older ones out or have them count less, for more of them do "
    "not help"
)


def remedies(findings: Iterable[Finding]) -> tuple[str, ...]:
    """What to do, a sentence each, by the newest window that labels tell of and the newest of all; empty where nothing is
    to be done."""
    found = [*findings]
    there = [each for each in found if each.state is not State.UNKNOWN]
    told = []
    if skewed := _wrong(there, Aspect.SKEW):
        text = "mend that first, a training makes the same of it"
        told.append(f"Serving is given something else than the training was ({_named(skewed)}): {text}.")
    labelled = _newest([each for each in there if _tells_of_labels(each)])
    if worse := [each for each in labelled if each.state is State.BREACH]:
        return (*told, _of_loss(worse, [each for each in found if each.window == worse[0].window]))
    newest = _newest([each for each in there if each.aspect is Aspect.DRIFT])
    if drifted := _wrong(newest, Aspect.DRIFT):
        is_judged = bool(labelled) and labelled[0].window == drifted[0].window
        told.append(_of_drift_alone(drifted, is_judged))
    return tuple(told)


def _of_loss(worse: Sequence[Finding], window: Sequence[Finding]) -> str:
    """Of a window in which labels say that the model is worse."""
    drifted = _wrong(window, Aspect.DRIFT)
    estimates = {each.subject: each for each in window if each.aspect is Aspect.ESTIMATE}
    of_worse = [estimates[each.subject] for each in worse if each.aspect is Aspect.QUALITY and each.subject in estimates]
    expected = [each for each in of_worse if each.state is not State.UNKNOWN]
    start = f"In {worse[0].window} the model is worse ({_named(worse)})"
    if expected and all(each.state is State.OK for each in expected):
        why = f"its inputs alone do not explain it ({_named(expected)} is right, which holds while labels mean the same)"
        return f"{start}, and {why}: concept drift. Then {_NEW_LABELS}."
    if expected:
        found = f" ({_named(drifted)})" if drifted else ""
        why = f"its inputs{found} explain it, at least in part ({_named(expected)} expected a loss)"
        return f"{start}, and {why}: data drift. Then {_NEW_ROWS}."
    if drifted:
        why = f"its inputs have changed ({_named(drifted)}); whether labels mean something else as well is not told"
        would_tell = "the estimate, which would tell, cannot be made" if of_worse else "`estimate` would tell"
        return f"{start}, and {why}: {would_tell}. If not, {_NEW_ROWS}; if so, {_NEW_LABELS}."
    return f"{start}, and no input is known to have drifted: concept drift is likely. Then {_NEW_LABELS}."


def _of_drift_alone(drifted: Sequence[Finding], is_judged: bool) -> str:
    start = f"In {drifted[0].window} inputs have changed ({_named(drifted)})"
    if is_judged:
        return f"{start}, and by its labels the model is right: nothing has to be done yet. Should it get worse, {_NEW_ROWS}."
    return f"{start}, and no labels say whether the model is worse: get labels of these rows. If it is, {_NEW_ROWS}."


def _tells_of_labels(finding: Finding) -> bool:
    """Whether it is of all answers beside labels. A stream of predictions has none, and of a slice no estimate tells why."""
    is_of_answers = finding.aspect is Aspect.CONCEPT_DRIFT and not finding.subject.startswith("error")
    return finding.aspect in _BY_LABELS and not is_of_answers and "[" not in finding.subject


def _newest(findings: Sequence[Finding]) -> list[Finding]:
    """Those of the newest window among them."""
    last = max((each.at for each in findings), default=None)
    return [each for each in findings if each.at == last]


def _wrong(findings: Iterable[Finding], aspect: Aspect) -> list[Finding]:
    return [each for each in findings if each.aspect is aspect and each.state is State.BREACH]


def _named(findings: Sequence[Finding]) -> str:
    names = [f"{each.aspect}/{each.subject}" for each in findings]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
