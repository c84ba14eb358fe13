"""Answers that people look at: which, what they may say of them, and what follows from what they said. Pure.

    reviews/<application>/items/<spool>.jsonl        `ReviewItem`s, one a line, written with the prediction log's files
    ground-truth/<application>/reviews/<item>.jsonl  what people agreed on: a label like any other, with its weight

Every item has the probability with which it was chosen. Answers that the model was unsure of are chosen far more often than
others, so what is reckoned of all labels alike is wrong of all answers: a label counts by one over that probability.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from heliostat.spec.base import Model, Name, is_none

RETENTION_SECONDS: Final = 90 * 86_400.0
_Z: Final = 1.959963985
"""Of 95 %, two-sided."""


class ReviewProbability(Model):
    """The answer has the probability of the second of two labels."""

    kind: Literal["probability"] = "probability"
    field: Annotated[str, Field(min_length=1)]
    """The answer's field with the probability."""
    labels: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)] = ("0", "1")
    """What a person may say: first what a probability of 0 means."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """From which probability on the second label is the model's answer."""


class ReviewClass(Model):
    """The answer has a label, and how sure the model is of it."""

    kind: Literal["class"] = "class"
    field: Annotated[str, Field(min_length=1)]
    """The answer's field with the label."""
    confidence: Annotated[str, Field(min_length=1)]
    """The answer's field with the confidence, from 0 to 1."""
    labels: Annotated[tuple[str, ...], Field(min_length=2, max_length=9)]
    """What a person may say; each has a key from 1 on."""


class Review(Model):
    """Which answers people look at."""

    answer: Annotated[ReviewProbability | ReviewClass, Field(discriminator="kind")]
    """What the model's answer is, and what a person may say."""
    below: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Answers with a confidence below go to people."""
    random_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """So do this share of the others: without them nothing is known of what the model is sure of."""
    reviewers: Annotated[int, Field(ge=1, le=9)] = 1
    """How many have to label an answer before it is ground truth; where they are of two minds, one more."""
    retention_seconds: Annotated[float, Field(gt=0, exclude_if=lambda seconds: seconds == RETENTION_SECONDS)] = (
        RETENTION_SECONDS
    )
    """How long an item stays that was asked, or that somebody said something of; what is ground truth by it stays longer."""


class Selection(StrEnum):
    """Why somebody looks at an answer."""

    UNSURE = "unsure"
    RANDOM = "random"


class ReviewItem(Model):
    """One answer that people look at."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    request_id: str
    row: int
    at: float
    """When it was asked, Unix time, seconds."""
    version: str
    inputs: Any
    """As the prediction log has them: what is personal is treated."""
    prediction: Any
    answer: str
    """The model's, as one of the labels."""
    confidence: float
    selection: Selection
    probability: Annotated[float, Field(gt=0, le=1)]
    """With which it was chosen, of all requests."""
    logged: Annotated[float, Field(gt=0, le=1, exclude_if=lambda share: share == 1)] = 1.0
    """The share of all requests that were logged at all then."""


class ReviewLabel(Model):
    """What one person said of an item."""

    reviewer: str
    label: str
    at: float


class ReviewedItem(Model):
    """An item, and what people said of it."""

    item: ReviewItem
    labels: tuple[ReviewLabel, ...] = ()


class Agreement(Model):
    """How far two people say the same."""

    reviewers: tuple[str, str]
    items: int
    """That both labelled."""
    observed: float
    """Share of them on which they agree."""
    kappa: float | None
    """Cohen's: 1 where they always agree, 0 where as often as by chance; None where chance alone would always agree."""


class Accuracy(Model):
    """Share of the answers that people agree with."""

    items: int
    share: float | None = Field(default=None, exclude_if=is_none)
    low: float | None = Field(default=None, exclude_if=is_none)
    high: float | None = Field(default=None, exclude_if=is_none)
    """Of an interval of 95 %."""


class ReviewReport(Model):
    """What came of the reviews of an application."""

    application: Name
    waiting: int
    settled: int
    disputed: int
    """Enough people labelled them, and are of two minds."""
    agreements: tuple[Agreement, ...]
    weighted: Accuracy
    """Of all answers: each label counts by one over the probability with which its item was chosen."""
    random: Accuracy
    """Of those that were chosen at random alone: right without weights, and wider."""
    unweighted: Accuracy
    """Of all labels alike: not of all answers, as the unsure ones are among them more often."""


