"""What a spool says of requests: many are read at once, and each line says what it would have said alone."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from pydantic import BaseModel, SecretStr
from pydantic_core import to_json

from heliostat.ml.personal import hashed, truncated
from heliostat.serving.bodies import LateBody
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.lines import Entry, Lines
from heliostat.serving.prediction_log.masking import hide
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.workload import PredictionLog as Settings
from heliostat.systems.personal_keys import MASK, Keyring

KEYS = Keyring([("k1", b"0123456789abcdef")])


class Plain(BaseModel):
    kind: str
    size: float


class Person(BaseModel):
    name: Annotated[str, hashed()]
    miles: Annotated[float, truncated(step=100)]
    token: SecretStr = SecretStr("")


class Told(BaseModel):
    score: float


def entry(name: bytes, *rows: str, late: bool = False) -> Entry:
    many = b'{"rows":[%b]}' % ",\n".join(rows).encode() if len(rows) > 1 else rows[0].encode()
    answer = to_json({"rows": [{"score": 1.0}] * len(rows)} if len(rows) > 1 else {"score": 1.0})
    return name, 1.5, LateBody(lambda: many, len(many)) if late else many, len(rows), answer, 0.25, None


def alike(row: type[BaseModel], entries: list[Entry]) -> list[dict[str, object]]:
    """What is said of entries, which is the same whether they are written together or one by one."""
    lines = Lines("3-abc", Columns.of(row, Told), KEYS.treatment)
    together = lines.of(entries)
    assert together == b"".join(lines.of([each]) for each in entries)
    assert together.count(b"\n") == len(entries), "a line each"
    return [json.loads(line) for line in together.splitlines()]


def test_plain_rows_go_as_they_were_sent():
    found = alike(Plain, [entry(b"a1", '{"kind": "x",\r\n "size": 4}'), entry(b"b2", '{"size":4.0}', '{"size":5}', late=True)])
    assert found == [
        {"request_id": "a1", "version": "3-abc", "time": 1.5, "latency_ms": 250.0, "inputs": [{"kind": "x", "size": 4}],
         "predictions": [{"score": 1.0}]},
        {"request_id": "b2", "version": "3-abc", "time": 1.5, "latency_ms": 250.0, "inputs": [{"size": 4.0}, {"size": 5}],
         "predictions": [{"score": 1.0}, {"score": 1.0}]},
    ]  # fmt: skip
    assert repr(found[0]["inputs"]) == "[{'kind': 'x', 'size': 4}]", "4 is not 4.0"


def test_personal_and_secret_values_are_treated_in_the_row_that_they_are_of():
    ada, bob = '{"name":"ada","miles":1234.5,"token":"hush"}', '{"name":"bob","miles":99,"elsewhere":"hush"}'
    lines = Lines("3-abc", Columns.of(Person, Told), KEYS.treatment).of([entry(b"1", ada), entry(b"2", bob)])
    assert not any(word in lines for word in (b"ada", b"bob", b"hush", b"1234"))
    first, second, third = alike(Person, [entry(b"1", ada), entry(b"2", bob, ada), entry(b"3", bob)])
    treated_ada = {"name": KEYS.hashed("ada"), "miles": 1200.0, "token": MASK}
    treated_bob = {"name": KEYS.hashed("bob"), "miles": 0, "elsewhere": MASK}
    assert first["inputs"] == [treated_ada]
    assert second["inputs"] == [treated_bob, treated_ada]
    assert third["inputs"] == [treated_bob]


@pytest.mark.parametrize("name", [b'a"b', b"with space", b"ab-cd", b"caf\xe9"])
def test_an_id_of_any_characters_is_a_text_of_json(name):
    found = alike(Plain, [entry(b"plain1", '{"size":1}'), entry(name, '{"size":2}')])
    assert [each["request_id"] for each in found] == ["plain1", name.decode("latin-1")]


def test_what_was_hashed_before_stays():
    token = KEYS.hashed("ada")
    [found] = alike(Person, [entry(b"1", json.dumps({"name": token, "miles": 1.0}))])
    assert found["inputs"] == [{"name": token, "miles": 0.0}]


def test_one_that_cannot_be_written_costs_none_of_the_others(tmp_path, caplog):
    address = StoreAddress(uri=f"file://{tmp_path}/objects")
    columns = Columns.of(Person, Told)
    log = PredictionLog(Settings(flush_seconds=60), address, tmp_path / "spool", "people", "3-abc", columns, treat=hide)
    for name, body in ((b"one", '{"miles":1}'), (b"two", "{"), (b"three", '{"miles":3}')):
        log.add(name, body.encode(), 1, b"{}", 0.1)
    log._flush()
    [spool] = (tmp_path / "spool").rglob("*.jsonl")
    said = spool.read_bytes().splitlines()[1:]
    assert [json.loads(line)["request_id"] for line in said] == ["one", "three"]
    assert log.dropped == 1
    assert "a prediction cannot be logged: ValueError" in caplog.text
    log.close()


def test_many_rows_are_not_read_at_once(tmp_path, monkeypatch):
    """Answers wait while they are."""
    seen: list[int] = []
    written = Lines.of

    def of(lines: Lines, entries: list[Entry]) -> bytes:
        seen.append(sum(each[3] for each in entries))
        return written(lines, entries)

    monkeypatch.setattr(Lines, "of", of)
    address = StoreAddress(uri=f"file://{tmp_path}/objects")
    log = PredictionLog(Settings(flush_seconds=60), address, tmp_path / "spool", "sizes", "3-abc", Columns.of(Plain, Told))
    for number in range(10):
        log.add(b"%d" % number, entry(b"", *['{"size":1}'] * 100)[2], 100, b"{}", 0.1)
    for number in range(300):
        log.add(b"%d" % number, b'{"size":1}', 1, b"{}", 0.1)
    log._flush()
    assert sum(seen) == 1300
    assert max(seen) <= 356, "at most what one more request brings over 256 rows"
    log.close()
