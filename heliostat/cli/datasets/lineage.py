"""Who uses data sets: what serves, versions of models, trainings, evaluations, stacks; and which were made of others."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from heliostat.cli.datasets.catalogue import Catalogue
from heliostat.cli.datasets.ingested_rows import declared_sources
from heliostat.cli.rollouts import ledger
from heliostat.cli.rollouts.locate import Stacks
from heliostat.spec.base import Model
from heliostat.spec.ledger import EntryKind
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_lineage import DATA_TAG, LineageRegistry
from heliostat.systems.objects import ObjectMissingError, ObjectStore

Kind = Literal["serves", "served", "version", "training", "evaluation", "stack", "parent"]
KINDS: Final[tuple[Kind, ...]] = ("serves", "served", "version", "training", "evaluation", "stack", "parent")
"""What uses a data set, the closest to clients first."""
_DIGEST: Final = re.compile(r"\b[0-9a-f]{12,64}\b")
"""Of a snapshot, as a source names it as well: by its first digits."""
_READERS: Final = 8


class Use(Model):
    """Something that a snapshot cannot be taken from."""

    kind: Kind
    what: str
    """An application, a version, a run, an evaluation, a stack, or a data set that was made of it."""
    version: str = ""
    """Of a model, where an application serves it or a training became it."""
    complete: bool = True
    """False of a training that did not come to its end."""

    @property
    def name(self) -> str | None:
        """Of the application or the data set that it is of; None where it is of none alone."""
        match self.kind:
            case "serves" | "served":
                return self.what
            case "parent":
                return self.what.partition("@")[0]
            case "evaluation":
                return self.what.split("/")[1]
            case "version" | "training":
                address = self.version or self.what
                return address.split("/")[1] if address.startswith("models:/") else None
            case "stack":
                return None


@dataclass(frozen=True)
class Lineage:
    """What is known of who uses which snapshot."""

    uses: Mapping[str, tuple[Use, ...]]
    """By the snapshot's digest, in the order of `KINDS`."""
    unknown: tuple[str, ...] = ()
    """Who could not be asked, and why; nothing that may be used must be deleted then."""
    sources: frozenset[str] = frozenset()
    """The digests of the sources that stacks have rows read from."""

    def of(self, digest: str) -> tuple[Use, ...]:
        """Who uses a snapshot."""
        return self.uses.get(digest, ())


@dataclass
class _Collected:
    uses: dict[str, list[Use]] = field(default_factory=lambda: defaultdict(list))
    unknown: list[str] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)

    def add(self, found: Iterable[tuple[str, Use]]) -> None:
        for digest, use in found:
            if digest and use not in self.uses[digest]:
                self.uses[digest].append(use)


def traced(
    catalogue: Catalogue, store: ObjectStore, registry: LineageRegistry | None, stacks: Stacks, without: str = ""
) -> Lineage:
    """Who uses the snapshots of a catalogue. Whoever does not answer is named.

    Args:
        catalogue: what is there.
        store: where it is.
        registry: MLflow; None where nobody knows where it is.
        stacks: whose states may name snapshots.
        without: why MLflow is not asked, where it is not.
    """
    found = _Collected(unknown=[each.text for each in catalogue.unread])  # what such a record was made of is not known
    served = list(_served(store, found.unknown))
    found.add(served)
    if registry is None:
        found.unknown.append(without or "nobody knows where MLflow is")
    else:
        try:
            found.add(_of_registry(registry))
        except (PermanentError, RetryableError) as error:
            found.unknown.append(str(error))
    found.add(_evaluations(store, found.unknown))
    found.add(_in_states(catalogue, stacks, found))
    found.add(_parents(catalogue))
    order = {kind: place for place, kind in enumerate(KINDS)}
    uses = {digest: tuple(sorted(each, key=lambda use: order[use.kind])) for digest, each in found.uses.items()}
    return Lineage(uses, tuple(found.unknown), frozenset(found.sources))


def _of_registry(registry: LineageRegistry) -> Iterator[tuple[str, Use]]:
    by_run: dict[str, str] = {}
    for version in registry.versions_on_data():
        by_run[version.run_id] = version.uri
        yield version.digest, Use(kind="version", what=version.uri)
    for run in registry.runs_on_data():
        yield run.digest, Use(kind="training", what=run.run_id, version=by_run.get(run.run_id, ""), complete=run.complete)


