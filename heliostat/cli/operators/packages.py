"""Packages of models, by the ledger of what was published where: the newest of each for `status`, all for `history`; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from heliostat.cli.rollouts import messages
from heliostat.spec.publications import Publication, PublicationKind

_WHAT = {
    PublicationKind.BUILT: "built, in the object store",
    PublicationKind.UPLOADED: "published to",
    PublicationKind.REMOVED: "removed from the object store",
}


@dataclass(frozen=True)
class Package:
    """The newest wheel of a distribution."""

    distribution: str
    application: str
    version: str
    model_uri: str
    at: float
    """When it was made, Unix time."""
    uri: str
    """Where it lies in the object store; empty where it was removed from there."""
    indexes: tuple[str, ...]
    """URLs of other indexes that it was published to."""

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "distribution": self.distribution,
            "application": self.application,
            "version": self.version,
            "modelUri": self.model_uri,
            "at": self.at,
            "uri": self.uri or None,
            "indexes": list(self.indexes),
        }


def newest(entries: Sequence[Publication]) -> Package | None:
    """The newest wheel by a distribution's entries; None where there never was one."""
    built = [each for each in entries if each.kind is PublicationKind.BUILT]
    if not built:
        return None
    last = built[-1]
    of_it = [each for each in entries if each.sha256 == last.sha256]
    removed = any(each.kind is PublicationKind.REMOVED for each in of_it)
    indexes = tuple(dict.fromkeys(each.place for each in of_it if each.kind is PublicationKind.UPLOADED))
    place = "" if removed else last.place
    return Package(last.distribution, last.application, last.version, last.model_uri, last.at, place, indexes)


HEADS = ("PACKAGE", "VERSION", "APPLICATION", "MODEL", "SINCE", "WHERE")


def row(package: Package) -> tuple[str, ...]:
    """A line of `status`."""
    where = ", ".join(filter(None, (package.uri, *package.indexes)))
    moment = messages.moment(package.at)
    return (package.distribution, package.version, package.application, package.model_uri, moment, where)


HISTORY_HEADS = ("NUMBER", "WHEN", "PACKAGE", "VERSION", "WHAT", "MODEL", "COMMIT")


def history_rows(entries: Iterable[Publication]) -> list[tuple[str, ...]]:
    """Lines of `history`, the newest first."""
    return [_history_row(each) for each in sorted(entries, key=lambda one: (one.at, one.number), reverse=True)]


def _history_row(entry: Publication) -> tuple[str, ...]:
    where = f" {entry.place}" if entry.kind is PublicationKind.UPLOADED else ""
    commit = f"{entry.origin[:10]}{'+' if entry.origin.endswith('+') else ''}"
    what = f"{_WHAT[entry.kind]}{where}"
    return (str(entry.number), messages.moment(entry.at), entry.distribution, entry.version, what, entry.model_uri, commit)
