"""How two snapshots differ: rows, columns, how they were made, and the distribution of each column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from heliostat.cli.datasets.catalogue import SHOWN, Stored
from heliostat.data.drift import compare
from heliostat.data.profiles import Profile
from heliostat.data.profiling import Measures, ProfileBuilder
from heliostat.data.storage import ProfileFormatError, from_bytes
from heliostat.ml.snapshots.reader import Snapshot
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import Making, prefix_of, profile_key
from heliostat.systems.objects import ObjectMissingError, open_store

SPLITS: Final = ("train", "validation", "test")


def profile_of(address: StoreAddress, snapshot: Stored, split: str) -> Profile:
    """The profile of a split: the stored one, or made of its rows where it was stored before there were any."""
    try:
        return from_bytes(open_store(address).get(profile_key(snapshot.name, snapshot.digest, split)))
    except (ObjectMissingError, ProfileFormatError):
        with ProfileBuilder(Measures(label=snapshot.manifest.label)) as builder:
            for part in Snapshot(prefix_of(snapshot.name, snapshot.digest)[:-1], address).batches(split):
                builder.add(part)
        return builder.profile()


def whole_profile(address: StoreAddress, snapshot: Stored) -> Profile:
    """The profile of all splits together."""
    return Profile.merged(profile_of(address, snapshot, split) for split in snapshot.manifest.rows)


def difference(address: StoreAddress, before: Stored, after: Stored, split: str) -> dict[str, Any]:
    """How `after` differs from `before`, as JSON; drift is of one split."""
    ours, theirs = before.manifest.columns, after.manifest.columns
    shared = [name for name in ours if name in theirs]
    found: dict[str, Any] = {
        "from": _named(before),
        "to": _named(after),
        "rows": {each: [before.manifest.rows.get(each, 0), after.manifest.rows.get(each, 0)] for each in SPLITS},
        "columns": {
            "added": {name: kind for name, kind in theirs.items() if name not in ours},
            "removed": {name: kind for name, kind in ours.items() if name not in theirs},
            "retyped": {name: [ours[name], theirs[name]] for name in shared if ours[name] != theirs[name]},
        },
        "label": [before.manifest.label, after.manifest.label],
        "made": _making(before, after),
        "split": split,
    }
    if before.digest == after.digest:
        return {**found, "same": True, "drift": None}
    report = compare(profile_of(address, before, split), profile_of(address, after, split))
    return {**found, "same": False, "drift": report.as_json()}


def _named(snapshot: Stored) -> dict[str, Any]:
    return {"name": snapshot.name, "digest": snapshot.digest, "madeAt": snapshot.made_at}


def _making(before: Stored, after: Stored) -> dict[str, Any]:
    """What of code and parameters differs; empty where nobody knows how one of them was made."""
    if not before.makings or not after.makings:
        return {}
    then, now = before.makings[0], after.makings[0]
    return {
        "codeChanged": then.code_digest != now.code_digest,
        "parameters": _parameters(then, now),
        "schemaChanged": then.schema_digest != now.schema_digest,
    }


def _parameters(then: Making, now: Making) -> dict[str, list[Any]]:
    names = dict.fromkeys((*then.parameters, *now.parameters))
    pairs = {name: [then.parameters.get(name), now.parameters.get(name)] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def in_words(found: Mapping[str, Any]) -> Iterator[str]:
    """The difference as lines, without the table of columns."""
    yield f"{found['from']['name']} {found['from']['digest'][:SHOWN]} -> {found['to']['name']} {found['to']['digest'][:SHOWN]}"
    if found["same"]:
        yield "the same content"
        return
    yield "rows        " + ", ".join(_rows(split, *pair) for split, pair in found["rows"].items())
    columns = found["columns"]
    changed = [
        *(f"+ {name} {kind}" for name, kind in columns["added"].items()),
        *(f"- {name} {kind}" for name, kind in columns["removed"].items()),
        *(f"{name} {then} -> {now}" for name, (then, now) in columns["retyped"].items()),
    ]
    yield "columns     " + ("; ".join(changed) or "the same")
    if found["label"][0] != found["label"][1]:
        yield f"label       {found['label'][0]} -> {found['label'][1]}"
    if made := found["made"]:
        yield f"code        {'changed' if made['codeChanged'] else 'the same'}"
        told = [f"{name} {then} -> {now}" for name, (then, now) in made["parameters"].items()]
        yield "parameters  " + ("; ".join(told) or "the same")
    alarming = found["drift"]["alarming"]
    yield f"drift       {len(alarming)} of {len(found['drift']['columns'])} columns of {found['split']}"


def _rows(split: str, then: int, now: int) -> str:
    if then == now:
        return f"{split} {now:,}"
    share = f" ({(now - then) / then:+.1%})" if then else ""
    return f"{split} {then:,} -> {now:,}{share}"
