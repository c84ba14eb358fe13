"""Tasks over HTTP, as clients and operators ask."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
import pytest_asyncio
from queue_fakes import arguments
from serving_fakes import JSON, Answer, Log, body, contract

from heliostat.serving.dataplane import DataPlane
from heliostat.serving.queue.api import TaskApplication
from heliostat.serving.queue.consumer import Consumer, Work
from heliostat.serving.rest.application import RestApplication
from heliostat.serving.rest.exchange import Request, Response
from heliostat.spec.addresses import TokenVariable
from heliostat.spec.task_queue import TaskQueue, TaskWebhooks
from heliostat.systems.brokers import open_broker
from heliostat.systems.brokers.base import Answered, BrokerAwayError, Failed, Retention
from heliostat.systems.brokers.sqlite import Sqlite

KEEP = Retention(600, 600)
QUEUE = TaskQueue(
    max_open=5, deadline_seconds=600, webhooks=TaskWebhooks(origins=("https://a.example",), secret=TokenVariable(variable="S"))
)


class Away:
    """A broker that is away as long as it is told so."""

    def __init__(self, broker):
        self._broker = broker
        self.away = False

    def __getattr__(self, name):
        if self.away:

            def call(*args, **kwargs):
                raise BrokerAwayError("Redis at h:1 does not answer")

            return call
        return getattr(self._broker, name)


@pytest.fixture
def log():
    return Log()


@pytest_asyncio.fixture
async def app(tmp_path, log):
    given = arguments(tmp_path, QUEUE)
    plane = DataPlane(contract(), contract().predictor(), given.version, log)
    broker = Away(open_broker(QUEUE, "orders", given.version.store))
    made = TaskApplication(RestApplication(plane, "/orders"), plane, broker, given)
    made.broker, made.plane = broker, plane
    yield made
    made.close()


async def ask(app, method, path, sent=b"", query=b"", **headers):
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    reply = app.reply(Request(method, path, query, given, sent))
    return Answer(reply if isinstance(reply, Response) else await reply)


def work(app, count=1):
    """Answer tasks as a worker does."""
    work = Work(QUEUE, "3-abc", "w", lambda lease: app.plane.predict(call_of(lease), lease.payload, time.perf_counter()))
    consumer = Consumer(app.broker, work, lambda: ("3-abc",))
    for _ in range(count):
        consumer._batch()


def call_of(lease):
    from heliostat.serving.dataplane import Call

    return Call(lease.id.encode(), replayed=False)


async def test_a_task_is_taken_shown_and_answered_to_the_byte_as_predict_answers(app, log):
    taken = await ask(app, "POST", "/tasks", body(), **JSON)
    assert taken.status == 202
    task_id = taken.json["id"]
    assert (taken.json["status"], taken.headers["location"]) == ("waiting", f"/orders/tasks/{task_id}")
    assert taken.headers["x-heliostat-version"] == "3-abc"
    assert not log.entries, "nothing was predicted yet"
    nothing = await ask(app, "GET", f"/tasks/{task_id}/result")
    assert (nothing.status, nothing.json["status"], nothing.headers["retry-after"]) == (202, "waiting", "1")
    await asyncio.to_thread(work, app)
    shown = await ask(app, "GET", f"/tasks/{task_id}")
    assert (shown.status, shown.json["status"], shown.json["attempts"]) == (200, "succeeded", 1)
    result = await ask(app, "GET", f"/tasks/{task_id}/result")
    assert result.status == 200
    assert result.body == app.plane.predict(call_of(type("L", (), {"id": "x"})), body(), 0.0)
    assert result.headers["x-heliostat-version"] == "3-abc"
    assert log.entries[0][0] == task_id.encode(), "it is logged by its id"


async def test_what_does_not_fit_is_refused_at_once_as_predict_refuses_it(app):
    for sent in (body(kind="c"), b"", b"{", b'{"rows":[]}'):
        refused, predicted = await ask(app, "POST", "/tasks", sent, **JSON), await ask(app, "POST", "/predict", sent, **JSON)
        assert refused.status == predicted.status == 422
        assert refused.body == predicted.body
    assert (await ask(app, "POST", "/tasks", body(), content_type="text/plain")).status == 415
    assert (await ask(app, "POST", "/tasks", b" " * 2_000_000, **JSON)).status == 413
    assert app.broker.depth().waiting == 0


async def test_the_same_key_is_the_same_task_and_another_body_under_it_is_refused(app):
    first = await ask(app, "POST", "/tasks", body(), idempotency_key="order-1")
    again = await ask(app, "POST", "/tasks", body(), idempotency_key="order-1")
    assert (first.status, again.status) == (202, 202)
    assert first.json["id"] == again.json["id"]
    assert app.broker.depth().waiting == 1
    other = await ask(app, "POST", "/tasks", body(size=5.0), idempotency_key="order-1")
    assert other.status == 409
    assert (await ask(app, "POST", "/tasks", body(), idempotency_key="a b")).status == 422


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (b"deadlineSeconds=0", "deadlineSeconds is 0: it must be above 0 and at most 600"),
        (b"deadlineSeconds=601", "deadlineSeconds is 601"),
        (b"deadlineSeconds=soon", "'soon': it must be a number"),
        (b"deadlineSeconds=nan", "must be a number"),
        (b"webhook=http://169.254.169.254/latest", "only those of https://a.example are called"),
        (b"webhook=https://a.example@10.0.0.1/", "neither a user nor a fragment"),
    ],
)
async def test_a_wrong_option_is_refused_with_its_limit(app, query, text):
    refused = await ask(app, "POST", "/tasks", body(), query)
    assert refused.status == 422
    assert text in refused.json["detail"]
    assert app.broker.depth().waiting == 0


async def test_no_more_than_may_be_open_are_taken_and_the_client_is_told_when_to_come_again(app):
    for _ in range(5):
        assert (await ask(app, "POST", "/tasks", body())).status == 202
    full = await ask(app, "POST", "/tasks", body())
    assert (full.status, full.headers["retry-after"]) == (503, "2")
    assert "5 tasks are open" in full.json["detail"]


async def test_a_broker_that_is_away_is_told_and_predictions_go_on(app):
    app.broker.away = True
    for method, path in (("POST", "/tasks"), ("GET", f"/tasks/{'a' * 32}"), ("DELETE", f"/tasks/{'a' * 32}")):
        away = await ask(app, method, path, body() if method == "POST" else b"")
        assert (away.status, away.headers["retry-after"]) == (503, "2")
        assert "does not answer" in away.json["detail"]
    assert (await ask(app, "POST", "/predict", body(), **JSON)).status == 200
    app.broker.away = False
    assert (await ask(app, "POST", "/tasks", body())).status == 202


async def test_a_broker_that_is_slow_holds_up_no_more_than_so_many(app, monkeypatch):
    monkeypatch.setattr("heliostat.serving.queue.api._MOST_CALLS", 1)
    first, second = await asyncio.gather(ask(app, "POST", "/tasks", body()), ask(app, "POST", "/tasks", body()))
    assert sorted((first.status, second.status)) == [202, 503]


async def test_who_waits_for_a_result_has_it_once_it_is_there(app, monkeypatch):
    monkeypatch.setattr("heliostat.serving.queue.api._LONGEST_WAIT", 120.0)
    task_id = (await ask(app, "POST", "/tasks", body())).json["id"]
    waiting = asyncio.create_task(ask(app, "GET", f"/tasks/{task_id}/result", query=b"wait=120"))
    await asyncio.to_thread(work, app)
    async with asyncio.timeout(60):
        assert (await waiting).json == {"score": 2.0}


async def test_who_waits_in_vain_is_told_so_in_time(app):
    task_id = (await ask(app, "POST", "/tasks", body())).json["id"]
    async with asyncio.timeout(60):
        assert (await ask(app, "GET", f"/tasks/{task_id}/result", query=b"wait=0.1")).status == 202
    assert (await ask(app, "GET", f"/tasks/{task_id}", query=b"wait=x")).status == 422


async def test_a_task_that_failed_or_was_cancelled_has_no_result(app):
    failed = (await ask(app, "POST", "/tasks", body(size=13.0))).json["id"]
    [lease] = app.broker.lease(["3-abc"], "w", 1, 60)
    app.broker.settle([Failed(lease, "ZeroDivisionError: thirteen", None)], KEEP)
    result = await ask(app, "GET", f"/tasks/{failed}/result")
    assert (result.status, "thirteen" in result.json["detail"]) == (409, True)
    cancelled = (await ask(app, "POST", "/tasks", body())).json["id"]
    assert (await ask(app, "DELETE", f"/tasks/{cancelled}")).json["status"] == "cancelled"
    assert (await ask(app, "GET", f"/tasks/{cancelled}/result")).status == 410
    assert (await ask(app, "DELETE", f"/tasks/{failed}")).status == 409


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/tasks/{'0' * 32}", 404),
        ("GET", "/tasks/other", 404),
        ("DELETE", f"/tasks/{'0' * 32}", 404),
        ("GET", "/tasks", 405),
        ("PUT", f"/tasks/{'0' * 32}", 405),
        ("POST", f"/tasks/{'0' * 32}/result", 405),
        ("GET", f"/tasks/{'0' * 32}/payload", 404),
        ("GET", "/tasksandmore", 404),
    ],
)
async def test_what_is_not_there_has_its_status(app, method, path, status):
    assert (await ask(app, method, path)).status == status


async def test_operators_see_the_depth_and_have_dead_letters_tried_again(app):
    task_id = (await ask(app, "POST", "/tasks", body())).json["id"]
    depth = (await ask(app, "GET", "/-/tasks")).json
    assert (depth["waiting"], depth["running"], depth["dead"], depth["versions"]) == (1, 0, 0, ["3-abc"])
    assert 0 <= depth["oldestSeconds"] < 60
    [lease] = app.broker.lease(["3-abc"], "w", 1, 60)
    app.broker.settle([Failed(lease, "no", None)], KEEP)
    [dead] = (await ask(app, "GET", "/-/tasks/dead")).json
    assert (dead["id"], dead["error"], dead["attempts"]) == (task_id, "no", 1)
    assert "payload" in (await ask(app, "GET", f"/-/tasks/{task_id}")).json
    assert (await ask(app, "POST", f"/-/tasks/{task_id}/retry")).json["status"] == "waiting"
    assert (await ask(app, "POST", f"/-/tasks/{task_id}/retry")).status == 409
    assert (await ask(app, "POST", f"/-/tasks/{task_id}/cancel")).json["status"] == "cancelled"
    assert (await ask(app, "POST", "/-/tasks/other/cancel")).status == 404
    assert (await ask(app, "POST", "/-/tasks/other")).status == 404


async def test_the_document_says_what_tasks_take(app):
    paths = (await ask(app, "GET", "/openapi.json")).json["paths"]
    assert set(paths) >= {"/orders/predict", "/orders/tasks", "/orders/tasks/{id}", "/orders/tasks/{id}/result"}
    assert paths["/orders/tasks"]["post"]["requestBody"] == paths["/orders/predict"]["post"]["requestBody"]


async def test_an_answer_says_which_version_gave_it_whichever_serves_by_then(app):
    task_id = (await ask(app, "POST", "/tasks", body())).json["id"]
    [lease] = app.broker.lease(["3-abc"], "w", 1, 60)
    app.broker.settle([Answered(lease, b'{"score":1.0}', "2-old")], KEEP)
    result = await ask(app, "GET", f"/tasks/{task_id}/result")
    assert (result.body, result.headers["x-heliostat-version"]) == (b'{"score":1.0}', "2-old")
    assert json.loads((await ask(app, "GET", f"/tasks/{task_id}")).body)["version"] == "2-old"


def test_a_file_that_is_no_database_is_told_as_a_broker_that_is_away(tmp_path):
    (tmp_path / "t.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(BrokerAwayError, match="no queue of tasks any more"):
        Sqlite(tmp_path / "t.sqlite", KEEP).depth()
