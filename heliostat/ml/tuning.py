"""A small search for better parameters, as the first part of a training: what is declared first, then settings at random.

Each trial is a training of its own in one worker, with all of the data; the workers try different ones beside each other.
Then all of them train with the best. Which settings are tried follows from the seed alone, and which is the best from what
they reached: how many workers there are, or which was faster, decides nothing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from heliostat.ml.discretion import told_of
from heliostat.ml.metric_logger import MetricLogger
from heliostat.spec.base import Parameters
from heliostat.spec.training_report import Phase, Trial
from heliostat.spec.tuning import Tuning, settings

if TYPE_CHECKING:
    from heliostat.ml.training import Context, Trained

BUDGET_SHARE: Final = 0.5
"""Of a training's budget: after that no more trials are begun, or nothing would be left to train with the best."""
_ERROR_CHARACTERS: Final = 300
_FILE: Final = "trial.json"


class AllTrialsFailedError(Exception):
    """No trial ended with the metric."""


def tuned(context: Context, entry_point: Callable[[Context], None], tuning: Tuning) -> None:
    """Try, and give the context the best parameters and the trials.

    Raises:
        AllTrialsFailedError: none reached a figure.
    """
    wanted = settings(context.parameters, tuning)
    for number, parameters in enumerate(wanted):
        if number % context.workers == context.rank and _has_time(context, number):
            _try_once(context, entry_point, tuning, number, parameters)
    _wait_for_all(context)
    kept = [_kept(context, number, parameters) for number, parameters in enumerate(wanted)]
    higher = context.problem.higher_is_better(tuning.metric)
    trials = chosen([trial for trial in kept if trial is not None], tuning.metric, higher)
    best = next(trial for trial in trials if trial.chosen)
    context.parameters, context.trials = {**context.parameters, **best.parameters}, trials


def _try_once(
    context: Context, entry_point: Callable[[Context], None], tuning: Tuning, number: int, parameters: Parameters
) -> None:
    """Try a setting that no earlier attempt did."""
    if _kept(context, number, parameters) is None:
        trial = tried(context, entry_point, parameters, tuning.metric)
        context.places.keep(f"trials/{number}", _FILE, trial.model_dump_json().encode())


def _kept(context: Context, number: int, parameters: Parameters) -> Trial | None:
    content = context.places.kept(f"trials/{number}", _FILE)
    trial = Trial.model_validate_json(content) if content is not None else None
    return trial if trial is not None and trial.parameters == parameters else None


def _wait_for_all(context: Context) -> None:
    if context.workers > 1:
        from ray.train.collective import barrier

        with context.measured(Phase.SYNCHRONISATION):
            barrier()


def tried(context: Context, entry_point: Callable[[Context], None], parameters: Parameters, metric: str) -> Trial:
    """Train alone with some parameters, keep nothing, and say what came out."""
    began = time.monotonic()
    alone = _trial_of(context, parameters)
    try:
        entry_point(alone)
    except Exception as error:
        is_told = told_of(error, context.dataset) is error
        words = error if is_told else "what it says may quote personal values, and is not told"
        text = f"{type(error).__name__}: {words}"[:_ERROR_CHARACTERS]
        return Trial(parameters=parameters, value=None, error=text, seconds=_since(began))
    figures = dict(alone.trained.metrics) if alone.trained is not None else {}
    if metric not in figures:
        text = f"it has no {metric}; it has {', '.join(figures) or 'no metrics'}"
        return Trial(parameters=parameters, value=None, error=text, seconds=_since(began))
    return Trial(parameters=parameters, value=float(figures[metric]), seconds=_since(began))


def chosen(trials: Sequence[Trial], metric: str, higher_is_better: bool) -> tuple[Trial, ...]:
    """The trials with the best marked; of several that are equal the first, so that what is declared wins a tie.

    Raises:
        AllTrialsFailedError: none has a figure.
    """
    sign = 1 if higher_is_better else -1
    best = max(
        (number for number, trial in enumerate(trials) if trial.value is not None and trial.value == trial.value),
        key=lambda number: (sign * (trials[number].value or 0.0), -number),
        default=None,
    )
    if best is None:
        told = "; ".join(dict.fromkeys(trial.error for trial in trials))
        raise AllTrialsFailedError(f"none of {len(trials)} trials ended with a figure of {metric}: {told}")
    return tuple(trial.model_copy(update={"chosen": number == best}) for number, trial in enumerate(trials))


def _has_time(context: Context, number: int) -> bool:
    """The first, of what is declared, is always tried."""
    return number == 0 or context.seconds_limit is None or context.seconds < BUDGET_SHARE * context.seconds_limit


def _trial_of(context: Context, parameters: Parameters) -> Any:
    from heliostat.ml.training import Context as Whole

    class Alone(Whole):
        """One worker that keeps nothing and tells nothing."""

        trained: Trained | None = None

        @contextmanager
        def resumed(self) -> Any:
            yield None

        def checkpoint(self, save: Any, metrics: Any) -> None:
            return

        def tell(self, step: int, steps: int, metrics: Any, began_at: int = 0) -> None:
            return

        def is_over_budget(self) -> bool:
            return False

        def parameter_server(self, start: Any, update: Any) -> Any:
            raise ValueError("a trial runs in one worker: tuning and a parameter server exclude each other")

        def finish(self, trained: Trained | None) -> None:
            self.trained = trained

    given = {each.name: getattr(context, each.name) for each in dataclasses.fields(context) if not each.name.startswith("_")}
    changed = {"parameters": {**context.parameters, **parameters}, "rank": 0, "workers": 1, "machines": ()}
    return Alone(**{**given, **changed, "metric_logger": MetricLogger("", "")})


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
