"""What every transport gets of a replica, without any."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from serving_fakes import Ask, Halves, Log, Told, body, contract, version

from heliostat.ml.contracts import Golden
from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.errors import HttpError
from heliostat.serving.golden import GoldenFailures
from heliostat.serving.tap import TapQuery
from heliostat.spec.workload import Limits


def plane(log: Log, predictor: Any = Halves, **changes: Any) -> DataPlane:
    made = contract(predictor=predictor, **changes)
    return DataPlane(made, predictor(), version(limits=Limits(max_body_bytes=2_000, max_rows=3)), log)  # type: ignore[arg-type]


def kept(given: DataPlane) -> list[tuple[str, int]]:
    return [(each.request_id, each.status) for each in given.tap.page(TapQuery()).requests]


def test_rows_go_in_and_answers_come_out_and_nothing_is_kept_of_them(log: Log) -> None:
    given = plane(log)
    rows = [Ask(kind="a", size=size, when=dt.datetime(2013, 7, 9)) for size in (4, 6)]
    assert given.answers(rows) == [Told(score=2.0), Told(score=3.0)]
    assert (log.entries, kept(given)) == ([], [])


@pytest.mark.parametrize("many", [False, True])
def test_a_body_is_answered_logged_and_kept_under_its_own_id(log: Log, many: bool) -> None:
    given, call = plane(log), Call(b"mine", replayed=False)
    sent = b'{"rows":[%b,%b]}' % (body(), body(size=6.0)) if many else body()
    answer = given.predict(call, sent, time.perf_counter())
    assert json.loads(answer) == ({"rows": [{"score": 2.0}, {"score": 3.0}]} if many else {"score": 2.0})
    assert log.entries == [(b"mine", sent, 2 if many else 1, answer, call.seconds)]
    assert kept(given) == [("mine", 200)]
    assert call.logged
    assert call.seconds
    assert call.seconds > 0


def test_a_replay_is_answered_with_its_time_and_neither_logged_nor_kept(log: Log) -> None:
    given, call = plane(log), Call(b"again", replayed=True)
    assert given.predict(call, body(), time.perf_counter()) == b'{"score":2.0}'
    assert (log.entries, kept(given), call.logged) == ([], [], False)
    assert call.seconds


@pytest.mark.parametrize("given_id", [None, b"", b"a\r\nb: c"])
def test_what_no_client_may_call_a_request_gets_an_id_of_its_own(given_id: bytes | None) -> None:
    first, second = Call(given_id, replayed=False), Call(given_id, replayed=False)
    assert len(first.request_id) == 32
    assert first.request_id != second.request_id


@pytest.mark.parametrize(
    ("sent", "status", "in_the_tap"),
    [
        (b" " * 2_001, 413, []),
        (b"", 422, [("r", 422)]),
        (body(kind="c"), 422, [("r", 422)]),
        (b'{"rows":[%b]}' % b",".join([body()] * 4), 422, [("r", 422)]),
    ],
    ids=["too large", "empty", "does not fit", "too many rows"],
)
def test_what_is_over_the_limits_or_does_not_fit_is_refused_and_not_logged(
    log: Log, sent: bytes, status: int, in_the_tap: list[tuple[str, int]]
) -> None:
    given = plane(log)
    with pytest.raises(HttpError) as refused:
        given.predict(Call(b"r", replayed=False), sent, 0.0)
    assert refused.value.status == status
    assert kept(given) == in_the_tap
    assert not log.entries


def test_a_bug_of_the_workload_is_the_transports_to_tell_and_is_kept_as_a_failure(log: Log) -> None:
    given = plane(log)
    with pytest.raises(ZeroDivisionError):
        given.predict(Call(b"r", replayed=False), body(size=13), 0.0)
    assert kept(given) == [("r", 500)]


def test_a_predictor_that_does_not_answer_every_row_is_a_bug(log: Log) -> None:
    class Short(Halves):
        def predict(self, columns: Any) -> Any:
            return np.asarray(columns["size"])[:1] / 2

    with pytest.raises(ValueError, match="gave 1 scores for 2 rows"):
        plane(log, Short).predict(Call(b"r", replayed=False), b'{"rows":[%b,%b]}' % (body(), body()), 0.0)


def test_golden_requests_are_counted_and_leave_no_trace(log: Log) -> None:
    given = plane(log)
    assert given.check_golden() == 2
    assert (log.entries, kept(given)) == ([], [])


def test_golden_requests_that_are_answered_otherwise_are_named(log: Log) -> None:
    given = plane(log, golden=(Golden("whole", body().decode(), 200, lambda answer: answer["score"] == 4.0, "4.0"),))
    with pytest.raises(GoldenFailures) as failed:
        given.check_golden()
    assert failed.value.body == {"failures": [{"name": "whole", "reason": "expected 4.0, got {'score': 2.0}"}]}


def test_the_end_of_the_plane_closes_the_log(log: Log) -> None:
    plane(log).close()
    assert log.entries == ["closed"]


class Labelled(BaseModel):
    text: str
    image: list[list[float]] = []


class Texts(Halves):
    def predict(self, columns: Any) -> Any:
        return [f"size {size:g}" for size in columns["size"]]


class Named(Halves):
    """A text and an image for each row."""

    def predict(self, columns: Any) -> Any:
        sizes = np.asarray(columns["size"])
        return {"text": [f"size {size:g}" for size in sizes], "image": sizes[:, None, None] * np.ones((1, 1, 2))}


class Uneven(Halves):
    def predict(self, columns: Any) -> Any:
        return {"text": ["one"] * (len(columns["size"]) + 1), "image": np.zeros((len(columns["size"]), 1, 1))}


@pytest.mark.parametrize(
    ("predictor", "respond", "expected"),
    [
        (Texts, lambda text: Labelled(text=text), {"text": "size 4", "image": []}),
        (Named, lambda row: Labelled(**row), {"text": "size 4", "image": [[4.0, 4.0]]}),
    ],
)
def test_a_row_s_part_of_any_predictions_is_responded_to(log: Log, predictor: Any, respond: Any, expected: Any) -> None:
    given = plane(log, predictor, answer=Labelled, respond=respond, golden=())
    assert json.loads(given.predict(Call(b"a", replayed=False), body(), time.perf_counter())) == expected
    sent = b'{"rows":[%b,%b]}' % (body(), body(size=6.0))
    many = json.loads(given.predict(Call(b"b", replayed=False), sent, time.perf_counter()))["rows"]
    assert many[0] == expected
    assert many[1]["text"] == "size 6"


def test_parts_that_are_not_as_many_as_rows_are_an_error_and_no_answer(log: Log) -> None:
    given = plane(log, Uneven, answer=Labelled, golden=())
    with pytest.raises(ValueError, match="parts of different length"):
        given.predict(Call(b"a", replayed=False), body(), time.perf_counter())
