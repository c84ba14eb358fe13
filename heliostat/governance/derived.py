"""Takes a person out of what is made of rows: what monitors hold versions against, what they found and tell, and logs of jobs.

A reference counts rows and keeps some of them, so that no row could be taken out of it: one that was made of the person's rows
goes as a whole, and the next look makes it anew of what is left. So does what is kept here of a snapshot that is there by
reference, once the store that has its rows has deleted some.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from heliostat.governance import batches, model_examples, snapshots
from heliostat.governance.batches import Batch
from heliostat.governance.mentions import Mentions
from heliostat.governance.objects import Cleaned
from heliostat.governance.reach import Reach
from heliostat.governance.subjects import Subject
from heliostat.monitoring.reference import ReferenceAbout
from heliostat.spec import monitoring, predictions
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import prefix_of
from heliostat.spec.erasure import ErasureProgress
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_server import ARTIFACTS
from heliostat.systems.objects import ObjectMissingError, ObjectStore, contents
from heliostat.systems.references import home_of, open_origin
from heliostat.systems.revisions import Revisions

REFERENCES: Final = "references of monitors"
TEXTS: Final = "reports and states of monitors"
RUNS: Final = "notes of how batch predictions ended"
COPIES: Final = "what is left of snapshots whose rows are gone"
LOGS: Final = "logs of jobs"
EVALUATIONS: Final = "reports of evaluations"
TRAININGS: Final = "reports of trainings"
_TRAINING: Final = re.compile(
    r"trainings/[^/]+/(?:.+/trials/.+|[0-9a-f]{32}\.report)\.json|" + ARTIFACTS + r"/.+/training/report\.(?:json|txt)"
)
_REFERENCE: Final = re.compile(rf"{monitoring.TOP}[^/]+/references/[^/]+/")
_ABOUT: Final = "about.json"
_SPLITS: Final = {"inputs.arrow": "train", "predictions.arrow": "test", "labelled.arrow": "test"}
"""Whose rows each file of a reference counts or keeps."""


@dataclass(frozen=True)
class KeptReference:
    """What a version is held against, as it lies in the store."""

    keys: tuple[str, ...]
    """Of its objects; what says what it is comes last."""
    about: ReferenceAbout | None
    """None where it is cut off, or of another release's form: nothing says what it was made of."""

    def rows(self, gone: Collection[str], progress: ErasureProgress, application: str) -> dict[str, int] | None:
        """How many of the person's rows each object counts; None where it was not made of any.

        `gone`: the digests of snapshots whose bytes are gone. First answers may be any of the predictions that were removed.
        """
        digest = self.about.dataset_digest if self.about is not None else None
        is_own = self.keys[0].startswith(monitoring.references(application))
        of_unknown = (is_own and bool(progress.predictions)) or (self.about is None and bool(progress.snapshots))
        if not (digest in gone if digest is not None else of_unknown):
            return None
        removed: dict[str, int] = next((each.rows for each in progress.snapshots if each.before == digest), {})
        return {key: removed.get(_SPLITS.get(key.rpartition("/")[2], ""), 0) for key in self.keys}


def _references(store: ObjectStore) -> list[KeptReference]:
    """All that monitors keep: others hold their versions against the same data."""
    found: dict[str, list[str]] = {}
    for info in store.list(monitoring.TOP):
        if _REFERENCE.match(info.key):
            found.setdefault(info.key.rpartition("/")[0], []).append(info.key)
    return [
        KeptReference(tuple(sorted(keys, key=lambda key: key.endswith(_ABOUT))), _about(store, f"{top}/{_ABOUT}"))
        for top, keys in sorted(found.items())
    ]


def _about(store: ObjectStore, key: str) -> ReferenceAbout | None:
    try:
        return ReferenceAbout.model_validate_json(store.get(key))
    except (ObjectMissingError, ValidationError):
        return None


def _gone(store: ObjectStore, address: StoreAddress, data_sets: Collection[str]) -> list[tuple[str, str]]:
    """The snapshots, as data set and digest, whose bytes are gone: here, or where it is true in the store that has them."""
    return [
        (name, str(manifest["digest"]))
        for name in data_sets
        for manifest in snapshots.manifests(store, name)
        if snapshots.is_erased(manifest) or _is_gone_at_home(manifest, address)
    ]


def _is_gone_at_home(manifest: dict[str, Any], address: StoreAddress) -> bool:
    if "origin" not in manifest:
        return False
    home = open_origin(home_of(manifest, address))
    try:
        return snapshots.is_erased(json.loads(home.get(f"{prefix_of(manifest['name'], manifest['digest'])}manifest.json")))
    except PermanentError:
        return False


