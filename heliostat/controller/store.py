"""What the controller keeps: one SQLite file, written before anything is done about it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from heliostat.controller.points import Point, dumped, loaded
from heliostat.controller.review_table import ReviewTable
from heliostat.controller.schema import migrate
from heliostat.controller.tables import AccessTable, AuditTable
from heliostat.controller.transactions import all_or_nothing
from heliostat.rollout.model import ENDS, Colour, Progress, State
from heliostat.spec.addresses import RayAddress
from heliostat.spec.audit import AuditEvent
from heliostat.spec.endpoints import Endpoint
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Phase, RolloutEvent
from heliostat.spec.strategies import Affinity
from heliostat.systems.errors import PermanentError, explained
from heliostat.systems.faults import Faults
from heliostat.systems.haproxy_config import Route

FILE = "controller.sqlite"
_MEASURED = ("startup_seconds", "gap_seconds")
_RECENT = 5
_KEPT_ROLLOUTS = 50
"""Of an application; with their events and samples."""
_KEPT_SECONDS = 14 * 86400.0
"""How long samples are kept."""
_KEPT_MEASUREMENTS = 100


class Store:
    """All of it. Single-threaded: the controller's event loop is its only user."""

    def __init__(self, directory: Path) -> None:
        """Open, or make, the file.

        Raises:
            PermanentError: it is damaged, of a newer version, or cannot be written.
        """
        self.faults = Faults()
        """What could not be written of late, here or beside it."""
        path = directory / FILE
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            # The newest commit may be lost with the machine's power, and then HAProxy is gone too; a kill loses nothing.
            self._db.execute("PRAGMA synchronous = NORMAL")
            migrate(self._db, path)
            self.audits = AuditTable(self._db)
            self.access = AccessTable(self._db, self.audits)
            self.reviews = ReviewTable(self._db)
        except OSError as error:
            raise explained(error, f"make {directory}") from error
        except sqlite3.DatabaseError as error:
            raise PermanentError(
                f"{path} cannot be used: {error}; where it is damaged, move it away: the next `up` declares all of it again"
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def probe(self) -> None:
        """Write something that changes nothing.

        Raises:
            sqlite3.Error: it cannot be written.
        """
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        with all_or_nothing(self._db):
            self._db.execute(f"PRAGMA user_version = {int(version)}")

    def states(self) -> dict[str, State]:
        """Every application."""
        rows = self._db.execute("SELECT name, state FROM applications")
        return {name: State.model_validate_json(state) for name, state in rows}

    def save(
        self,
        state: State,
        events: tuple[tuple[Phase, str], ...] = (),
        now: float = 0.0,
        entries: tuple[Entry, ...] = (),
        acts: tuple[AuditEvent, ...] = (),
    ) -> None:
        """Keep an application's state, what happened to its rollout, and what the ledger and the audit log shall be told: all
        or nothing."""
        with all_or_nothing(self._db):
            self._db.execute("REPLACE INTO applications VALUES (?, ?)", (state.name, state.model_dump_json()))
            self._post(entries)
            self.audits.post(acts)
            if state.rollout is None:
                return
            number = state.rollout.number
            self._db.execute("REPLACE INTO rollouts VALUES (?, ?, ?)", (state.name, number, state.rollout.model_dump_json()))
            for phase, message in events:
                self._db.execute(
                    "INSERT INTO events SELECT ?, ?, COALESCE(MAX(number), 0) + 1, ?, ?, ? FROM events "
                    "WHERE application = ? AND rollout = ?",
                    (state.name, number, now, phase.value, message, state.name, number),
                )
            if events and events[-1][0] in ENDS:
                self._ended(state.name, state.rollout, now)

    def forget(self, name: str, entries: tuple[Entry, ...] = ()) -> None:
        """An application is gone. How long it takes to start stays known, and what the ledger shall be told."""
        with all_or_nothing(self._db):
            self._post(entries)
            for table in ("rollouts", "events", "golden", "traffic", "samples", "counters", "tallies"):
                self._db.execute(f"DELETE FROM {table} WHERE application = ?", (name,))  # noqa: S608 - our own names
            self._db.execute("DELETE FROM applications WHERE name = ?", (name,))

    def rollouts(self, name: str) -> tuple[Progress, ...]:
        """An application's rollouts, the newest first."""
        query = "SELECT progress FROM rollouts WHERE application = ? ORDER BY number DESC"
        return tuple(Progress.model_validate_json(progress) for (progress,) in self._db.execute(query, (name,)))

    def rollout(self, name: str, number: int) -> Progress | None:
        """One of them."""
        query = "SELECT progress FROM rollouts WHERE application = ? AND number = ?"
        found = self._db.execute(query, (name, number)).fetchone()
        return Progress.model_validate_json(found[0]) if found else None

    def tallies(self, name: str) -> dict[tuple[str, str], int]:
        """How many rollouts ended, by strategy and by how."""
        rows = self._db.execute("SELECT strategy, result, count FROM tallies WHERE application = ?", (name,))
        return {(strategy, result): count for strategy, result, count in rows}

    def events(self, name: str, rollout: int) -> tuple[RolloutEvent, ...]:
        """A rollout's story."""
        query = "SELECT number, at, phase, message FROM events WHERE application = ? AND rollout = ? ORDER BY number"
        rows = self._db.execute(query, (name, rollout))
        return tuple(RolloutEvent(number=number, at=at, phase=Phase(phase), message=text) for number, at, phase, text in rows)

    def golden(self, name: str) -> dict[tuple[Colour, str], str | None]:
        """Replicas that were asked the golden requests, with what they answered wrongly."""
        rows = self._db.execute("SELECT colour, replica, failure FROM golden WHERE application = ?", (name,))
        return {(Colour(colour), replica): failure for colour, replica, failure in rows}

    def tested(self, name: str, colour: Colour, replica: str, failure: str | None) -> None:
        """A replica answered the golden requests."""
        self._db.execute("REPLACE INTO golden VALUES (?, ?, ?, ?)", (name, colour.value, replica, failure))

    def untest(self, name: str, colour: Colour) -> None:
        """A colour is emptied: what its replicas answered means nothing any more."""
        self._db.execute("DELETE FROM golden WHERE application = ? AND colour = ?", (name, colour.value))

    def measured(self, name: str, measurement: str) -> tuple[float, int] | None:
        """The median of the latest measurements, with their number; None where there are none."""
        rows = self._db.execute(
            "SELECT seconds FROM measurements WHERE application = ? AND name = ? ORDER BY at DESC LIMIT ?",
            (name, measurement, _RECENT),
        ).fetchall()
        return (median(seconds for (seconds,) in rows), len(rows)) if rows else None

    def routes(self) -> dict[str, Route]:
        """What HAProxy was last told."""
        with closing(self._db.execute("SELECT application, route FROM traffic")) as rows:
            return {name: _route(json.loads(route)) for name, route in rows}

    def save_routes(self, routes: dict[str, Route]) -> None:
        """What HAProxy is about to be told: all of it."""
        with all_or_nothing(self._db):
            self._db.execute("DELETE FROM traffic")
            for route in routes.values():
                self.save_route(route)

    def save_route(self, route: Route) -> None:
        """What HAProxy is about to be told of one application."""
        self._db.execute("REPLACE INTO traffic VALUES (?, ?)", (route.application, json.dumps(_kept(route))))

    def plane(self, name: str) -> str | None:
        """What is kept by a name of a traffic plane of several members."""
        found = self._db.execute("SELECT value FROM plane WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else None

    def save_plane(self, name: str, value: str) -> None:
        """Keep it."""
        self._db.execute("REPLACE INTO plane VALUES (?, ?)", (name, value))

    def clusters(self) -> tuple[RayAddress, ...]:
        """The cluster that was worked on last, and those before it that something may be left on."""
        rows = self._db.execute("SELECT address FROM clusters ORDER BY position")
        return tuple(RayAddress.model_validate_json(address) for (address,) in rows)

    def save_clusters(self, clusters: tuple[RayAddress, ...], states: Iterable[State] = ()) -> None:
        """Keep them, with the states that changed with them."""
        with all_or_nothing(self._db):
            self._db.execute("DELETE FROM clusters")
            rows = [(position, each.model_dump_json()) for position, each in enumerate(clusters)]
            self._db.executemany("INSERT INTO clusters VALUES (?, ?)", rows)
            for state in states:
                self._db.execute("REPLACE INTO applications VALUES (?, ?)", (state.name, state.model_dump_json()))

    # The traffic's figures

    def save_traffic(self, name: str, rollout: int | None, points: list[Point], counters: str) -> None:
        """Points of a rollout, and what was counted until now."""
        with all_or_nothing(self._db):
            self._db.execute("REPLACE INTO counters VALUES (?, ?)", (name, counters))
            self._db.executemany(
                "REPLACE INTO samples VALUES (?, ?, ?, ?)", [(name, rollout, point.at, dumped(point)) for point in points]
            )

    def counters(self, name: str) -> str | None:
        """What was counted until now."""
        found = self._db.execute("SELECT counters FROM counters WHERE application = ?", (name,)).fetchone()
        return str(found[0]) if found else None

    def points(self, name: str, rollout: int) -> tuple[Point, ...]:
        """The points of a rollout, in the order of time."""
        query = "SELECT at, point FROM samples WHERE application = ? AND rollout = ? ORDER BY at"
        return tuple(loaded(at, point) for at, point in self._db.execute(query, (name, rollout)))

    def thin(self, name: str, rollout: int, most: int) -> None:
        """Keep about `most` points of a rollout: leave out every second one of the older half."""
        query = "SELECT at FROM samples WHERE application = ? AND rollout = ? ORDER BY at"
        times = [at for (at,) in self._db.execute(query, (name, rollout))]
        if len(times) > most:
            with all_or_nothing(self._db):
                self._db.executemany(
                    "DELETE FROM samples WHERE application = ? AND rollout = ? AND at = ?",
                    [(name, rollout, at) for at in times[1 : len(times) // 2 : 2]],
                )

    # What the ledger is yet to be told

    def outbox(self) -> tuple[int, Entry] | None:
        """The oldest entry that is not in the ledger yet, with its place in the queue."""
        found = self._db.execute("SELECT sequence, entry FROM outbox ORDER BY sequence LIMIT 1").fetchone()
        return (int(found[0]), Entry.model_validate_json(found[1])) if found else None

    def waiting(self, name: str | None = None) -> tuple[Entry, ...]:
        """The entries that are not in the ledger yet, of one application or of all, the oldest first."""
        query = "SELECT entry FROM outbox WHERE application = COALESCE(?, application) ORDER BY sequence"
        return tuple(Entry.model_validate_json(entry) for (entry,) in self._db.execute(query, (name,)))

    def count_waiting(self) -> int:
        """How many entries are not in the ledger yet."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM outbox").fetchone()
        return int(count)

    def posted(self, sequence: int) -> None:
        """An entry is in the ledger."""
        self._db.execute("DELETE FROM outbox WHERE sequence = ?", (sequence,))

    def _post(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            self._db.execute(
                "INSERT INTO outbox (application, entry) VALUES (?, ?)", (entry.application, entry.model_dump_json())
            )

    # The clock

    def clock(self) -> tuple[str, float] | None:
        """The boot that the clock was last set in, and what separated it from wall time, in seconds."""
        found = self._db.execute("SELECT boot, wall_offset FROM clock").fetchone()
        return (str(found[0]), float(found[1])) if found else None

    def set_clock(self, boot: str, wall_offset: float) -> None:
        """Keep the clock of this boot."""
        with all_or_nothing(self._db):
            self._db.execute("DELETE FROM clock")
            self._db.execute("INSERT INTO clock VALUES (?, ?)", (boot, wall_offset))

    def _ended(self, name: str, rollout: Progress, now: float) -> None:
        for measurement in _MEASURED:
            seconds = rollout.figures.get(measurement)
            if isinstance(seconds, (int, float)):
                self._db.execute("INSERT INTO measurements VALUES (?, ?, ?, ?)", (name, measurement, seconds, now))
        self._db.execute(
            "INSERT INTO tallies VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
            (name, rollout.strategy.kind, rollout.phase.value),
        )
        self._prune(name, rollout.number, now)

    def _prune(self, name: str, newest: int, now: float) -> None:
        """What nobody asks for any more."""
        oldest = newest - _KEPT_ROLLOUTS
        self._db.execute("DELETE FROM rollouts WHERE application = ? AND number <= ?", (name, oldest))
        self._db.execute("DELETE FROM events WHERE application = ? AND rollout <= ?", (name, oldest))
        self._db.execute(
            "DELETE FROM samples WHERE application = ? AND (rollout <= ? OR (at < ? AND rollout < ?))",
            (name, oldest, now - _KEPT_SECONDS, newest),
        )
        self._db.execute(
            "DELETE FROM measurements WHERE application = ? AND rowid NOT IN "
            "(SELECT rowid FROM measurements WHERE application = ? ORDER BY at DESC LIMIT ?)",
            (name, name, _KEPT_MEASUREMENTS),
        )


def _kept(route: Route) -> dict[str, object]:
    return {**asdict(route), "affinity": route.affinity.model_dump() if route.affinity is not None else None}


def _route(kept: dict[str, Any]) -> Route:
    """A route as it was kept, by this version or an earlier one."""
    blue, green = (tuple(Endpoint(**each) for each in kept[colour]) for colour in ("blue", "green"))
    affinity = Affinity.model_validate(kept["affinity"]) if kept.get("affinity") is not None else None
    return Route(kept["application"], kept["green_share"], blue, green, affinity, kept.get("salt", ""))