def choose(  # noqa: PLR0913 - what one row of a request is
    review: Review, request_id: str, row: int, at: float, version: str, asked: Any, answered: Any, logged: float
) -> ReviewItem | None:
    """The item of an answer, where people are to look at it; `logged` is the share of requests that is logged at all.

    The same answer is chosen, or not, whenever it is asked: what decides is its id's hash.
    """
    found = _answer(review, answered)
    if found is None:
        return None
    answer, confidence = found
    identity = hashlib.sha256(f"{request_id} {row} {at:.6f}".encode()).hexdigest()[:32]
    unsure = confidence < review.below
    share = 1.0 if unsure else review.random_share
    if not unsure and int(identity[:13], 16) >= share * 16**13:
        return None
    return ReviewItem(
        id=identity, request_id=request_id, row=row, at=at, version=version, inputs=asked, prediction=answered, answer=answer,
        confidence=confidence, selection=Selection.UNSURE if unsure else Selection.RANDOM, probability=share * logged,
        logged=logged,
    )  # fmt: skip


def _answer(review: Review, answered: Any) -> tuple[str, float] | None:
    """The model's label and its confidence; None of an answer that has none."""
    if not isinstance(answered, Mapping):
        return None
    of = review.answer
    value = answered.get(of.field if isinstance(of, ReviewProbability) else of.confidence)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return None
    if isinstance(of, ReviewProbability):
        return of.labels[value >= of.threshold], max(value, 1 - value)
    label = answered.get(of.field)
    return (str(label), float(value)) if label is not None else None


def settled(labels: Sequence[ReviewLabel], reviewers: int) -> str | None:
    """What enough people agree on; None while they are too few, or of two minds."""
    if len(labels) < reviewers:
        return None
    counted = Counter(each.label for each in labels).most_common(2)
    tied = len(counted) > 1 and counted[0][1] == counted[1][1]
    return None if tied else counted[0][0]


def kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two people's labels of the same items; None of none, or where chance alone would always agree."""
    if not pairs:
        return None
    count = len(pairs)
    ones, others = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    observed = sum(one == other for one, other in pairs) / count
    expected = sum(ones[label] * others[label] for label in ones) / count**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def agreements(reviewed: Sequence[ReviewedItem]) -> tuple[Agreement, ...]:
    """Of every two people who labelled the same items."""
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for each in reviewed:
        said = sorted((label.reviewer, label.label) for label in each.labels)
        for place, (one, first) in enumerate(said):
            for other, second in said[place + 1 :]:
                pairs.setdefault((one, other), []).append((first, second))
    return tuple(
        Agreement(reviewers=who, items=len(found), observed=sum(a == b for a, b in found) / len(found), kappa=kappa(found))
        for who, found in sorted(pairs.items())
    )


def report(application: str, reviewed: Sequence[ReviewedItem], reviewers: int, unlabelled: int = 0) -> ReviewReport:
    """What came of some items, and of as many more that nobody labelled."""
    known = [(each.item, label) for each in reviewed if (label := settled(each.labels, reviewers)) is not None]
    full = sum(len(each.labels) >= reviewers for each in reviewed)
    right = [(item.answer == label, 1 / item.probability, item.selection) for item, label in known]
    return ReviewReport(
        application=application, waiting=len(reviewed) - full + unlabelled, settled=len(known), disputed=full - len(known),
        agreements=agreements(reviewed), weighted=_accuracy([(hit, weight) for hit, weight, _ in right]),
        random=_accuracy([(hit, 1.0) for hit, _, why in right if why is Selection.RANDOM]),
        unweighted=_accuracy([(hit, 1.0) for hit, _, _ in right]),
    )  # fmt: skip


def _accuracy(right: Sequence[tuple[bool, float]]) -> Accuracy:
    """Hájek's estimate, with the variance of a ratio."""
    if not right:
        return Accuracy(items=0)
    total = math.fsum(weight for _, weight in right)
    share = math.fsum(weight for hit, weight in right if hit) / total
    variance = math.fsum((weight * (hit - share)) ** 2 for hit, weight in right) / total**2
    spread = _Z * math.sqrt(variance)
    return Accuracy(items=len(right), share=share, low=max(0.0, share - spread), high=min(1.0, share + spread))


def truth_of(review: Review, item: ReviewItem, label: str, labels: Sequence[ReviewLabel]) -> dict[str, Any]:
    """What people agreed on, as a line of ground truth: readers of labels take the first three, monitors the weight too."""
    of = review.answer
    truth = of.labels.index(label) if isinstance(of, ReviewProbability) else label
    return {
        "request_id": item.request_id, "row": item.row, "label": truth, "weight": 1 / item.probability,
        "logged": item.logged, "selection": item.selection.value, "reviewers": sorted(each.reviewer for each in labels),
        "at": max(each.at for each in labels),
    }  # fmt: skip


def items_prefix(application: str) -> str:
    """Where an application's items lie in the object store."""
    return f"reviews/{application}/items/"


def truth_key(application: str, item: str) -> str:
    """Where what people agreed on of an item lies."""
    return f"ground-truth/{application}/reviews/{item}.jsonl"
