"""What the controller keeps: one SQLite file, written before anything is done about it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median

from heliostat.rollout.model import Colour, State
from heliostat.spec.rollouts import Phase, RolloutEvent
from heliostat.systems.errors import PermanentError, explained
from heliostat.systems.haproxy_config import Route, Server

FILE = "controller.sqlite"
_VERSION = 1
_SCHEMA = """
CREATE TABLE applications (name TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE rollouts (application TEXT, number INTEGER, progress TEXT NOT NULL, PRIMARY KEY (application, number));
CREATE TABLE events (
    application TEXT, rollout INTEGER, number INTEGER, at REAL NOT NULL, phase TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (application, rollout, number)
);
CREATE TABLE golden (
    application TEXT, colour TEXT, replica TEXT, failure TEXT, PRIMARY KEY (application, colour, replica)
);
CREATE TABLE measurements (application TEXT, name TEXT, seconds REAL NOT NULL, at REAL NOT NULL);
CREATE TABLE shifts (application TEXT, at REAL NOT NULL, green_share INTEGER NOT NULL);
CREATE TABLE traffic (application TEXT PRIMARY KEY, route TEXT NOT NULL);
"""
_MEASURED = ("startup_seconds", "gap_seconds")
_RECENT = 5


class Store:
    """All of it. Single-threaded: the controller's event loop is its only user."""

    def __init__(self, directory: Path) -> None:
        """Open, or make, the file.

        Raises:
            PermanentError: it is damaged, of a newer version, or cannot be written.
        """
        path = directory / FILE
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            # The newest commit may be lost with the machine's power, and then HAProxy is gone too; a kill loses nothing.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._migrate(path)
        except OSError as error:
            raise explained(error, f"make {directory}") from error
        except sqlite3.DatabaseError as error:
            raise PermanentError(
                f"{path} cannot be used: {error}; where it is damaged, move it away: the next `up` declares all of it again"
            ) from None

    def _migrate(self, path: Path) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise PermanentError(f"{path} is of version {version}, this program knows up to {_VERSION}: use the newer program")
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def states(self) -> dict[str, State]:
        """Every application."""
        rows = self._db.execute("SELECT name, state FROM applications")
        return {name: State.model_validate_json(state) for name, state in rows}

    def save(self, state: State, events: tuple[tuple[Phase, str], ...] = (), now: float = 0.0) -> None:
        """Keep an application's state and what happened to its rollout, both or neither."""
        with self._all_or_nothing():
            self._db.execute("REPLACE INTO applications VALUES (?, ?)", (state.name, state.model_dump_json()))
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
            if events and state.rollout.ended:
                self._measure(state.name, state.rollout.figures, now)

    def forget(self, name: str) -> None:
        """An application is gone. How long it takes to start stays known."""
        with self._all_or_nothing():
            for table in ("rollouts", "events", "golden", "traffic"):
                self._db.execute(f"DELETE FROM {table} WHERE application = ?", (name,))  # noqa: S608 - our own names
            self._db.execute("DELETE FROM applications WHERE name = ?", (name,))

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

    def save_routes(self, routes: dict[str, Route], now: float) -> None:
        """What HAProxy is about to be told."""
        before = self.routes()
        with self._all_or_nothing():
            self._db.execute("DELETE FROM traffic")
            for name, route in routes.items():
                self._db.execute("INSERT INTO traffic VALUES (?, ?)", (name, json.dumps(asdict(route))))
                if name not in before or before[name].green_share != route.green_share:
                    self._db.execute("INSERT INTO shifts VALUES (?, ?, ?)", (name, now, route.green_share))

    def _measure(self, name: str, figures: dict[str, object], now: float) -> None:
        for measurement in _MEASURED:
            seconds = figures.get(measurement)
            if isinstance(seconds, (int, float)):
                self._db.execute("INSERT INTO measurements VALUES (?, ?, ?, ?)", (name, measurement, seconds, now))


def _route(kept: dict[str, object]) -> Route:
    def servers(value: object) -> tuple[Server, ...]:
        return tuple(Server(**each) for each in value) if isinstance(value, list) else ()

    share = kept["green_share"]
    return Route(
        str(kept["application"]), share if isinstance(share, int) else 0, servers(kept["blue"]), servers(kept["green"])
    )
