"""What a spool says of requests, a line of JSON each. What is secret goes no further; what is personal is treated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic_core import to_json

from heliostat.serving.bodies import Body, rows_in
from heliostat.serving.postprocessing import Processed
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.masking import Masking, Treat

Entry = tuple[bytes, float, Body, int, Body, float, Processed | None]
"""Request id, Unix time, what was sent, its rows, the answer, seconds, and what steps did."""

_LINE: Final = b'{"request_id":"%b%b%b,"latency_ms":%b,"inputs":%b,"predictions":%b%b}\n'


class Lines:
    """Of one version's requests. Safe to use from several threads."""

    def __init__(self, version: str, columns: Columns, treat: Treat) -> None:
        """`treat`: what is written in the place of a personal value."""
        self._asked, self._answered = Masking(columns.input, treat), Masking(columns.prediction, treat)
        self._middle = b'","version":' + to_json(version) + b',"time":'

    def of(self, entries: Sequence[Entry]) -> bytes:
        """The lines of entries: many at once cost half of what they do one by one.

        Raises:
            Exception: one cannot be written, as whatever a library calls it.
        """
        ids, times, bodies, _, answers, durations, processed = zip(*entries, strict=True)
        asked = self._asked.each([rows_in(bytes(body)) for body in bodies])
        answered = self._answered.each([rows_in(bytes(answer)) for answer in answers])
        if not self._asked.changes_rows:
            # As they were sent: only blanks of JSON break lines.
            asked = [rows.replace(b"\n", b" ").replace(b"\r", b" ") for rows in asked]
        changes = [b"" if each is None else self._changed(each) for each in processed]
        # Most ids are hexadecimal digits, and go as they are.
        names = ids if b"".join(ids).isalnum() else [to_json(name.decode("latin-1"))[1:-1] for name in ids]
        starts, latencies = _numbers(times), _numbers([seconds * 1000 for seconds in durations])
        middle = self._middle
        return b"".join(
            [
                _LINE % (name, middle, at, latency, rows, answer, changed)
                for name, at, latency, rows, answer, changed in zip(
                    names, starts, latencies, asked, answered, changes, strict=True
                )
            ]
        )

    def _changed(self, processed: Processed) -> bytes:
        """What steps changed; nothing where they changed nothing. What the model answered before them is treated as the answer
        is."""
        if not processed.changes:
            return b""
        rows: list[list[dict[str, Any]]] = [[] for _ in processed.encoded]
        for change in processed.changes:
            rows[change.row].append(change.as_logged())
        [before] = self._answered.each([b"[" + b",".join(processed.model_encoded) + b"]"])
        return b"".join((b',"model_predictions":', before, b',"changes":', to_json(rows)))


def _numbers(values: Sequence[float]) -> list[bytes]:
    """Each as JSON has it; together, for that is a fifth of the time."""
    return to_json(values)[1:-1].split(b",")
