"""Answers that people look at: taken from the object store, handed out one at a time, and given back as ground truth."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import FastAPI, HTTPException, Response, status
from fastapi import Path as PathParameter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse

from heliostat.controller.permissions import Who
from heliostat.controller.reconciler import Reconciler
from heliostat.spec.base import Model, Name
from heliostat.spec.review import (
    Review,
    ReviewedItem,
    ReviewItem,
    ReviewLabel,
    ReviewReport,
    items_prefix,
    report,
    settled,
    truth_of,
)
from heliostat.spec.roles import Identity
from heliostat.systems.erasures import ErasedPeople, announced
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectMissingError, ObjectStore, open_store

ItemId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{32}$")]
_FRESH_SECONDS: Final = 5.0
"""How often the object store is looked through for new items, at most."""
_PAGE: Final = Path(__file__).with_name("review.html")
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class Shown(Model):
    """An item as a person sees it before they said anything: neither what the model answered, nor why it was chosen."""

    id: str
    at: float
    inputs: Any
    labels: tuple[str, ...]
    waiting: int
    """Items that this person may still label, with this one."""
    labelled: int
    """That this person labelled."""


class Said(Model):
    """What a person says."""

    label: str


class Answered(Model):
    """What they are told then."""

    answer: str
    """The model's."""
    others: tuple[ReviewLabel, ...]
    settled: str | None
    """What is ground truth by now."""


def declared_review(reconciler: Reconciler, name: str) -> Review | None:
    """What an application declares of its queue; None where nothing."""
    state = reconciler.states.get(name)
    return state.declared.version.review if state is not None and state.declared is not None else None


