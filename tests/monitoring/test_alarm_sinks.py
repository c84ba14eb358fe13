from __future__ import annotations

import email
import email.policy
import json
import socket
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from heliostat.spec.addresses import BasicVariables, TokenFile, TokenVariable
from heliostat.spec.notifications import Email, Slack, Webhook
from heliostat.systems.alarm_sinks import mail, post
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError

SECRET = "T0PSECRET"


class Receiver(BaseHTTPRequestHandler):
    """Answers with the status in the path, and keeps what it was sent."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, dict(self.headers), json.loads(body)))
        status = int(self.path.rstrip("/").rpartition("/")[2])
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/200")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.got = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(receiver, status=200):
    return f"http://127.0.0.1:{receiver.server_port}/hooks/{status}"


def test_a_webhook_gets_json_its_id_and_its_token(receiver, monkeypatch):
    monkeypatch.setenv("HOOK_TOKEN", SECRET)
    post(Webhook(name="hook", url=url(receiver), credential=TokenVariable(variable="HOOK_TOKEN")), "id-1", {"title": "ü"})
    [(path, headers, body)] = receiver.got
    headers = {name.lower(): value for name, value in headers.items()}
    assert path.rstrip("/") == "/hooks/200" and body == {"title": "ü"}
    assert headers["idempotency-key"] == "id-1" and headers["authorization"] == f"Bearer {SECRET}"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "kind"), [(500, RetryableError), (429, RetryableError), (404, PermanentError), (302, PermanentError)]
)
def test_what_is_refused_for_now_and_what_is_refused_for_good_are_told_apart(receiver, status, kind):
    with pytest.raises(kind, match=f"the sink hook answered {status}"):
        post(Webhook(name="hook", url=url(receiver, status)), "id", {})
    assert len(receiver.got) == 1, "it is not followed elsewhere, and who tries again is another"


def test_the_url_of_slack_is_a_secret_and_stands_in_no_error(receiver, tmp_path, monkeypatch):
    file = tmp_path / "url"
    file.write_text(url(receiver).replace("/hooks", f"/{SECRET}") + "\n")
    post(Slack(name="chat", url=TokenFile(path=str(file))), "id", {"text": "x"})
    assert receiver.got[0][0].rstrip("/") == f"/{SECRET}/200"
    for address in (f"http://127.0.0.1:1/{SECRET}", f"ftp://{SECRET}", f"http://[{SECRET}", SECRET):
        monkeypatch.setenv("CHAT", address)
        with pytest.raises((PermanentError, RetryableError)) as caught:
            post(Slack(name="chat", url=TokenVariable(variable="CHAT")), "id", {})
        assert SECRET not in str(caught.value) and "chat" in str(caught.value)
        assert (caught.value.__cause__ is None and caught.value.__suppress_context__) or caught.value.__context__ is None
    monkeypatch.delenv("CHAT")
    with pytest.raises(NoAccessError, match="environment variable CHAT"):
        post(Slack(name="chat", url=TokenVariable(variable="CHAT")), "id", {})


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mailbox:
    """What a server was given, and what it says to it."""

    def __init__(self):
        self.got = []
        self.refused = {}
        self.answer = "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.answer.startswith("250"):
            self.got.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return self.answer


@pytest.fixture
def mailbox():
    controllers = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd is in the extra dev")
    from aiosmtpd.smtp import AuthResult

    def check(server, session, envelope, mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"ada", SECRET.encode()), handled=False)

    box = Mailbox()
    controller = controllers.Controller(
        box, hostname="127.0.0.1", port=free_port(), authenticator=check, auth_require_tls=False, auth_required=False
    )
    controller.start()
    box.port = controller.port
    yield box
    controller.stop()


def sink(mailbox, **given):
    values = {"name": "post", "host": "127.0.0.1", "security": "none", "sender": "mlops@example.org", "to": ("a@example.org",)}
    return Email(**{"port": mailbox.port, **values, **given})


def test_a_mail_arrives_with_subject_text_and_an_id_that_is_the_same_each_time(mailbox):
    for _ in range(2):
        mail(
            sink(mailbox, to=("a@example.org", "b@example.org")),
            "flights/quality/x@1/firing",
            "[warning] ü",
            "what is wrong\n",
        )
    (to, first), (_, second) = mailbox.got
    assert to == ["a@example.org", "b@example.org"] and first["subject"] == "[warning] ü"
    assert first.get_content().strip() == "what is wrong" and first["message-id"] == second["message-id"]
    assert first["auto-submitted"] == "auto-generated"
    assert abs((first["date"].datetime - datetime.now(UTC)).total_seconds()) < 60, "without one many servers take it for spam"


def test_a_mail_of_a_column_whose_name_is_not_ascii_arrives_with_an_id_that_is(mailbox):
    for column in ("größe", "größen", "年齢"):
        mail(sink(mailbox), f"flights/drift/{column}@1/firing", f"drift of {column} is wrong", f"{column} {'x' * 3000}\n")
    identifiers = [each["message-id"] for _, each in mailbox.got]
    assert all(each.isascii() for each in identifiers) and len({*identifiers}) == 3
    assert [each["subject"].split()[2] for _, each in mailbox.got] == ["größe", "größen", "年齢"]
    assert all(each.get_content().strip().endswith("x" * 3000) for _, each in mailbox.got)


def test_a_mail_is_sent_with_an_account_and_a_wrong_password_is_told_and_not_shown(mailbox, monkeypatch):
    account = BasicVariables(username_variable="MAIL_USER", password_variable="MAIL_PASSWORD")
    monkeypatch.setenv("MAIL_USER", "ada")
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    mail(sink(mailbox, credential=account), "id", "s", "t")
    assert len(mailbox.got) == 1
    monkeypatch.setenv("MAIL_PASSWORD", SECRET + "x")
    with pytest.raises(PermanentError, match="refuses the account") as caught:
        mail(sink(mailbox, credential=account), "id", "s", "t")
    assert SECRET not in str(caught.value)


def test_a_server_that_is_busy_is_tried_again_and_one_that_refuses_is_not(mailbox):
    mailbox.answer = "451 later"
    with pytest.raises(RetryableError, match="answered 451"):
        mail(sink(mailbox), "id", "s", "t")
    mailbox.answer = "554 no"
    with pytest.raises(PermanentError, match="answered 554"):
        mail(sink(mailbox), "id", "s", "t")
    mailbox.refused = {"a@example.org": "550 unknown"}
    with pytest.raises(PermanentError, match=r"takes nothing for a@example.org \(550\)"):
        mail(sink(mailbox), "id", "s", "t")
    mailbox.refused = {"a@example.org": "450 greylisted"}
    with pytest.raises(RetryableError, match="450"):
        mail(sink(mailbox), "id", "s", "t")


def test_one_of_several_that_is_refused_is_told_and_the_others_have_it(mailbox):
    mailbox.refused = {"b@example.org": "550 unknown"}
    with pytest.raises(PermanentError, match=r"sent it, and not to b@example\.org"):
        mail(sink(mailbox, to=("a@example.org", "b@example.org")), "id", "s", "t")
    assert [to for to, _ in mailbox.got] == [["a@example.org"]]


def test_nothing_is_sent_in_clear_where_tls_was_asked_for(mailbox):
    with pytest.raises(PermanentError, match="STARTTLS"):
        mail(sink(mailbox, security="starttls"), "id", "s", "t")
    with pytest.raises(RetryableError, match="cannot be reached"):
        mail(sink(mailbox, security="tls"), "id", "s", "t")
    assert mailbox.got == []


def test_a_server_that_is_not_there_is_tried_again():
    with pytest.raises(RetryableError, match="cannot be reached: ConnectionRefusedError"):
        mail(Email(name="post", host="127.0.0.1", port=1, security="none", sender="a@b.org", to=("c@d.org",)), "id", "s", "t")
