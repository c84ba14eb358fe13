"""Webhooks: who is called, with what, how often, and who never is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import httpx
import pytest
from queue_fakes import submit

from heliostat.serving.queue.webhooks import WebhookCaller, problem_of, signature
from heliostat.spec.addresses import TokenFile, TokenVariable
from heliostat.spec.task_queue import TaskWebhooks
from heliostat.systems.brokers.base import Answered, Failed, Retention
from heliostat.systems.brokers.sqlite import Sqlite

KEEP = Retention(600, 600)
URL = "https://hooks.example.com/done?to=me"


class Clock:
    now = time.time()

    def __call__(self):
        return self.now


class Receiver:
    """Answers as it is told, and remembers."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.calls = []

    def __call__(self, request):
        self.calls.append(request)
        status = self.statuses.pop(0)
        if status == 0:
            raise httpx.ConnectError("refused")
        return httpx.Response(status, headers={"location": "http://10.0.0.1/"})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def broker(tmp_path, clock):
    broker = Sqlite(tmp_path / "t.sqlite", KEEP, clock)
    yield broker
    broker.close()


@pytest.fixture
def webhooks(tmp_path):
    (tmp_path / "secret").write_text("whsec_" + base64.b64encode(b"0123456789").decode())
    secret = TokenFile(path=str(tmp_path / "secret"))
    return TaskWebhooks(origins=("https://hooks.example.com", "http://127.0.0.1:9000"), secret=secret, attempts=3)


def ended_task(broker, task_id="one", answer=b'{"score":2.0}', url=URL):
    submit(broker, task_id, b"{}", webhook=url)
    [lease] = broker.lease(["3-abc"], "w", 1, 60)
    broker.settle([Answered(lease, answer, "3-abc") if answer else Failed(lease, "no", None)], KEEP)


def caller(broker, webhooks, receiver):
    return WebhookCaller(broker, "orders", webhooks, transport=httpx.MockTransport(receiver))


def test_the_end_of_a_task_is_told_signed_and_with_the_very_answer(broker, webhooks):
    ended_task(broker)
    receiver = Receiver(204)
    assert caller(broker, webhooks, receiver).call_due() == 1
    [call] = receiver.calls
    assert str(call.url) == URL
    told = json.loads(call.content)
    assert (told["id"], told["status"], told["application"]) == ("one", "succeeded", "orders")
    assert b'"result":{"score":2.0}}' in call.content
    signed = f"one.{call.headers['webhook-timestamp']}.".encode() + call.content
    expected = base64.b64encode(hmac.new(b"0123456789", signed, hashlib.sha256).digest()).decode()
    assert call.headers["webhook-signature"] == f"v1,{expected}"
    assert call.headers["webhook-id"] == "one"
    assert broker.read("one").webhook_note == "delivered"
    assert caller(broker, webhooks, receiver).call_due() == 0


def test_a_failure_is_told_with_its_error_and_without_a_result(broker, webhooks):
    ended_task(broker, answer=b"")
    receiver = Receiver(200)
    caller(broker, webhooks, receiver).call_due()
    told = json.loads(receiver.calls[0].content)
    assert (told["status"], told["error"], "result" in told) == ("failed", "no", False)


def test_a_call_that_fails_is_made_again_later_with_the_same_id_and_given_up_in_the_end(broker, webhooks, clock):
    ended_task(broker)
    receiver = Receiver(500, 0, 302, 200)
    calls = caller(broker, webhooks, receiver)
    assert calls.call_due() == 1
    assert calls.call_due() == 0, "not at once"
    assert broker.read("one").webhook_note == "answered 500"
    clock.now += 5
    assert calls.call_due() == 1
    assert broker.read("one").webhook_note == "no answer: ConnectError"
    clock.now += 5
    assert calls.call_due() == 0, "after twice as long"
    clock.now += 5
    assert calls.call_due() == 1
    clock.now += 10_000
    assert calls.call_due() == 0, "three attempts were declared"
    assert broker.read("one").webhook_note == "answered 302"
    assert {call.headers["webhook-id"] for call in receiver.calls} == {"one"}
    assert {call.url.host for call in receiver.calls} == {"hooks.example.com"}, "no redirection is followed"


def test_a_caller_that_died_has_its_call_made_by_another(broker, webhooks, clock):
    ended_task(broker)
    broker.due_webhooks(1, 60)  # and dies
    receiver = Receiver(200)
    assert caller(broker, webhooks, receiver).call_due() == 0
    clock.now += 61
    assert caller(broker, webhooks, receiver).call_due() == 1


def test_an_origin_that_is_not_declared_any_more_is_not_called(broker, webhooks):
    ended_task(broker, url="https://former.example.com/")
    receiver = Receiver()
    caller(broker, webhooks, receiver).call_due()
    assert receiver.calls == []
    assert "only those of" in broker.read("one").webhook_note


def test_a_secret_that_is_not_there_is_told_and_nothing_goes_out_unsigned(broker, webhooks):
    ended_task(broker)
    receiver = Receiver()
    given = webhooks.model_copy(update={"secret": TokenVariable(variable="NOT_SET_ANYWHERE")})
    caller(broker, given, receiver).call_due()
    assert receiver.calls == []
    assert "secret" in broker.read("one").webhook_note


@pytest.mark.parametrize(
    "url", [URL, "https://hooks.example.com", "https://hooks.example.com:443/x", "http://127.0.0.1:9000/y"]
)
def test_declared_origins_are_called(url, webhooks):
    assert problem_of(url, webhooks) == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://hooks.example.com:444/",
        "https://hooks.example.com.evil.example/",
        "https://hooks.example.com@10.0.0.1/",
        "https://10.0.0.1/#https://hooks.example.com",
        "https://10.0.0.1\\@hooks.example.com/",
        "//hooks.example.com/",
        "http://127.0.0.1:9001/",
        "http://[::1]/",
        "http://[bad/",
        "file:///etc/passwd",
        "https://hooks.example.com/\r\nx: y",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com/" + "a" * 2_000,
        "hooks",
    ],
)
def test_no_other_is_a_way_into_the_inner_network(url, webhooks):
    assert problem_of(url, webhooks)


def test_an_application_without_webhooks_takes_none():
    assert "declare serving.queue.webhooks" in problem_of(URL, None)


def test_the_signature_is_that_of_standard_webhooks():
    # The example of the specification at version 1.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