def _served(store: ObjectStore, unknown: list[str]) -> Iterator[tuple[str, Use]]:
    """What serves now, and whatever did: a rollback goes back to it."""
    for application in ledger.applications(store):
        read = ledger.read(store, application)
        unknown += [f"the ledger of {application}: {note}" for note in read.notes if "cannot be read" in note]
        last = read.entries[-1] if read.entries else None
        now = last.weights if last is not None and last.kind is not EntryKind.REMOVED else {}
        for entry in read.entries:
            for digest, desired in entry.known.items():
                kind: Kind = "serves" if now.get(digest) else "served"
                yield desired.version.data_digest, Use(kind=kind, what=application, version=desired.version.model_uri)


def _evaluations(store: ObjectStore, unknown: list[str]) -> Iterator[tuple[str, Use]]:
    keys = [info.key for info in store.list("evaluations/") if info.key.endswith(".json")]
    with ThreadPoolExecutor(_READERS) as readers:
        for key, found in zip(keys, readers.map(lambda key: _read(store, key), keys), strict=True):
            if found is None:
                unknown.append(f"the evaluation {key} cannot be read")
                continue
            digest, candidate = found.get("dataset"), (found.get("candidate") or {}).get("model") or ""
            if isinstance(digest, str):
                yield digest, Use(kind="evaluation", what=key, version=str(candidate))


def _read(store: ObjectStore, key: str) -> Mapping[str, Any] | None:
    """What an object says; None where it cannot be read. One that is gone meanwhile says nothing."""
    try:
        found = json.loads(store.get(key))
    except ObjectMissingError:
        return {}
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _in_states(catalogue: Catalogue, stacks: Stacks, found: _Collected) -> Iterator[tuple[str, Use]]:
    """Snapshots that a stack's state names anywhere, and the sources that it reads."""
    there = {each.digest for each in catalogue.snapshots}
    for stack in stacks.names():
        try:
            resources = stacks.resources(stack)
            found.sources.update(declared_sources(resources))
            text = json.dumps(resources, default=str)
        except Exception as error:  # whatever is wrong with a state, what it names is not known
            found.unknown.append(f"the state of {stack}: {error}")
            continue
        named = {*_DIGEST.findall(text)}
        lengths = {len(each) for each in named}
        for digest in there:
            if any(digest[:length] in named for length in lengths):
                yield digest, Use(kind="stack", what=stack)


def _parents(catalogue: Catalogue) -> Iterator[tuple[str, Use]]:
    for each in catalogue.snapshots:
        for making in each.makings:
            for parent in making.parents:
                yield parent.digest, Use(kind="parent", what=each.reference)


def in_words(uses: Sequence[Use]) -> str:
    """Who uses a snapshot, on a line."""
    serving = dict.fromkeys(use.what for use in uses if use.kind == "serves")
    parts = [f"serves {', '.join(serving)}"] if serving else []
    for kind, one, many in (
        ("version", "version", "versions"),
        ("training", "training", "trainings"),
        ("stack", "stack", "stacks"),
        ("parent", "data set made of it", "data sets made of it"),
    ):
        count = len({use.what for use in uses if use.kind == kind})
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
    if not serving and (before := dict.fromkeys(use.what for use in uses if use.kind == "served")):
        parts.insert(0, f"served {', '.join(before)}")
    return ", ".join(parts)


def digest_of_model(registry: LineageRegistry, address: str) -> str:
    """The digest of the data that a version (`models:/<name>/<number>`) or a run (`runs:/<id>`) was trained on.

    Raises:
        PermanentError: there is no such thing, or nobody knows its data.
    """
    if address.startswith("runs:/"):
        run = registry.run(address.removeprefix("runs:/").partition("/")[0])
        tags = run.tags if run is not None else None
    else:
        version = registry.version(address)
        tags = version.tags if version is not None else None
    if tags is None:
        raise PermanentError(f"MLflow has no {address}")
    if not tags.get(DATA_TAG):
        raise PermanentError(f"MLflow does not know which data {address} was trained on: it was not trained here")
    return tags[DATA_TAG]
