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
from heliostat.governance.mentions import Mentions
from heliostat.governance.objects import Cleaned
from heliostat.governance.subjects import Subject
from heliostat.monitoring.reference import ReferenceAbout
from heliostat.spec import monitoring, predictions
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.erasure import ErasureProgress
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore
from heliostat.systems.references import home_of, open_origin
from heliostat.systems.revisions import Revisions

REFERENCES: Final = "references of monitors"
TEXTS: Final = "reports and states of monitors"
RUNS: Final = "notes of how batch predictions ended"
COPIES: Final = "statistics of snapshots by reference"
LOGS: Final = "logs of jobs"
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

    def rows(self, gone: Collection[str], progress: ErasureProgress) -> dict[str, int] | None:
        """How many of the person's rows each object counts; None where it was not made of any.

        `gone`: the digests of snapshots whose bytes are gone. First answers may be any of the predictions that were removed.
        """
        digest = self.about.dataset_digest if self.about is not None else None
        of_unknown = bool(progress.predictions) or (self.about is None and bool(progress.snapshots))
        if not (digest in gone if digest is not None else of_unknown):
            return None
        removed: dict[str, int] = next((each.rows for each in progress.snapshots if each.before == digest), {})
        return {key: removed.get(_SPLITS.get(key.rpartition("/")[2], ""), 0) for key in self.keys}


def _references(store: ObjectStore, application: str) -> list[KeptReference]:
    """All that an application's monitor keeps."""
    found: dict[str, list[str]] = {}
    for info in store.list(monitoring.references(application)):
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


def _gone(store: ObjectStore, address: StoreAddress, application: str) -> dict[str, bool]:
    """The digests of an application's snapshots whose bytes are gone: here, or where it is true in the store that has them."""
    found = {}
    for manifest in snapshots.manifests(store, application):
        at_home = _is_gone_at_home(manifest, address, application)
        if at_home or snapshots.is_erased(manifest):
            found[str(manifest["digest"])] = at_home
    return found


def _is_gone_at_home(manifest: dict[str, Any], address: StoreAddress, application: str) -> bool:
    if "origin" not in manifest:
        return False
    home = open_origin(home_of(manifest, address))
    try:
        return snapshots.is_erased(json.loads(home.get(f"datasets/{application}/{manifest['digest']}/manifest.json")))
    except PermanentError:
        return False


def _texts(store: ObjectStore, application: str) -> Iterator[tuple[str, bytes]]:
    """What a monitor found and tells: keys and contents."""
    references = monitoring.references(application)
    for info in list(store.list(monitoring.top(application))):
        if info.key.endswith(".json") and not info.key.startswith(references):
            try:
                yield info.key, store.get(info.key)
            except ObjectMissingError:
                continue  # a look forgets old states beside us


def change_state(store: ObjectStore, application: str, mentions: Mentions) -> None:
    """Have the newest state name nobody, so that a look beside us, which read the one before, begins anew."""

    def changed(content: bytes | None) -> bytes | None:
        cleaned = mentions.without(content) if content is not None else None
        return cleaned.content if cleaned is not None else None

    Revisions(store, monitoring.states(application)).change(changed)


def _runs(store: ObjectStore, application: str) -> Iterator[tuple[str, bytes]]:
    """How scheduled batch predictions ended: of one that failed the end of its log."""
    for batch in batches.batches_of(store, application):
        for info in list(store.list(f"{predictions.top(batch.name)}runs/")):
            yield info.key, store.get(info.key)


def _logs(store: ObjectStore, application: str) -> Iterator[tuple[str, bytes]]:
    """The logs that are kept of an application's jobs: keys and contents."""
    own = re.compile(rf"jobs/[a-z-]+-{re.escape(application)}-.+\.log")
    for info in list(store.list("jobs/")):
        if own.fullmatch(info.key):
            try:
                yield info.key, store.get(info.key)
            except ObjectMissingError:
                continue


def search(
    store: ObjectStore, address: StoreAddress, application: str, subject: Subject, progress: ErasureProgress
) -> Iterator[tuple[str, str, Cleaned | None]]:
    """What each object is, its key, and itself without the person, of whom `progress` says what was removed elsewhere."""
    gone, mentions = _gone(store, address, application), Mentions(subject)
    for each in _references(store, application):
        rows = each.rows(gone, progress)
        for key in each.keys:
            yield REFERENCES, key, Cleaned(None, rows[key]) if rows is not None else None
    for digest, at_home in gone.items():
        for info in list(store.list(f"datasets/{application}/{digest}/")) if at_home else ():
            if not info.key.endswith("/manifest.json"):
                yield COPIES, info.key, Cleaned(None, 0)
    for key, content in model_examples.examples_of(store):
        yield model_examples.EXAMPLES, key, model_examples.without_rows(content, subject)
    for key, content in _texts(store, application):
        yield TEXTS, key, mentions.without(content, as_log=key.startswith(monitoring.runs(application)))
    for key, content in _runs(store, application):
        yield RUNS, key, mentions.without(content, as_log=True)
    for key, content in _logs(store, application):
        yield LOGS, key, mentions.without_lines(content)