def _texts(store: ObjectStore, application: str) -> Iterator[tuple[str, bytes]]:
    """What a monitor found and tells: keys and contents."""
    references = monitoring.references(application)
    top = monitoring.top(application)
    return contents(store, top, lambda key: key.endswith(".json") and not key.startswith(references))


def change_state(store: ObjectStore, application: str, mentions: Mentions) -> None:
    """Have the newest state name nobody, so that a look beside us, which read the one before, begins anew."""

    def changed(content: bytes | None) -> bytes | None:
        cleaned = mentions.without(content) if content is not None else None
        return cleaned.content if cleaned is not None else None

    Revisions(store, monitoring.states(application)).change(changed)


def _runs(store: ObjectStore, found: Collection[Batch]) -> Iterator[tuple[str, bytes]]:
    """How scheduled batch predictions ended: of one that failed the end of its log."""
    for batch in found:
        yield from contents(store, f"{predictions.top(batch.name)}runs/")


def _logs(store: ObjectStore, application: str, reach: Reach, found: Collection[Batch]) -> Iterator[tuple[str, bytes]]:
    """The logs that are kept of jobs that worked for an application, or on its data: keys and contents."""
    names = "|".join(map(re.escape, {application, *reach.data_sets, *(batch.name for batch in found)}))
    # Those whose specification is gone are known by how they are called.
    own = re.compile(rf"[a-z]+-(?:{names})-(?:[0-9a-f]{{12}}|due-[0-9T]+)-\d+")

    def is_reached(key: str) -> bool:
        name, _, ending = key.removeprefix("jobs/").rpartition(".")
        is_own = name in reach.jobs or (own.fullmatch(name) is not None and not store.exists(f"jobs/{name}.json"))
        return ending == "log" and is_own

    return contents(store, "jobs/", is_reached)


def _trainings(store: ObjectStore, reach: Reach) -> Iterator[tuple[str, bytes]]:
    """What trainings on these data tell of themselves: reports, and trials, whose errors were told: keys and contents."""
    prefixes = [*(f"trainings/{name}/" for name in reach.data_sets), f"{ARTIFACTS}/"]
    for prefix in prefixes:
        yield from contents(store, prefix, _TRAINING.fullmatch)


def _of_snapshots(
    store: ObjectStore, address: StoreAddress, application: str, reach: Reach, progress: ErasureProgress
) -> Iterator[tuple[str, str, Cleaned | None]]:
    """References that were made of snapshots whose bytes are gone, and what is left of these."""
    gone = _gone(store, address, reach.data_sets)
    digests = {digest for _, digest in gone}
    for each in _references(store):
        rows = each.rows(digests, progress, application)
        for key in each.keys:
            yield REFERENCES, key, Cleaned(None, rows[key]) if rows is not None else None
    for name, digest in gone:
        for info in list(store.list(prefix_of(name, digest))):
            if not info.key.endswith("/manifest.json"):
                yield COPIES, info.key, Cleaned(None, 0)


def _evaluations(store: ObjectStore, reach: Reach) -> Iterator[tuple[str, bytes]]:
    """The reports of what was measured on these data: keys and contents."""
    for name in reach.data_sets:
        yield from contents(store, f"evaluations/{name}/")


def search(
    store: ObjectStore, address: StoreAddress, application: str, reach: Reach, subject: Subject, progress: ErasureProgress
) -> Iterator[tuple[str, str, Cleaned | None]]:
    """What each object is, its key, and itself without the person, of whom `progress` says what was removed elsewhere."""
    yield from _of_snapshots(store, address, application, reach, progress)
    mentions, found = Mentions(subject), batches.batches_of(store, application, reach.batches)
    for key, content in model_examples.examples_of(store):
        yield model_examples.EXAMPLES, key, model_examples.without_rows(content, subject)
    for key, content in _texts(store, application):
        yield TEXTS, key, mentions.without(content, as_log=key.startswith(monitoring.runs(application)))
    for key, content in _evaluations(store, reach):
        yield EVALUATIONS, key, mentions.without(content)
    for key, content in _trainings(store, reach):
        cleaned = mentions.without_lines(content) if key.endswith(".txt") else mentions.without(content)
        yield TRAININGS, key, cleaned
    for key, content in _runs(store, found):
        yield RUNS, key, mentions.without(content, as_log=True)
    for key, content in _logs(store, application, reach, found):
        yield LOGS, key, mentions.without_lines(content)
