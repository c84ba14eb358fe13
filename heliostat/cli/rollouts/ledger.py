"""Reads the ledger: what was there, what is missing of it, and what it says about a moment.

Damaged and missing entries are told and never fatal: whoever looks into the ledger has enough trouble already.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import ValidationError

from heliostat.cli.rollouts import messages
from heliostat.spec.ledger import TOP, Entry, EntryKind, key_of, place_of, prefix_of
from heliostat.spec.personal import Privacy
from heliostat.spec.rollouts import Desired, Version
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_READERS = 8


@dataclass(frozen=True)
class Damaged:
    """An entry that is there and cannot be read."""

    number: int
    why: str


@dataclass(frozen=True)
class Ledger:
    """What was read of an application's ledger: entries by rising number, and what is wrong with it in words."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """One entry as people read it."""

    number: int
    at: float
    what: str
    change: str
    strategy: str
    commit: str
    by: str
    ended: str
    figures: str


@dataclass(frozen=True)
class Served:
    """What answered at a moment: shares of the traffic (0 to 1) and exact versions, by the entry that says so."""

    entry: Entry
    shares: tuple[tuple[float, Desired], ...]
    """The largest first; empty where nothing served."""


def applications(store: ObjectStore) -> tuple[str, ...]:
    """The applications that the store has a ledger of."""
    places = (place_of(info.key) for info in store.list(TOP))
    return tuple(sorted({place[0] for place in places if place is not None}))


def not_removed(store: ObjectStore) -> tuple[str, ...]:
    """Those of the applications that were not taken away; all of them where that is so of each."""
    there = applications(store)
    left = tuple(name for name in there if _is_left(store, name))
    return left or there


def _is_left(store: ObjectStore, application: str) -> bool:
    """By its newest entry that can be read; where none can, nobody knows otherwise."""
    newest = next(newest_first(store, application), None)
    return newest is None or newest.kind is not EntryKind.REMOVED


