"""Rows that ingestions keep: which of them anybody needs still. The decision is pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from heliostat.cli.datasets.catalogue import Stored
from heliostat.spec import ingested
from heliostat.spec.ingested import ErasedPart, SourceState, digest_now, digest_of_source
from heliostat.spec.ingestion import RowSource
from heliostat.systems.erasures import erased_parts
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectInfo, ObjectMissingError, ObjectStore

_SOURCE: TypeAdapter[RowSource] = TypeAdapter(RowSource)


@dataclass(frozen=True)
class IngestedRows:
    """What the ingestions of a data set keep."""

    name: str
    parts: Mapping[str, ObjectInfo]
    """By digest."""
    states: Mapping[str, tuple[SourceState, ObjectInfo]]
    """How far each source was read, by the source's digest."""
    erased: Mapping[str, ErasedPart] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """Objects of one fate."""

    name: str
    what: str
    keys: tuple[str, ...]
    """In the order in which they are deleted."""
    size: int


def read(store: ObjectStore, infos: Iterable[ObjectInfo]) -> tuple[IngestedRows, ...]:
    """What lies at these keys, by data set.

    Raises:
        PermanentError: what is said of a source cannot be read.
    """
    parts: dict[str, dict[str, ObjectInfo]] = {}
    states: dict[str, dict[str, tuple[SourceState, ObjectInfo]]] = {}
    erased: dict[str, dict[str, ErasedPart]] = {}
    for info in infos:
        place = ingested.place(info.key)
        if place is None:
            continue
        name, kind, digest = place
        if kind == "parts":
            parts.setdefault(name, {})[digest] = info
        elif kind == "states":
            try:
                states.setdefault(name, {})[digest] = SourceState.model_validate_json(store.get(info.key)), info
            except ObjectMissingError:
                continue
            except ValidationError as error:
                raise PermanentError(
                    f"{store.uri(info.key)} does not say how far a source was read, and so which rows are needed: delete it, "
                    f"and the source is read anew ({error.error_count()} mistakes)"
                ) from None
        elif name not in erased:
            erased[name] = erased_parts(store, name)
    names = sorted({*parts, *states})
    return tuple(IngestedRows(name, parts.get(name, {}), states.get(name, {}), erased.get(name, {})) for name in names)


def declared_sources(resources: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The digests of the sources that a stack's resources read.

    Raises:
        ValueError: a source cannot be read.
    """
    for ingestion in _named(resources, "ingestion"):
        if isinstance(ingestion, Mapping) and "source" in ingestion:
            try:
                yield digest_of_source(_SOURCE.validate_python(ingestion["source"]))
            except ValidationError as error:
                raise ValueError(f"a data set's source cannot be read: {error.errors()[0]['msg']}") from None


def _named(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == name:
                yield inner
            yield from _named(inner, name)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _named(inner, name)


def needed(rows: IngestedRows, kept: Sequence[Stored], sources: Collection[str], since: float) -> tuple[set[str], set[str]]:
    """The parts and the sources' states that somebody needs: a data set that is kept was made of them, a stack reads on
    where they end, they are what was read last, or they are younger than `since`, Unix time."""
    evidence = {
        digest_now(source.digest, rows.erased)
        for each in kept
        if each.name == rows.name
        for making in each.makings
        for source in making.sources
    }
    newest = max(rows.states, key=lambda each: rows.states[each][1].modified, default=None)
    states = {
        source
        for source, (state, info) in rows.states.items()
        if source in sources
        or source == newest
        or info.modified.timestamp() > since
        or any(digest_now(part.digest, rows.erased) in evidence for part in state.parts)
    }
    named = {digest_now(part.digest, rows.erased) for source in states for part in rows.states[source][0].parts}
    young = {digest for digest, info in rows.parts.items() if info.modified.timestamp() > since}
    return (evidence | named | young) & rows.parts.keys(), states


def fates(rows: IngestedRows, kept: Sequence[Stored], sources: Collection[str], since: float) -> Iterator[tuple[bool, Rows]]:
    """What of it stays and what goes. A source's state goes before its parts: what a kill leaves goes the next time."""
    parts, states = needed(rows, kept, sources, since)
    for stays in (True, False):
        own_states = [info for source, (_, info) in rows.states.items() if (source in states) == stays]
        own_parts = [info for digest, info in rows.parts.items() if (digest in parts) == stays]
        if own_states or own_parts:
            infos = [*own_states, *own_parts]
            what = f"{len(own_parts):,} parts of ingested rows"
            yield stays, Rows(rows.name, what, tuple(each.key for each in infos), sum(each.size for each in infos))
