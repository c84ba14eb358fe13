"""The file that keeps the cells, so that the table can be made in several sittings; and the table as Markdown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.session import SOURCE
from tests.faults.table import RATE, SCENES, WHAT, Cell, Kind, State, cells

_MEASURED = ("controller", "rollout", "systems", "spec", "provider", "ml", "serving", "analysis", "jobs", "inspection")
"""Parts of the library that decide what a cell shows; a change of any makes the cells out of date."""

Record = dict[str, Any]


def sources(root: Path = SOURCE) -> str:
    """The digest of the parts of the library that a cell's figures come from."""
    digest = hashlib.sha256()
    for path in sorted(path for part in _MEASURED for path in (root / "heliostat" / part).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class Records:
    """The cells that are known, by name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Record] = {}
        self.load()

    def load(self) -> None:
        """Look at the file anew."""
        self._found = {each["cell"]: each for each in self._kept().get("cells", [])}

    def get(self, cell: Cell, sources_: str) -> Record | None:
        """What is known of a cell, with these very sources."""
        found = self._found.get(cell.name)
        return found if found is not None and found.get("sources") == sources_ else None

    def any(self, cell: Cell) -> Record | None:
        """What is known of a cell, from whichever sources."""
        return self._found.get(cell.name)

    def put(self, record: Record) -> Record:
        """Keep a cell, in the file as well, whole or not at all. What did not hold with the same sources is kept with it."""
        name = record["cell"]
        kept = {**record, "overruled": _overruled(self._found.get(name), record)}
        self._found[name] = kept
        ordered = [self._found[cell.name] for cell in cells() if cell.name in self._found]
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"cells": ordered}, indent=1, ensure_ascii=False) + "\n")
        temporary.replace(self._path)
        return kept

    def all(self) -> Mapping[str, Record]:
        """All that is known."""
        return self._found

    def _kept(self) -> Mapping[str, Any]:
        try:
            return dict(json.loads(self._path.read_text()))
        except (OSError, ValueError):
            return {}


def is_good(record: Record | None) -> bool:
    """Whether a cell holds, or had nothing to kill."""
    return record is not None and bool(record["holds"] or record["nothing"])


def _overruled(before: Record | None, now: Record) -> list[Record]:
    """What these very sources showed earlier and what did not hold: a cell that is measured until it holds says so."""
    if before is None or before.get("sources") != now.get("sources"):
        return []
    kept: list[Record] = before.get("overruled", [])
    if is_good(before):
        return kept
    return [*kept, {key: before.get(key) for key in ("why", "at", "end", "killed", "failed", "gap_seconds")}]


def short(record: Record | None) -> str:
    """A cell in a few characters: whether it holds, what failed, and the gap where one is promised."""
    if record is None:
        return "·"
    if record["nothing"]:
        return "-"
    if record.get("error"):
        return "✗ not measured"
    mark = "✓" if record["holds"] else "✗"
    back = " ↩" if _went_back(record) else ""
    failed, gap = record["failed"], record["gap_seconds"]
    return f"{mark} {failed} failed, {gap:.1f} s{back}" if failed else f"{mark} 0{back}"


def _went_back(record: Record) -> bool:
    """Whether the candidate was given up although nobody aborted it."""
    return str(record["end"]).startswith("failed") and not record["cell"].endswith(f"/{State.ROLLING_BACK}")


def markdown(records: Mapping[str, Record], kinds: Sequence[Kind] = tuple(Kind)) -> str:
    """A table a strategy: a row a kind of fault, a column a state."""
    parts = [legend(records)]
    for strategy, scenes in SCENES.items():
        parts.append(f"**{strategy}**\n")
        rows = [["killed", *(str(state) for state in scenes)], ["---"] * (len(scenes) + 1)]
        for kind in kinds:
            found = (records.get(Cell(kind, strategy, state).name) for state in scenes)
            rows.append([WHAT[kind], *(short(each) for each in found)])
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n")
    return "\n".join(parts)


_READ = (
    f"Each is a rollout of its own at {RATE:g} requests a second. ✓: it came to exactly one end, and controller, HAProxy "
    "and Serve agreed. 0: no request failed; otherwise how many did, and the longest time without a good answer. "
    "↩: the candidate was given up, and the old version serves. HAProxy may cost what comes until it has started again, "
    "half a second at most, and the head what its restart takes; recreate has its gap; a worker node is killed where each "
    "version has a replica on another one; half way of a rolling update of two replicas each version has one, and what is on "
    "its way to it within a second of its death may fail: HAProxy tries a request again on replicas of the same version only."
)


def legend(records: Mapping[str, Record]) -> str:
    """How many cells there are, what is to be known of some, and how they are to be read."""
    known = list(records.values())
    lines = [_counted(known), _READ]
    if known:
        commits = sorted({str(each.get("commit", "unknown"))[:12] for each in known})
        machines = sorted({str(each.get("machine", "an unknown machine")) for each in known})
        lines.append(f"Measured on {' and '.join(machines)}; commits: {', '.join(commits)}.")
    return "\n".join(lines) + "\n"


def _counted(known: Sequence[Record]) -> str:
    total, good = sum(1 for _ in cells()), [each for each in known if each["holds"]]
    empty = sum(bool(each["nothing"]) for each in known)
    parts = [f"{len(good)} of {total} cells hold" + (f", {empty} had nothing to kill" if empty else "")]
    parts += _named("do not hold", [each for each in known if not each["holds"] and not each["nothing"]])
    parts += _named("hold only since they were measured again", [each for each in good if each.get("overruled")])
    parts += _named("were tried again, as the state had not been seen", [each for each in known if each.get("attempts")])
    if total > len(known):
        parts.append(f"{total - len(known)} are not measured")
    return "; ".join(parts) + "."


def _named(what: str, found: Sequence[Record]) -> list[str]:
    return [f"{len(found)} {what}: {', '.join(each['cell'] for each in found)}"] if found else []


def slowest(records: Iterable[Record], count: int = 5) -> list[tuple[str, float]]:
    """The cells that took longest."""
    found = sorted(((each["cell"], float(each.get("seconds", 0.0))) for each in records), key=lambda each: -each[1])
    return found[:count]
