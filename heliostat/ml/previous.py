"""The model that a training continues from, and what the new one kept of what that knew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heliostat.ml.contracts import Predictor, columns_of
from heliostat.ml.datasets import Snapshot
from heliostat.ml.ensembles import EnsemblePredictor, members_in
from heliostat.ml.predictions import Predictions
from heliostat.ml.tasks.evaluation import Evaluation
from heliostat.spec.problem import Problem
from heliostat.spec.training_report import Knowledge


@dataclass(frozen=True)
class Previous:
    """A registered model, with the data that it was trained on."""

    uri: str
    """`models:/<name>/<version>`"""
    folder: Path
    """What its training saved as the model."""
    predictor: Predictor
    """It, loaded with this workload's code."""
    dataset: Snapshot
    """What it was trained on."""
    digest: str

    def require_one_model(self) -> None:
        """See that there is one model to continue from.

        Raises:
            ValueError: it is an ensemble.
        """
        if members := members_in(self.folder):
            names = ", ".join(each["model"] for each in members if each.get("model"))
            raise ValueError(
                f"{self.uri} is an ensemble of a model of its own and of {names}: there is no one model to continue from; "
                f"name one of those in continueFrom, or {self.uri} in ensemble.model"
            )


class ValidationSplit:
    """What models reach on the validation split of one snapshot, which is read once."""

    def __init__(self, dataset: Snapshot, problem: Problem) -> None:
        self.dataset, self.problem = dataset, problem
        table, label = dataset.table("validation"), dataset.manifest()["label"]
        self._evaluation, self._columns = Evaluation(problem, table, label), columns_of(table.drop_columns([label]))

    def answers(self, model: Predictor | EnsemblePredictor) -> Predictions:
        """What a model predicts of its rows."""
        return model.predict(self._columns)

    def figures(self, answers: Predictions) -> dict[str, float]:
        """Every metric of such answers that is defined."""
        return self._evaluation.overall(answers)


def kept_knowledge(previous: Previous, model: Predictor | EnsemblePredictor, new: ValidationSplit) -> Knowledge:
    """Measure the previous model, and `model` that came of the training, on the validation splits of the old and the new data.

    Raises:
        ValueError: no metric is defined on both.
    """
    on_new = _both(previous.predictor, model, new)
    # A training on the same data has no other split to read.
    is_same = previous.dataset == new.dataset
    on_old = on_new if is_same else _both(previous.predictor, model, ValidationSplit(previous.dataset, new.problem))
    named = [name for name in on_new[0] if all(name in figures for figures in (*on_old, *on_new))]
    wanted = new.problem.task.default_metric if new.problem.task is not None else None
    if not named:
        raise ValueError(f"no metric is defined on the data of {previous.uri} and on the new data alike")
    metric = wanted if wanted in named else named[0]
    return Knowledge(
        metric=metric,
        before=previous.uri,
        old_data=previous.digest,
        before_on_old=on_old[0][metric],
        after_on_old=on_old[1][metric],
        before_on_new=on_new[0][metric],
        after_on_new=on_new[1][metric],
    )


def _both(
    before: Predictor, after: Predictor | EnsemblePredictor, split: ValidationSplit
) -> tuple[dict[str, float], dict[str, float]]:
    """What two models reach on a split."""
    return split.figures(split.answers(before)), split.figures(split.answers(after))
