"""One run of a custom check that is a function: `python -m heliostat.analysis.custom_function TASK ANSWER`.

Started by `heliostat.analysis.custom_checks` in a process of its own, in the candidate's code: whatever the function does to
this process, the runner goes on. Reads a Task, writes a Figure; without one, it crashed, and its stderr says why.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from heliostat.ml.checks import Candidate, Outcome, Reply, Sample
from heliostat.ml.contracts import load_entry_point
from heliostat.spec.analysis import Measurement, Verdict
from heliostat.spec.base import EntryPoint, Model
from heliostat.spec.rollouts import Version


class ReplyText(Model):
    """A Reply on its way; its body as Latin-1."""

    status: int
    body: str
    milliseconds: float


class SampleText(Model):
    """A Sample on its way."""

    request_id: str
    request: str
    candidate: ReplyText
    serving: ReplyText | None


class Task(Model):
    """What a function is called with."""

    function: EntryPoint
    limited: bool
    """Whether the check has a limit for a number."""
    application: str
    version: Version
    urls: tuple[str, ...]
    serving: Version | None
    serving_urls: tuple[str, ...]
    samples: tuple[SampleText, ...]

    def candidate(self) -> Candidate:
        """The same, for the function."""
        samples = tuple(
            Sample(
                each.request_id,
                each.request.encode("latin-1"),
                _reply(each.candidate),
                _reply(each.serving) if each.serving else None,
            )
            for each in self.samples
        )
        return Candidate(self.application, self.version, self.urls, self.serving, self.serving_urls, samples)


def main() -> None:
    """Call the function, and write what it came to."""
    task = Task.model_validate_json(Path(sys.argv[1]).read_bytes())
    sys.path.insert(0, "")
    answer = load_entry_point(task.function)(task.candidate())
    Path(sys.argv[2]).write_text(figure_of(answer, task.function, task.limited).model_dump_json())


def figure_of(answer: Any, function: str, limited: bool) -> Measurement:
    """What a function's answer means."""
    return held_to_limits(_figure(answer, function, limited), limited)


def held_to_limits(figure: Measurement, limited: bool) -> Measurement:
    """Where the check has a limit, who runs it passes nothing by themselves: the number decides, and there has to be one."""
    if not limited or figure.verdict is not Verdict.PASS:
        return figure
    if figure.candidate is not None:
        return figure.model_copy(update={"verdict": None})
    text = f"{figure.text} it passed without a number for `atLeast` and `atMost` to decide on".strip()
    return figure.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "text": text})


def _figure(answer: Any, function: str, limited: bool) -> Measurement:
    if isinstance(answer, bool):
        return Measurement(verdict=Verdict.PASS if answer else Verdict.FAIL)
    if isinstance(answer, int | float):
        answer = Outcome(value=float(answer))
    if not isinstance(answer, Outcome):
        known = "True or False, a number or a heliostat.ml.checks.Outcome is needed"
        return Measurement(verdict=Verdict.INCONCLUSIVE, text=f"{function} answered {answer!r:.200}: {known}")
    if answer.value is not None and not math.isfinite(answer.value):
        return Measurement(
            verdict=Verdict.INCONCLUSIVE, rows=answer.rows, text=f"{function} answered {answer.value}. {answer.text}"
        )
    verdict, text = answer.verdict, answer.text
    if verdict is None and (answer.value is None or not limited):
        verdict = Verdict.INCONCLUSIVE
        text = f"{text} {function} gave a figure and no verdict, and the check has neither `atLeast` nor `atMost`".strip()
    return Measurement(candidate=answer.value, serving=answer.serving, rows=answer.rows, verdict=verdict, text=text)


def _reply(text: ReplyText) -> Reply:
    return Reply(text.status, text.body.encode("latin-1"), text.milliseconds)


if __name__ == "__main__":
    main()
