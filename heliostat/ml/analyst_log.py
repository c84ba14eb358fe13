"""Requests from the prediction log, the newest first: this node's spool, then the Parquet files of the last days."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from heliostat.ml.analyst_client import Ask
from heliostat.spec.base import Name
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_DAYS: Final = 60
"""How far back requests are looked for."""
_TAIL_BYTES: Final = 8 << 20
"""What is read of a spool file, from its end."""
_INPUT: Final = "input_"


class LoggedRequests:
    """What the prediction log of an application holds."""

    def __init__(self, application: Name, store: ObjectStore, spool: Path, dates: frozenset[str] = frozenset()) -> None:
        """`dates`: fields of a row that are dates without a time; Parquet does not know them from others."""
        self._dates = dates
        self._application = application
        self._store = store
        self._spool = spool / application

    def newest(self, most_rows: int, wanted: Collection[str] | None = None) -> Iterator[list[Ask]]:
        """Requests, a file at a time and at most `most_rows` rows of each; where ids are `wanted`, only those.

        Raises:
            PermanentError, RetryableError: the store cannot be read.
        """
        for path in self._spooled():
            yield _spooled_asks(path, wanted)
        for key in self._stored():
            try:
                content = self._store.get(key)
            except ObjectMissingError:
                continue
            yield self._stored_asks(content, most_rows, wanted)

    def _spooled(self) -> list[Path]:
        found = []
        for path in self._spool.glob("*.jsonl"):
            try:
                found.append((path.stat().st_mtime, path))
            except FileNotFoundError:  # sealed meanwhile
                continue
        return [path for _, path in sorted(found, reverse=True)]

    def _stored(self) -> Iterator[str]:
        today = dt.datetime.now(dt.UTC).date()
        for ago in range(-1, _DAYS):
            day = today - dt.timedelta(days=ago)
            there = list(self._store.list(f"predictions/{self._application}/date={day:%Y-%m-%d}/"))
            yield from (info.key for info in sorted(there, key=lambda info: info.modified, reverse=True))

    def _stored_asks(self, content: bytes, most_rows: int, wanted: Collection[str] | None) -> list[Ask]:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        table = pq.read_table(io.BytesIO(content))
        if wanted is not None:
            table = table.filter(pc.is_in(table["request_id"], pa.array(list(wanted), pa.string())))
        table = table.slice(max(0, table.num_rows - most_rows))
        names = [name for name in table.column_names if name.startswith(_INPUT)]
        rows = table.select(["request_id", "row", *names]).to_pylist()
        asks: list[Ask] = []
        for request_id, group in itertools.groupby(rows, key=lambda row: row["request_id"]):
            asks.extend(self._asks(request_id, list(group), names))
        return asks[::-1]

    def _asks(self, request_id: str, rows: list[dict[str, Any]], names: list[str]) -> Iterator[Ask]:
        """Requests that followed each other under the same id are told apart by their rows' numbers."""
        bodies: list[Mapping[str, Any]] = []
        for row in rows:
            if row["row"] == 0 and bodies:
                yield _ask(request_id, bodies, self._text)
                bodies = []
            if row["row"] == len(bodies):  # else its first rows are cut off
                bodies.append({name.removeprefix(_INPUT): row[name] for name in names})
        if bodies:
            yield _ask(request_id, bodies, self._text)

    def _text(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        dates = [name for name in self._dates if isinstance(body.get(name), dt.datetime)]
        return {**body, **{name: body[name].date() for name in dates}}


def date_fields(openapi: Mapping[str, Any]) -> frozenset[str]:
    """The fields of a prediction's row that an application's OpenAPI says are dates without a time."""
    try:
        [predict] = [methods["post"] for path, methods in openapi["paths"].items() if path.endswith("/predict")]
        row = predict["requestBody"]["content"]["application/json"]["schema"]["oneOf"][0]["$ref"].rpartition("/")[2]
        fields = openapi["components"]["schemas"][row]["properties"]
    except (KeyError, IndexError, TypeError, ValueError):  # an application of another making
        return frozenset()
    return frozenset(name for name, field in fields.items() if '"format": "date"' in json.dumps(field))


def _spooled_asks(path: Path, wanted: Collection[str] | None) -> list[Ask]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    whole = lines[1 if size > _TAIL_BYTES else 0 : -1]
    asks = []
    for line in reversed(whole):
        entry = json.loads(line)
        if wanted is None or entry["request_id"] in wanted:
            asks.append(_ask(entry["request_id"], entry["inputs"], lambda body: body))
    return asks


def _ask(request_id: str, rows: list[Any], text: Any) -> Ask:
    bodies = [text(row) for row in rows]
    body = bodies[0] if len(bodies) == 1 else {"rows": bodies}
    return Ask(request_id, json.dumps(body, default=_iso, separators=(",", ":")).encode())


def _iso(value: Any) -> str:
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no JSON")