class Reviews:
    """The review queues of all applications."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._table = reconciler.store.reviews
        self._read_at: dict[str, float] = {}
        self._lock = asyncio.Lock()

    def settings(self, name: str) -> Review:
        """What an application declares; 404 where nothing."""
        review = declared_review(self._reconciler, name)
        if review is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"{name} has no review queue: declare serving.review")
        return review

    async def refresh(self, name: str) -> None:
        """Read what is new in the object store, where that was not done just now, and settle by what is declared now."""
        review = self.settings(name)
        async with self._lock:
            if time.monotonic() - self._read_at.get(name, -_FRESH_SECONDS) < _FRESH_SECONDS:
                return
            known = self._table.files(name)
            before = self._reconciler.now() - review.retention_seconds
            for key, items in await asyncio.to_thread(_fresh, self._objects, name, known, before):
                self._table.add(name, key, items)
            self._read_at[name] = time.monotonic()
        truths, said = self._table.truths(name), self._table.labels(name)
        found = {each: settled(labels, review.reviewers) for each, labels in said.items()}
        changed = [each for each, label in found.items() if truths.get(each) != label]
        # What was agreed on by a name that is declared no more stays as it was told.
        await self._settle(name, [each for each in changed if found[each] in (None, *review.answer.labels)], review)

    async def next(self, name: str, who: Identity, skipped: frozenset[str]) -> Shown | None:
        """An item for somebody; None where there is none.

        Those that others began come first, so that they are settled. Of the others each person has a turn of their own, so
        that two who label at once do not label the same.

        Raises:
            RetryableError, PermanentError: there is none, and the object store, which may have one, does not answer.
        """
        review, away = self.settings(name), None
        try:
            await self.refresh(name)
        except (RetryableError, PermanentError) as error:
            away = error
        said = self._table.labels(name)
        mine = {each for each, labels in said.items() if any(label.reviewer == who.name for label in labels)}
        begun = [each for each, labels in said.items() if each not in mine and settled(labels, review.reviewers) is None]
        ready = sorted((each for each in begun if each not in skipped), key=lambda each: -len(said[each]))
        chosen = ready[0] if ready else self._table.unlabelled(name, _turn(who), skipped)
        found = self._table.item(name, chosen) if chosen is not None else None
        if found is None:
            if away is not None:
                raise away
            return None
        item, waiting = found.item, len(begun) + self._table.count(name) - len(said)
        return Shown(
            id=item.id, at=item.at, inputs=item.inputs, labels=review.answer.labels, waiting=waiting, labelled=len(mine)
        )

    async def say(self, name: str, item: str, said: Said, who: Identity) -> Answered:
        """Take what somebody says of an item."""
        review = self.settings(name)
        if said.label not in review.answer.labels:
            known = ", ".join(review.answer.labels)
            raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, f"{said.label!r} is no label: there are {known}")
        if self._table.item(name, item) is None:
            await self.refresh(name)
        found = self._found(name, item)
        label = ReviewLabel(reviewer=who.name, label=said.label, at=self._reconciler.now())
        with self._table.whole():
            self._table.say(name, item, label)
            truth = self._find(name, [item], review)[item]
        await self._write()
        others = tuple(each for each in found.labels if each.reviewer != who.name)
        return Answered(answer=found.item.answer, others=others, settled=truth)

    async def withdraw(self, name: str, item: str, who: Identity) -> None:
        """Forget what somebody said; what was ground truth by it is none any more."""
        review = self.settings(name)
        self._found(name, item)
        with self._table.whole():
            self._table.withdraw(name, item, who.name)
            self._find(name, [item], review)
        await self._write()

    def report(self, name: str) -> ReviewReport:
        """What came of it, as far as items were read."""
        labelled = self._table.labelled(name)
        return report(name, labelled, self.settings(name).reviewers, self._table.count(name) - len(labelled))

    async def _settle(self, name: str, items: Sequence[str], review: Review) -> None:
        """Have the object store say what people agree on of items, or nothing where they do not."""
        if items:
            with self._table.whole():
                self._find(name, items, review)
            await self._write()

    def _find(self, name: str, items: Sequence[str], review: Review) -> dict[str, str | None]:
        """What items have for a label now, kept until it is written."""
        found: dict[str, str | None] = {}
        truths: dict[str, tuple[str | None, bytes | None]] = {}
        for each in items:
            reviewed = self._found(name, each)
            known = [label for label in reviewed.labels if label.label in review.answer.labels]
            label = found[each] = settled(known, review.reviewers)
            line = truth_of(review, reviewed.item, label, reviewed.labels) if label is not None else None
            truths[each] = (label, json.dumps(line).encode() + b"\n" if line is not None else None)
        self._table.find(name, truths)
        return found

    async def _write(self) -> None:
        """Tell the object store now; where it is away, what people said is kept and told later."""
        truths = self._reconciler.ledger.truths
        try:
            await truths.flush()
        except (RetryableError, PermanentError):
            truths.wake()

    def _found(self, name: str, item: str) -> ReviewedItem:
        found = self._table.item(name, item)
        if found is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"{name} has no item {item} to be reviewed, or not any more")
        return found

    @property
    def _objects(self) -> ObjectStore:
        return open_store(self._reconciler.settings.inputs.store)


def _turn(who: Identity) -> str:
    """Where somebody begins in the round of all items."""
    return hashlib.sha256(who.name.encode()).hexdigest()[:16]


def _fresh(objects: ObjectStore, name: str, known: set[str], before: float) -> list[tuple[str, list[ReviewItem]]]:
    """The items of objects that were not read yet, but those of before a time, of people whose data are deleted, and damaged
    lines."""
    found: list[tuple[str, list[ReviewItem]]] = []
    for info in objects.list(items_prefix(name)):
        if info.key in known:
            continue
        try:
            lines = objects.get(info.key).splitlines()
        except ObjectMissingError:
            continue
        found.append((info.key, [item for line in lines if (item := _read(line)) is not None and item.at >= before]))
    erased = ErasedPeople(announced(objects, name))  # behind the reading: whoever deletes announces it, and removes then
    return [(key, [item for item in items if not erased.has(item.inputs, item.at)]) for key, items in found]


def _read(line: bytes) -> ReviewItem | None:
    try:
        return ReviewItem.model_validate_json(line)
    except ValidationError:
        return None


def add_reviews(app: FastAPI, reviews: Reviews) -> None:
    """Add the calls to the API, and the page, which has nothing that needs a token."""

    @app.get("/v1/applications/{name}/reviews")
    async def told(name: Name) -> ReviewReport:
        await reviews.refresh(name)
        return reviews.report(name)

    @app.get("/v1/applications/{name}/reviews/next")
    async def next_item(name: Name, who: Who, skip: str = "") -> Shown | None:
        return await reviews.next(name, who, frozenset(skip.split(",")))

    @app.put("/v1/applications/{name}/reviews/{item}")
    async def say(name: Name, item: ItemId, said: Said, who: Who) -> Answered:
        return await reviews.say(name, item, said, who)

    @app.delete("/v1/applications/{name}/reviews/{item}", status_code=status.HTTP_204_NO_CONTENT)
    async def withdraw(name: Name, item: ItemId, who: Who) -> Response:
        await reviews.withdraw(name, item, who)
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    async def page(request: Request) -> HTMLResponse:
        headers = {
            "content-security-policy": _POLICY, "referrer-policy": "no-referrer", "x-content-type-options": "nosniff",
            "cache-control": "no-cache",
        }  # fmt: skip
        return HTMLResponse(await asyncio.to_thread(_PAGE.read_text), headers=headers)

    # Beside FastAPI's own routes, which need the token: the page asks for it.
    app.add_route("/review/{name}", page)
