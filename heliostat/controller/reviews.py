"""Answers that people look at: taken from the object store, handed out one at a time, and given back as ground truth."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, HTTPException, Response, status
from fastapi import Path as PathParameter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse

from heliostat.controller.permissions import identity
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
    truth_key,
    truth_of,
)
from heliostat.spec.roles import Identity
from heliostat.systems.erasures import ErasedPeople, announced
from heliostat.systems.objects import ObjectMissingError, ObjectStore, open_store

Who = Annotated[Identity, Depends(identity)]
ItemId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{32}$")]
_FRESH_SECONDS: Final = 5.0
"""How often the object store is looked through for new items, at most."""
_PAGE: Final = Path(__file__).with_name("review.html")
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


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


class Reviews:
    """The review queues of all applications."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._table = reconciler.store.reviews
        self._read_at: dict[str, float] = {}
        self._lock = asyncio.Lock()

    def settings(self, name: str) -> Review:
        """What an application declares; 404 where nothing."""
        state = self._reconciler.states.get(name)
        review = state.declared.version.review if state is not None and state.declared is not None else None
        if review is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"{name} has no review queue: declare serving.review")
        return review

    async def refresh(self, name: str) -> None:
        """Read what is new in the object store, where that was not done just now."""
        async with self._lock:
            if time.monotonic() - self._read_at.get(name, -_FRESH_SECONDS) < _FRESH_SECONDS:
                return
            known = self._table.files(name)
            for key, items in await asyncio.to_thread(_fresh, self._objects, name, known):
                self._table.add(name, key, items)
            self._read_at[name] = time.monotonic()

    async def next(self, name: str, who: Identity, skipped: frozenset[str]) -> Shown | None:
        """An item for somebody; None where there is none. Those that others began come first, so that they are settled."""
        review = self.settings(name)
        await self.refresh(name)
        reviewed = self._table.all(name)
        mine = [each for each in reviewed if any(label.reviewer == who.name for label in each.labels)]
        open_ = [each for each in reviewed if each not in mine and settled(each.labels, review.reviewers) is None]
        ready = sorted((each for each in open_ if each.item.id not in skipped), key=lambda each: -len(each.labels))
        if not ready:
            return None
        item = ready[0].item
        return Shown(
            id=item.id, at=item.at, inputs=item.inputs, labels=review.answer.labels, waiting=len(open_), labelled=len(mine)
        )

    async def say(self, name: str, item: str, said: Said, who: Identity) -> Answered:
        """Take what somebody says of an item."""
        review = self.settings(name)
        if said.label not in review.answer.labels:
            known = ", ".join(review.answer.labels)
            raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, f"{said.label!r} is no label: there are {known}")
        await self.refresh(name)
        found = self._found(name, item)
        others = tuple(each for each in found.labels if each.reviewer != who.name)
        label = ReviewLabel(reviewer=who.name, label=said.label, at=self._reconciler.now())
        self._table.say(name, item, label)
        truth = await self._publish(name, found.item, (*others, label), review)
        return Answered(answer=found.item.answer, others=others, settled=truth)

    async def withdraw(self, name: str, item: str, who: Identity) -> None:
        """Forget what somebody said; what was ground truth by it is none any more."""
        review, found = self.settings(name), self._found(name, item)
        self._table.withdraw(name, item, who.name)
        others = tuple(each for each in found.labels if each.reviewer != who.name)
        await self._publish(name, found.item, others, review)

    def report(self, name: str) -> ReviewReport:
        """What came of it."""
        return report(name, self._table.all(name), self.settings(name).reviewers)

    async def _publish(self, name: str, item: ReviewItem, labels: tuple[ReviewLabel, ...], review: Review) -> str | None:
        """Have the object store say what people agree on, or nothing where they do not."""
        truth, key = settled(labels, review.reviewers), truth_key(name, item.id)
        if truth is None:
            await asyncio.to_thread(self._objects.delete, key)
        else:
            line = json.dumps(truth_of(review, item, truth, labels)).encode() + b"\n"
            await asyncio.to_thread(self._objects.put, key, line)
        return truth

    def _found(self, name: str, item: str) -> ReviewedItem:
        for each in self._table.all(name):
            if each.item.id == item:
                return each
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"{name} has no item {item} to be reviewed, or not any more")

    @property
    def _objects(self) -> ObjectStore:
        return open_store(self._reconciler.settings.inputs.store)


def _fresh(objects: ObjectStore, name: str, known: set[str]) -> list[tuple[str, list[ReviewItem]]]:
    """The items of objects that were not read yet; people whose data are deleted are left out, and so are damaged lines."""
    erased = ErasedPeople(announced(objects, name))
    found: list[tuple[str, list[ReviewItem]]] = []
    for info in objects.list(items_prefix(name)):
        if info.key in known:
            continue
        try:
            lines = objects.get(info.key).splitlines()
        except ObjectMissingError:
            continue
        items = [item for line in lines if (item := _read(line)) is not None and not erased.has(item.inputs, item.at)]
        found.append((info.key, items))
    return found


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
        headers = {"content-security-policy": _POLICY, "referrer-policy": "no-referrer"}
        return HTMLResponse(await asyncio.to_thread(_PAGE.read_text), headers=headers)

    # Beside FastAPI's own routes, which need the token: the page asks for it.
    app.add_route("/review/{name}", page)
