"""How an application answers: what fits, what does not, and what must never happen."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from serving_fakes import JSON, ROW, Halves, Told, answers, body, call, contract

from heliostat.ml.contracts import Golden


async def test_one_row_is_answered_with_one_answer(app, log):
    answer = await call(app, "POST", "/predict", body(), x_request_id="me-1", **JSON)
    assert (answer.status, answer.json) == (200, {"score": 2.0})
    assert answer.headers["x-heliostat-version"] == "3-abc"
    assert answer.headers["x-request-id"] == "me-1"
    [(request_id, asked, rows, sent, seconds)] = log.entries
    assert (request_id, asked, rows, sent) == (b"me-1", body(), 1, answer.body)
    assert 0 < seconds < 1


async def test_many_rows_are_answered_in_their_order_also_in_a_thread(app):
    for count in (1, 3, 100):
        rows = {"rows": [{**ROW, "size": n + 20} for n in range(count)]}
        answer = await call(app, "POST", "/predict", json.dumps(rows).encode(), **JSON)
        assert answer.json == {"rows": [{"score": (n + 20) / 2} for n in range(count)]}


@pytest.mark.parametrize(
    ("sent", "loc", "kind"),
    [
        (body(kind="c"), ["body", "kind"], "literal_error"),
        (body(size="4"), ["body", "size"], "float_type"),
        (body(size=-1), ["body", "size"], "greater_than"),
        (body(extra=1), ["body", "extra"], "extra_forbidden"),
        (body(when=7), ["body", "when"], "datetime_type"),
        (body().replace(b"4.0", b"NaN"), ["body", "size"], "finite_number"),
        (body().replace(b"4.0", b"-Infinity"), ["body", "size"], "finite_number"),
        (b'{"rows":[%b,%b]}' % (body(), body(kind="z")), ["body", "rows", 1, "kind"], "literal_error"),
        (b'{"rows":[]}', ["body", "rows"], "too_short"),
        (b'{"rows":[%b]}' % b",".join([body()] * 101), ["body", "rows"], "too_long"),
        (b"[1]", ["body"], "model_type"),
        (b"null", ["body"], "model_type"),
        (b"no json", ["body", 2], "json_invalid"),
        (b'{"kind":\n "a",,', ["body", 15], "json_invalid"),
        (b'{"kind":"\xff"}', ["body", 10], "json_invalid"),
        (b"[" * 5000, ["body", 202], "json_invalid"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_refused_with_its_path(app, log, sent, loc, kind):
    answer = await call(app, "POST", "/predict", sent, **JSON)
    assert answer.status == 422
    [problem] = answer.json["detail"]
    assert (problem["loc"], problem["type"]) == (loc, kind)
    assert not log.entries, "a refused request is no prediction"


async def test_all_mistakes_are_told_at_once_and_never_endlessly(app):
    answer = await call(app, "POST", "/predict", b'{"rows":[%b]}' % b",".join([b"{}"] * 90), **JSON)
    assert len(answer.json["detail"]) == 101
    assert answer.json["detail"][-1]["msg"] == "and 170 mistakes more"


@pytest.mark.parametrize(
    ("method", "path", "sent", "headers", "status"),
    [
        ("POST", "/predict", b"", JSON, 422),
        ("POST", "/predict", b"  \n", JSON, 422),
        ("POST", "/predict", body(), {"content_type": "text/plain"}, 415),
        ("POST", "/predict", b" " * 30_000, JSON, 413),
        ("GET", "/predict", b"", {}, 405),
        ("POST", "/healthz", b"", {}, 405),
        ("GET", "/nothing", b"", {}, 404),
    ],
)
async def test_a_wrong_request_gets_its_status_and_a_text(app, method, path, sent, headers, status):
    answer = await call(app, method, path, sent, **headers)
    assert answer.status == status
    assert isinstance(answer.json["detail"], str)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "headers", [{}, {"content_type": "application/json; charset=utf-8"}, {"content_type": "application/x+json"}]
)
async def test_json_is_taken_by_any_of_its_names(app, headers):
    assert (await call(app, "POST", "/predict", body(), **headers)).status == 200


async def test_a_bug_of_the_workload_is_500_without_its_inside(app):
    answer = await call(app, "POST", "/predict", body(size=13), **JSON)
    assert answer.status == 500
    assert "ZeroDivisionError" in answer.json["detail"]
    assert "thirteen" not in answer.json["detail"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BaseException("a panic in Rust")])
async def test_no_end_that_a_predictor_asks_for_ends_the_replica(log, error):
    class Ends(Halves):
        def predict(self, columns):
            if columns["size"][0] == 7:
                raise error
            return super().predict(columns)

    app = answers(log, contract(predictor=Ends))
    for _ in range(2):
        assert (await call(app, "POST", "/predict", body(size=7), **JSON)).status == 500
    assert (await call(app, "POST", "/predict", body(), **JSON)).status == 200
    assert len(log.entries) == 1


async def test_scores_of_several_classes_reach_the_contract_row_by_row(log):
    class Parts(Halves):
        def predict(self, columns):
            return np.stack([np.asarray(columns["size"]), np.asarray(columns["size"]) * 2], axis=1)

    several = contract(predictor=Parts, respond=lambda scores: Told(score=scores[1]))
    app = answers(log, several)
    assert (await call(app, "POST", "/predict", body(size=3), **JSON)).json == {"score": 6.0}
    assert (await call(app, "POST", "/predict", b'{"rows":[%b,%b]}' % (body(size=1), body(size=2)), **JSON)).json == {
        "rows": [{"score": 2.0}, {"score": 4.0}]
    }


async def test_a_predictor_that_forgets_rows_is_a_bug_and_no_short_answer(log):
    class First(Halves):
        def predict(self, columns):
            return super().predict(columns)[:1]

    app = answers(log, contract(predictor=First))
    answer = await call(app, "POST", "/predict", b'{"rows":[%b,%b]}' % (body(), body()), **JSON)
    assert answer.status == 500
    assert not log.entries


@pytest.mark.parametrize("given", ["me-1", "!+-.~", "0" * 128])
async def test_a_clients_own_id_is_logged_and_told(app, log, given):
    answer = await call(app, "POST", "/predict", body(), x_request_id=given, **JSON)
    assert answer.headers["x-request-id"] == log.entries[0][0].decode() == given


@pytest.mark.parametrize("given", [None, "", "a b", "a,b", "ü", "a\tb", "a b\nc", "a\n", "0" * 129])
async def test_what_is_no_id_is_replaced_and_the_one_that_is_told_is_the_one_that_is_logged(app, log, given):
    headers = {} if given is None else {"x_request_id": given}
    answer = await call(app, "POST", "/predict", body(), **headers, **JSON)
    assert answer.headers["x-request-id"] == log.entries[0][0].decode()
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_an_id_that_is_logged_nowhere_is_not_told(app, log, caplog):
    log.add = lambda *entry, processed=None: False  # not sampled, or the queue is full
    assert "x-request-id" not in (await call(app, "POST", "/predict", body(), x_request_id="me", **JSON)).headers
    assert "x-request-id" not in (await call(app, "POST", "/predict", b"{", x_request_id="me", **JSON)).headers
    assert "x-request-id" not in (await call(app, "GET", "/healthz", x_request_id="me")).headers
    failed = await call(app, "POST", "/predict", body(size=13), x_request_id="me", **JSON)
    assert failed.headers["x-request-id"] == "me"
    assert "request me failed" in caplog.text, "what the application failed on is in the replica's log"


async def test_golden_requests_pass_and_are_not_logged(app, log):
    assert (await call(app, "POST", "/-/golden")).json == {"passed": 2}
    assert not log.entries


async def test_a_wrong_golden_answer_is_told_with_what_was_expected(log):
    wrong = contract(
        golden=(Golden("third", ROW, 200, lambda answer: answer["score"] == 3, "3"), Golden("bug", {**ROW, "size": 13}))
    )
    app = answers(log, wrong)
    answer = await call(app, "POST", "/-/golden")
    assert answer.status == 500
    assert answer.json["failures"][0] == {"name": "third", "reason": "expected 3, got {'score': 2.0}"}
    assert "ZeroDivisionError" in answer.json["failures"][1]["reason"]


async def test_openapi_names_the_public_path_and_the_contracts_types(app):
    document = (await call(app, "GET", "/openapi.json")).json
    own = [path for path in document["paths"] if "/v2" not in path]
    assert own == ["/halves/predict", "/halves/healthz", "/halves/openapi.json"]
    assert document["components"]["schemas"]["Ask"]["properties"]["kind"]["enum"] == ["a", "b"]
    assert document["components"]["schemas"]["AskRows"]["properties"]["rows"]["maxItems"] == 100


async def test_openapi_is_a_valid_document(app):
    from openapi_spec_validator import validate

    validate((await call(app, "GET", "/openapi.json")).json)


async def test_the_docs_load_nothing_from_elsewhere(app):
    page = (await call(app, "GET", "/docs")).body.decode()
    assert "Half of it." in page
    assert "http://" not in page
    assert "https://" not in page
