"""What the deletion of an application's person reaches: which data sets, and which jobs worked on those.

A data set is called after its workload, an application in a branch's environment is not: nothing is found by being called
alike. Which data serve is in the ledger and in the jobs' specifications, what they were made of in the records of how.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from heliostat.spec import ledger
from heliostat.spec.data_sets import TOP, manifest_place
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_READERS: Final = 8
_SPECIFICATION: Final = re.compile(r"jobs/(.+?)(?:\.scheduled)?\.json")
_NOTE: Final = ".ray.json"
_LOG: Final = re.compile(r"/predictions/([^/]+)/?$")
"""How the address ends that a data set names which was made of a prediction log."""
_MADE: Final = re.compile(rf"{TOP}([^/]+)/made/[^/]+\.json")


@dataclass(frozen=True)
class Reach:
    """What is to be searched beside what an application has for itself."""

    data_sets: tuple[str, ...]
    """By name: what its versions were trained on, and what was made of those or of its prediction log."""
    jobs: frozenset[str]
    """Submission ids of the jobs that worked for it, or on one of these data sets."""
    batches: frozenset[str]
    """Batch predictions, of whichever application, that predict rows of one of these data sets."""
    others: tuple[str, ...]
    """Other applications whose versions learned of these data sets."""


@dataclass(frozen=True)
class _Job:
    """What a job was told, as far as it says whose rows it read."""

    submission_id: str
    application: str
    data_set: str
    """That it made or read; empty where none."""
    batch: str
    sources: frozenset[str]
    """What it made a data set of: `prediction log of <application>`, `data set <name>`."""


def reach_of(store: ObjectStore, application: str, declared: Collection[str] = ()) -> Reach:
    """What the store says of an application; `declared`: the digests of the data that it is declared with."""
    known = _known(store)
    jobs = list(_jobs(store))
    digests = {*declared, *_served(store, application)}
    found = {name for name, digest in known.digests if digest in digests}
    found |= {job.data_set for job in jobs if job.application == application and job.data_set}
    if application in known.names:
        found.add(application)  # also where it never served, or its ledger is gone
    edges = [*known.edges, *((job.data_set, source) for job in jobs for source in job.sources)]
    found |= _made_of({_log(application), *map(_set, found)}, edges)
    on_them = [job for job in jobs if job.data_set in found]
    return Reach(
        data_sets=tuple(sorted(found)),
        jobs=frozenset(job.submission_id for job in [*on_them, *(each for each in jobs if each.application == application)]),
        batches=frozenset(job.batch for job in on_them if job.batch),
        others=tuple(sorted({job.application for job in on_them} - {"", application})),
    )


@dataclass(frozen=True)
class _Known:
    names: frozenset[str]
    digests: frozenset[tuple[str, str]]
    """Of snapshots, those that were pruned included: data set and digest."""
    edges: tuple[tuple[str, str], ...]
    """What was made of what."""


def _known(store: ObjectStore) -> _Known:
    keys = [info.key for info in store.list(TOP)]
    digests = {place for key in keys if (place := manifest_place(key)) is not None}
    edges = list[tuple[str, str]]()
    for key, record in _read(store, [key for key in keys if _MADE.fullmatch(key)]):
        name, made = key.split("/")[1], record.get("made")
        if isinstance(record.get("digest"), str):
            digests.add((name, record["digest"]))
        for parent in _mappings(made, "parents"):
            edges.append((name, _set(str(parent.get("name")))))
        for source in _mappings(made, "sources"):
            if fits := _LOG.search(str(source.get("uri"))):
                edges.append((name, _log(fits[1])))
    return _Known(frozenset(key.split("/")[1] for key in keys), frozenset(digests), tuple(edges))


def _served(store: ObjectStore, application: str) -> Iterator[str]:
    """The digests of the data of all versions that an application's ledger speaks of."""
    keys = [info.key for info in store.list(ledger.prefix_of(application)) if ledger.place_of(info.key) is not None]
    for _, content in _read(store, keys):
        try:
            entry = ledger.Entry.model_validate(content)
        except ValidationError:
            continue  # `rollout history` tells of it
        yield from (desired.version.data_digest for desired in entry.known.values() if desired.version.data_digest)


def _jobs(store: ObjectStore) -> Iterator[_Job]:
    keys = [info.key for info in store.list("jobs/") if not info.key.endswith(_NOTE)]
    for key, told in _read(store, [key for key in keys if _SPECIFICATION.fullmatch(key)]):
        fits = _SPECIFICATION.fullmatch(key)
        submission_id = fits[1] if fits is not None else ""
        dataset_key, name = str(told.get("datasetKey") or ""), str(told.get("name") or "")
        if dataset_key:
            data_set = dataset_key.split("/")[1] if dataset_key.startswith(TOP) else ""
        else:
            data_set = name if str(told.get("resultKey") or "").startswith(f"{TOP}{name}/") else ""
        is_of_application = "application" in told or "monitor" in told
        yield _Job(
            submission_id=submission_id,
            application=str(told.get("application") or name) if is_of_application else "",
            data_set=data_set,
            batch=name if "sink" in told else "",
            sources=frozenset(_sources(told)),
        )


def _sources(told: Mapping[str, Any]) -> Iterator[str]:
    ingestion = told.get("ingestion")
    source = ingestion.get("source") if isinstance(ingestion, dict) else None
    if isinstance(source, dict) and source.get("kind") == "predictions":
        yield _log(str(source.get("application")))
    elif isinstance(source, dict) and source.get("kind") == "data-set":
        yield _set(str(source.get("name")))


def _made_of(roots: Collection[str], edges: Collection[tuple[str, str]]) -> set[str]:
    """The data sets that were made of these, or of what was."""
    found, sources = set[str](), set(roots)
    while fresh := {name for name, source in edges if source in sources and name and name not in found}:
        found |= fresh
        sources |= set(map(_set, fresh))
    return found


def _log(application: str) -> str:
    return f"prediction log of {application}"


def _set(name: str) -> str:
    return f"data set {name}"


def _mappings(made: object, key: str) -> Iterator[Mapping[str, Any]]:
    found = made.get(key) if isinstance(made, dict) else None
    yield from (each for each in found or () if isinstance(each, dict))


def _read(store: ObjectStore, keys: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of JSON that are there, with their keys."""

    def one(key: str) -> Any:
        try:
            return json.loads(store.get(key))
        except (ObjectMissingError, ValueError):
            return None  # somebody prunes beside us

    with ThreadPoolExecutor(_READERS) as readers:
        for key, content in zip(keys, readers.map(one, keys), strict=True):
            if isinstance(content, dict):
                yield key, content
