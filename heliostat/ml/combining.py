"""Combines the model that a training ends with and those before it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.contracts import Predictor
from heliostat.ml.ensembles import ENSEMBLE_FILE, EnsemblePredictor, members_in
from heliostat.ml.previous import Previous, ValidationSplit
from heliostat.spec.ensembles import Combined, Ensemble, Member
from heliostat.spec.problem import Problem

_SHARES: Final = np.linspace(0.0, 0.95, 20)
"""That are tried for the older answers. Never all: an ensemble without the new model would be the old one once more."""
_MEMBERS: Final = "members"


@dataclass(frozen=True)
class Combining:
    """What the model of a training is combined with."""

    ensemble: Ensemble
    previous: Previous
    """The version that the ensemble names."""

    def combine(
        self, kind: type[Predictor], folder: Path, split: ValidationSplit
    ) -> tuple[Predictor | EnsemblePredictor, Combined, dict[str, float]]:
        """Make an ensemble of the model in `folder`, in its place.

        Returns:
            What answers from now on, what came of it, and every metric of it on the validation split.

        Raises:
            ValueError: the models answer in different shapes, or no metric is defined.
        """
        older, own = _older(self.previous, kind, self.ensemble.most_members - 1), kind.load(folder)
        mine = _numbers(split.answers(own))
        theirs = _numbers(split.answers(EnsemblePredictor([(each.member.share, each.predictor) for each in older])))
        alone = split.figures(mine)
        metric = _metric_of(alone, split.problem)
        share = self.ensemble.share
        if share is None:
            share = _best_share(split, metric, split.problem.higher_is_better(metric), mine, theirs)
        together = split.figures((1 - share) * mine + share * theirs)
        members = [Member(share=1 - share)]
        answers: Predictor | EnsemblePredictor = own
        if share:
            members += [each.member.model_copy(update={"share": share * each.member.share}) for each in older]
            loaded = (own, *(each.predictor for each in older))
            answers = EnsemblePredictor([(each.share, one) for each, one in zip(members, loaded, strict=True)])
            _gather(folder, [each.folder for each in older], members)
        made = Combined(members=tuple(members), metric=metric, alone=alone[metric], together=together[metric])
        return answers, made, together


class _Older(NamedTuple):
    """A model that was there before."""

    folder: Path
    member: Member
    """How much it counts among those."""
    predictor: Predictor


def _numbers(answers: Any) -> NDArray[np.float64]:
    return np.asarray(answers, dtype=np.float64)


def _metric_of(figures: Mapping[str, float], problem: Problem) -> str:
    """What models are compared by: the problem's first metric, or the first that is defined; without a task labels decide.

    Raises:
        ValueError: none is.
    """
    for name in (problem.default_metric, *figures):
        if name in figures and name in problem.names:
            return name
    raise ValueError("no metric is defined on the validation split: nothing says what the models are worth together")


def _best_share(
    split: ValidationSplit, metric: str, higher_is_better: bool, mine: NDArray[np.float64], theirs: NDArray[np.float64]
) -> float:
    """The share of the older answers that does best; of equal ones the least."""
    values = np.asarray([split.figures((1 - share) * mine + share * theirs)[metric] for share in _SHARES])
    return float(_SHARES[int(np.argmax(values if higher_is_better else -values))])


def _older(previous: Previous, kind: type[Predictor], most: int) -> list[_Older]:
    """The older models, and how much each counts among them: those that count most."""
    known = members_in(previous.folder)
    if not known:
        return [_Older(previous.folder, Member(model=previous.uri, share=1.0), _as(kind, previous.predictor, previous.folder))]
    assert isinstance(previous.predictor, EnsemblePredictor)  # noqa: S101 - its folder says so
    # What was trained for the version itself is called as the version is.
    found = [
        (previous.folder / each["folder"], each.get("model") or previous.uri, each["share"], one)
        for each, (_, one) in zip(known, previous.predictor.members, strict=True)
    ]
    kept = sorted(found, key=lambda each: each[2], reverse=True)[:most]
    whole = sum(share for _, _, share, _ in kept)
    return [_Older(path, Member(model=name, share=share / whole), _as(kind, one, path)) for path, name, share, one in kept]


def _as(kind: type[Predictor], predictor: Predictor, folder: Path) -> Predictor:
    """A model as `kind` has it, which is what will answer: the one that is loaded, unless it is of another class."""
    return predictor if type(predictor) is kind else kind.load(folder)


def _gather(folder: Path, older: Sequence[Path], members: Sequence[Member]) -> None:
    """Put the models' folders into the place of the first, beside each other: what was in `folder` before the older ones."""
    places = [f"{_MEMBERS}/{number}" for number in range(len(members))]
    own = folder.with_name(f"{folder.name}-{_MEMBERS}")
    folder.rename(own)
    (folder / _MEMBERS).mkdir(parents=True)
    own.rename(folder / places[0])
    for source, place in zip(older, places[1:], strict=True):
        shutil.copytree(source, folder / place)
    told = [{**each.model_dump(mode="json"), "folder": place} for each, place in zip(members, places, strict=True)]
    (folder / ENSEMBLE_FILE).write_text(json.dumps({"members": told}, indent=2))
