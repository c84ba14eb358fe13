"""Post-processing steps of what is declared: what their lists hold now, what is kept of them, and what is told of a change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from heliostat.provider.properties import UNKNOWN, leaves, text_of
from heliostat.provider.resource import Context, Failure
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.inspection import Asked, Role
from heliostat.spec.postprocessing import ListSource, PostprocessingStep, changes
from heliostat.spec.training_resources import Code
from heliostat.systems import step_lists
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectStore, open_store

_PLACE = "postprocessing"


async def with_digests(given: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Failure]]:
    """Inputs whose lists have the digests of what they hold now, and those that cannot be read.

    A list in a store that is not known yet, or does not answer yet, has none: a preview goes on without it.
    """
    if not any(step.get("lists") for step in given.get(_PLACE, ())):
        return given, []
    return await asyncio.to_thread(_with_digests, given)


def _with_digests(given: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Failure]]:
    store, root = _store(given.get("store")), Path(str(given["code"]["root"]))
    failures: list[Failure] = []

    def looked_at(place: tuple[str | int, ...], written: Mapping[str, Any]) -> Mapping[str, Any]:
        source = ListSource.model_validate(written)
        try:
            if source.key is None or store is not None:
                digest = step_lists.digest_of(step_lists.content(source, root, store))
                source = source.model_copy(update={"digest": digest})
        except RetryableError:
            pass
        except PermanentError as error:
            failures.append(Failure(text_of((*place, "source")), str(error)))
        return source.model_dump(mode="json", by_alias=True)

    steps = [
        {**step, "lists": {name: looked_at((_PLACE, number, "lists", name), each) for name, each in step["lists"].items()}}
        if step.get("lists")
        else step
        for number, step in enumerate(given[_PLACE])
    ]
    return {**given, _PLACE: steps}, failures


def _store(given: Any) -> ObjectStore | None:
    if not isinstance(given, Mapping) or any(value == UNKNOWN for _, value in leaves(given)):
        return None
    try:
        return open_store(StoreAddress.model_validate(given))
    except (ValidationError, PermanentError, RetryableError):
        return None


def asked_of(given: Mapping[str, Any]) -> tuple[tuple[Asked, ...], dict[str, str]]:
    """What is asked of the code of the steps in some inputs, and where each function is named."""
    asked: list[Asked] = []
    places: dict[str, str] = {}
    for number, written in enumerate(given.get(_PLACE, ())):
        step = PostprocessingStep.model_validate(written)
        asked.append(Asked(entry_point=step.function, role=Role.POSTPROCESSING, parameters=step.parameters))
        places.setdefault(step.function, text_of((_PLACE, number, "function")))
    return tuple(asked), places


async def keep(steps: Iterable[PostprocessingStep], code: Code, address: StoreAddress) -> None:
    """Store the lists of steps as they were declared.

    Raises:
        PermanentError: one was changed since.
        RetryableError: the store does not answer.
    """
    if any(step.lists for step in steps):
        await asyncio.to_thread(step_lists.keep, tuple(steps), Path(code.root), open_store(address))


def tell(context: Context, old: Iterable[PostprocessingStep], new: Iterable[PostprocessingStep]) -> None:
    """Say in a preview what becomes of the steps."""
    for line in changes(old, new):
        context.info(f"post-processing: {line}")


def tell_effect(
    context: Context, old: Iterable[PostprocessingStep], new: Iterable[PostprocessingStep], seconds: float
) -> None:
    """Say how long a change of the steps took until every client had it."""
    if told := changes(old, new):
        context.info(f"post-processing: {'; '.join(told)}: in effect for all traffic {seconds:.1f} s after it was declared")