def numbers(store: ObjectStore, application: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The numbers of the entries that are there, rising, and what lies beside them and is none."""
    found, strange = [], []
    for info in store.list(prefix_of(application)):
        place = place_of(info.key)
        if place is not None:
            found.append(place[1])
        else:
            strange.append(f"{info.key} is no entry of the ledger: its name is not ten digits and `.json`")
    return tuple(sorted(found)), tuple(strange)


def read(store: ObjectStore, application: str, limit: int | None = None) -> Ledger:
    """The last `limit` entries, or all; raises PermanentError where the store itself cannot be read."""
    present, strange = numbers(store, application)
    wanted = present[-limit:] if limit else present
    with ThreadPoolExecutor(_READERS) as readers:
        found = list(readers.map(lambda number: entry_of(store, application, number), wanted))
    damaged = [one for one in found if isinstance(one, Damaged)]
    entries = tuple(one for one in found if isinstance(one, Entry))
    notes = [*gaps(present), *(f"entry {one.number} cannot be read: {one.why}" for one in damaged), *strange]
    return Ledger(entries, tuple(notes))


def newest_first(store: ObjectStore, application: str) -> Iterator[Entry]:
    """The entries that can be read, as far as somebody asks for them."""
    for number in reversed(numbers(store, application)[0]):
        found = entry_of(store, application, number)
        if isinstance(found, Entry):
            yield found


def of_rollout(store: ObjectStore, application: str, rollout: int) -> Ledger:
    """The entries of one rollout. The ledger is read from its end: what is asked about is mostly new."""
    present, notes = numbers(store, application)
    found: list[Entry] = []
    told = [*gaps(present), *notes]
    for number in reversed(present):
        one = entry_of(store, application, number)
        if isinstance(one, Damaged):
            told.append(f"entry {one.number} cannot be read: {one.why}")
        elif one.rollout == rollout:
            found.append(one)
        elif one.rollout < rollout:
            break
    return Ledger(tuple(reversed(found)), tuple(told))


def entry_of(store: ObjectStore, application: str, number: int) -> Entry | Damaged:
    """One entry."""
    key = key_of(application, number)
    try:
        entry = Entry.model_validate_json(store.get(key))
    except ObjectMissingError:
        return Damaged(number, "it is not there")
    except (ValidationError, UnicodeDecodeError) as error:
        return Damaged(number, f"{store.uri(key)} is no entry ({_short(error)})")
    if (entry.number, entry.application) != (number, application):
        return Damaged(number, f"{store.uri(key)} holds entry {entry.number} of {entry.application}")
    return entry


def _short(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        more = f", and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        return f"{where}: {first['msg']}{more}" if where else f"{first['msg']}{more}"
    return str(error)


def gaps(present: Sequence[int]) -> list[str]:
    """The numbers that are missing between 1 and the last, in words."""
    told, expected = [], 1
    for number in present:
        if number > expected:
            missing = f"entry {expected} is" if number == expected + 1 else f"entries {expected} to {number - 1} are"
            told.append(f"{missing} missing: somebody removed what is never removed")
        expected = number + 1
    return told


def lines(entries: Iterable[Entry]) -> list[Line]:
    """Entries as people read them, the newest first."""
    return [_line(entry) for entry in sorted(entries, key=lambda one: one.number, reverse=True)]


def _line(entry: Entry) -> Line:
    said = entry.origin
    before = entry.previous.version.label if entry.previous else "nothing"
    after = "nothing" if entry.kind is EntryKind.REMOVED else entry.target.version.label
    passed = messages.checks(entry.analyses)
    measured = messages.figures(entry.figures)
    reason = messages.first_line(entry.error)
    ended = f"{entry.phase}{f': {reason}' if reason else ''}"
    return Line(
        number=entry.number,
        at=entry.at,
        what=_what(entry),
        change=after if before == after else f"{before} -> {after}",
        strategy=entry.strategy.kind,
        commit=f"{said.commit[:10]}{'+' if said.dirty else ''}" if said and said.commit else "",
        by=said.by if said else "",
        ended=ended if entry.kind is EntryKind.END else "",
        figures=", ".join(part for part in (passed, measured) if part),
    )


def _what(entry: Entry) -> str:
    if entry.kind is EntryKind.REMOVED:
        return "removed"
    if entry.kind is EntryKind.END:
        return f"rollout {entry.rollout} ended"
    share = entry.weights.get(entry.target.version.digest, 0.0)
    return f"rollout {entry.rollout}: {messages.percent(share)} to {entry.target.version.label}"


def served(entry: Entry) -> Served:
    """What served from this entry on."""
    known = entry.known
    shares = [(share, known[digest]) for digest, share in entry.weights.items() if share > 0 and digest in known]
    return Served(entry, tuple(sorted(shares, key=lambda pair: -pair[0])))


def served_at(
    present: Sequence[int], read_one: Callable[[int], Entry | Damaged], at: float
) -> tuple[Served | None, tuple[str, ...]]:
    """What served at `at` (Unix time, seconds), and which entries on the way there could not be read.

    Entries rise in time as they do in number, so few of them have to be read, however long the ledger is.
    """
    damaged: dict[int, str] = {}

    def moment(position: int) -> float:
        for number in reversed(present[: position + 1]):  # a damaged one is as old as the one before it
            found = read_one(number)
            if isinstance(found, Entry):
                return found.at
            damaged[number] = found.why
        return float("-inf")

    position = bisect_right(range(len(present)), at, key=moment)
    entry = None
    for number in reversed(present[:position]):
        found = read_one(number)
        if isinstance(found, Entry):
            entry = found
            break
        damaged[number] = found.why
    notes = [f"entry {number} cannot be read: {why}" for number, why in sorted(damaged.items())]
    return (served(entry) if entry else None), (*gaps(present), *notes)


def exact(desired: Desired) -> list[tuple[str, str]]:
    """The exact tuple of what is served, as names and values: code, data, model and config."""
    version = desired.version
    replicas = f"{desired.replicas} with {desired.cpus_per_replica:g} CPU each"
    gpus = f", {desired.gpus_per_replica:g} GPU" if desired.gpus_per_replica else ""
    return [
        ("version", version.label),
        ("digest", version.digest),
        ("code", version.code_uri),
        ("library", _library(version)),
        ("contract", version.contract),
        ("data", version.data_digest or "not known to the registry"),
        ("model", version.model_uri),
        ("replicas", f"{replicas}{gpus}, {desired.max_ongoing_requests} requests at a time"),
        *([("origins of pages", ", ".join(version.cors_origins))] if version.cors_origins else []),
        *([("interface", version.interface.value)] if version.interface.has_grpc else []),
        ("limits", f"{version.limits.max_body_bytes} bytes, {version.limits.max_rows} rows"),
        ("prediction log", f"{version.prediction_log.sampling_rate:.0%} of the requests"),
        *([("personal data", _personal(version.privacy))] if version.privacy is not None else []),
        ("strategy", strategy(desired)),
    ]


def _personal(privacy: Privacy) -> str:
    keys = ", ".join(key.id for key in privacy.keys)
    consent = f"kept by consent in the {privacy.consent.kind}" if privacy.consent is not None else "kept without consent"
    return f"hashed with {keys}, {consent}" if keys else consent


def _library(version: Version) -> str:
    if version.runtime is None:
        return "not recorded: the one that is installed where it runs"
    return f"heliostat {version.runtime.library}, {version.runtime.library_uri}"


def strategy(desired: Desired) -> str:
    """The strategy with all that it says, on one line."""
    return json.dumps(desired.strategy.model_dump(mode="json", exclude_none=True), ensure_ascii=False)
