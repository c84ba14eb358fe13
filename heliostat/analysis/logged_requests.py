"""Requests from the prediction log, the newest first: this node's spools, then the Parquet files of the last days."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import itertools
import json
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json, to_json

from heliostat.analysis.client import Request
from heliostat.serving.prediction_log.arrow import asked_in
from heliostat.serving.prediction_log.spools import Head, folder_of, spools_in
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.base import Name
from heliostat.systems.objects import ObjectMissingError, open_store

_DAYS: Final = 60
"""How far back requests are looked for."""
_TAIL_BYTES: Final = 8 << 20
"""What is read of a spool, from its end."""
_INPUT: Final = "input_"

_log = logging.getLogger(__name__)


class LoggedRequests:
    """What the prediction log of an application holds."""

    def __init__(self, application: Name, store: StoreAddress, spool: Path, dates: frozenset[str] = frozenset()) -> None:
        """`spool`: this node's folder for all logs; `dates`: fields of a row that are dates without a time, for files of an
        older release, which do not say it."""
        self._dates = dates
        self._application = application
        self._address = store
        self._store = open_store(store)
        self._spool = folder_of(spool, store, application)

    def newest(self, most_rows: int, wanted: Collection[str] | None = None) -> Iterator[list[Request]]:
        """Requests, a file at a time and at most `most_rows` rows of each; where ids are `wanted`, only those.

        Raises:
            PermanentError, RetryableError: the store cannot be read.
        """
        for path, _ in sorted(spools_in(self._spool), key=lambda found: found[1].st_mtime, reverse=True):
            yield self._spooled_requests(path, wanted)
        for key in self._stored():
            yield self._stored_in(key, most_rows, wanted)

    def _stored(self) -> Iterator[str]:
        today = dt.datetime.now(dt.UTC).date()
        for ago in range(-1, _DAYS):
            day = today - dt.timedelta(days=ago)
            there = list(self._store.list(f"predictions/{self._application}/date={day:%Y-%m-%d}/"))
            yield from (info.key for info in sorted(there, key=lambda info: info.modified, reverse=True))

    def _stored_in(self, key: str, most_rows: int, wanted: Collection[str] | None) -> list[Request]:
        """Of one file; one that is gone or damaged has none, and costs no other."""
        import pyarrow as pa

        try:
            return self._stored_requests(self._store.get(key), most_rows, wanted)
        except ObjectMissingError:
            return []
        except (pa.ArrowException, ValueError, KeyError, OSError) as error:
            _log.warning("%s of the prediction log cannot be read: %s", key, error)
            return []

    def _stored_requests(self, content: bytes, most_rows: int, wanted: Collection[str] | None) -> list[Request]:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        table = pq.ParquetFile(io.BytesIO(content)).read()
        if wanted is not None:
            table = table.filter(pc.is_in(table["request_id"], pa.array(list(wanted), pa.string())))
        table = table.slice(max(0, table.num_rows - most_rows))
        requests: list[Request] = []
        for request_id, group in itertools.groupby(asked_in(table) or self._asked_in(table), key=lambda row: row[0]):
            requests.extend(_requests(request_id, group))
        return requests[::-1]

    def _asked_in(self, table: Any) -> Iterator[tuple[str, int, Any]]:
        """The rows of a file of an older release, as far as its types tell what was sent."""
        names = [name for name in table.column_names if name.startswith(_INPUT)]
        for row in table.select(["request_id", "row", *names]).to_pylist():
            body = {name.removeprefix(_INPUT): row[name] for name in names}
            dates = [name for name in self._dates if isinstance(body.get(name), dt.datetime)]
            yield row["request_id"], row["row"], {**body, **{name: body[name].date() for name in dates}}

    def _spooled_requests(self, path: Path, wanted: Collection[str] | None) -> list[Request]:
        try:
            head = Head.read(path)
            whole = _tail(path)
        except FileNotFoundError:  # sealed meanwhile
            return []
        if head is not None and not head.is_for(self._address, self._application):
            return []
        requests = []
        for line in reversed(whole):
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a line that is no entry, as the first one
                entry = from_json(line)
                if wanted is None or entry["request_id"] in wanted:
                    requests.append(_request(entry["request_id"], entry["inputs"]))
        return requests


def _requests(request_id: str, rows: Iterable[tuple[str, int, Any]]) -> Iterator[Request]:
    """Requests that followed each other under the same id are told apart by their rows' numbers."""
    bodies: list[Any] = []
    for _, row, body in rows:
        if row == 0 and bodies:
            yield _request(request_id, bodies)
            bodies = []
        if row == len(bodies):  # else its first rows are cut off
            bodies.append(body)
    if bodies:
        yield _request(request_id, bodies)


def date_fields(openapi: Mapping[str, Any]) -> frozenset[str]:
    """The fields of a prediction's row that an application's OpenAPI says are dates without a time."""
    try:
        [predict] = [methods["post"] for path, methods in openapi["paths"].items() if path.endswith("/predict")]
        row = predict["requestBody"]["content"]["application/json"]["schema"]["oneOf"][0]["$ref"].rpartition("/")[2]
        fields = openapi["components"]["schemas"][row]["properties"]
    except (KeyError, IndexError, TypeError, ValueError):  # an application of another making
        return frozenset()
    return frozenset(name for name, field in fields.items() if '"format": "date"' in json.dumps(field))


def _tail(path: Path) -> list[bytes]:
    """The last whole lines of a spool."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read().split(b"\n")[1 if size > _TAIL_BYTES else 0 : -1]


def _request(request_id: str, rows: list[Any]) -> Request:
    return Request(request_id, to_json(rows[0] if len(rows) == 1 else {"rows": rows}))
