"""The labels that are known of an application's predictions, read from `ground-truth/<application>/**` in the object store.

One label a row, in any of the forms of `heliostat.ml.label_files`: `request_id` as the answer's `x-request-id` header
had it, `row` in the request (0 where the column is missing), and `label`: a number or a boolean, one of the task's classes, a
list for Multilabel and Embedding (as JSON where a file has text alone), or nothing where it is not known yet. Of a review
they have `weight` beside it.
`heliostat.ml.ground_truth.record` writes them, or whoever puts such files there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from heliostat.ml.ground_truth import prefix
from heliostat.ml.label_files import Found, LabelForm, Labels, is_data, read
from heliostat.ml.label_weights import weigh
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.base import Name
from heliostat.systems.objects import ObjectInfo, ObjectMissingError, open_store

_log = logging.getLogger(__name__)
_MOST_LABELS: Final = 200_000
_MOST_NUMBERS: Final = 1 << 23
"""Of labels that are lists fewer are kept."""
_MOST_SHOWN: Final = 5

_Age = tuple[datetime, str]
"""When an object was written, and its key, which decides between those of one moment. The larger, the newer."""
_Ages = dict[tuple[str, int], _Age]
_OLDEST: Final[_Age] = (datetime.min.replace(tzinfo=UTC), "")


class GroundTruth:
    """The labels of one application; objects that were read are not read again."""

    def __init__(
        self, address: StoreAddress, application: Name, most: int = _MOST_LABELS, form: LabelForm | None = None
    ) -> None:
        """`form`: what a label of the task may be, by default a number."""
        self.labels: Labels = {}
        self.weights: dict[tuple[str, int], float] = {}
        """How much a label counts that is known by a review alone: one over the chance that its answer was chosen."""
        self.requests: frozenset[str] = frozenset()
        """Ids of the requests that labels are about."""
        self.mistakes: dict[str, str] = {}
        """What could not be read, of each object, by key."""
        self._store = open_store(address)
        self._prefix = prefix(application)
        self._form = form or LabelForm()
        self._most = max(1, min(most, _MOST_NUMBERS // (self._form.width or 1)))
        self._read: set[tuple[str, int, datetime]] = set()
        self._ages: _Ages = {}
        """Of the object that each label is from."""
        self._forgotten: _Age | None = None
        """The newest object of which labels did not fit; what is older does not fit either."""

    def refresh(self) -> None:
        """Read what is new. The label of a newer object wins, whenever it is read; beyond what fits, the oldest go.

        Raises:
            PermanentError, RetryableError: the store does not answer.
        """
        self.mistakes.pop("all of it", None)
        there = self._store.list(self._prefix)
        fresh = [info for info in there if is_data(info.key) and _mark(info) not in self._read]
        if not fresh:
            return
        labels, ages = dict(self.labels), dict(self._ages)  # who looks labels up meanwhile has the old ones
        weights = dict(self.weights)
        try:
            self._take(sorted(fresh, key=_age, reverse=True), labels, ages, weights)
        finally:
            self._keep(labels, ages, weights)

    def _take(self, infos: Iterable[ObjectInfo], labels: Labels, ages: _Ages, weights: dict[tuple[str, int], float]) -> None:
        """Add what objects hold, the newest first; those that are too old to fit are not opened, now or later."""
        taken = 0
        for info in infos:
            age = _age(info)
            if taken >= self._most:
                self._forgotten = age if self._forgotten is None else max(self._forgotten, age)
            if self._forgotten is None or age > self._forgotten:
                found = self._labels_in(info.key)
                newer = {place: label for place, label in found.labels.items() if _beats(age, ages.get(place))}
                for place in found.labels:
                    if place in newer or place not in found.weights:  # an older one tells no more than another way
                        weigh(weights, place, found.weights.get(place), is_known=place in labels)
                labels.update(newer)
                ages.update(dict.fromkeys(newer, age))
                taken += len(newer)
            self._read.add(_mark(info))

    def _keep(self, labels: Labels, ages: _Ages, weights: dict[tuple[str, int], float]) -> None:
        excess = len(labels) - self._most
        if excess > 0:
            gone = sorted(labels, key=lambda place: ages.get(place, _OLDEST))[:excess]
            for place in gone:
                del labels[place]
                weights.pop(place, None)
            self._forgotten = max(filter(None, (self._forgotten, *(ages.pop(place, None) for place in gone))), default=None)
        self.labels, self._ages, self.weights = labels, ages, weights
        self.requests = frozenset(request_id for request_id, _ in labels)

    def _labels_in(self, key: str) -> Found:
        try:
            content = self._store.get(key)
        except ObjectMissingError:
            return Found()
        self.mistakes.pop(key, None)
        found = read(key, content, self._form)
        if found.problem:
            self.mistakes[key] = found.problem
            _log.warning("labels are left out, %s: %s", key, found.problem)
        return found

    @property
    def left_out(self) -> str:
        """What could not be read, in words; empty where everything could."""
        shown = [f"{key}: {text}" for key, text in tuple(self.mistakes.items())[:_MOST_SHOWN]]
        more = len(self.mistakes) - len(shown)
        return f"ground truth is left out, {'; '.join(shown)}{f'; and {more} objects more' if more else ''}" if shown else ""


def _age(info: ObjectInfo) -> _Age:
    return info.modified.astimezone(UTC), info.key


def _beats(age: _Age, known: _Age | None) -> bool:
    return known is None or age >= known


def _mark(info: ObjectInfo) -> tuple[str, int, datetime]:
    return info.key, info.size, info.modified.astimezone(UTC)
