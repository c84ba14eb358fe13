"""Webhooks: who asked to be told, is told how a task ended, at least once.

Calls are those of Standard Webhooks: `webhook-id` (the task's id: a call that comes twice has the same), `webhook-timestamp`
and `webhook-signature`, an HMAC-SHA256 of all three with the body. Only declared origins are called, and no redirection is
followed: what a client writes into a task is no way to anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import httpx

from heliostat.spec.task_queue import TaskWebhooks
from heliostat.systems.brokers.base import Task, TaskBroker, TaskState, Webhook
from heliostat.systems.credentials import read_text
from heliostat.systems.errors import NoAccessError, RetryableError
from heliostat.systems.personal_keys import Keyring

_log = logging.getLogger("ray.serve")

_CALL_SECONDS: Final = 10.0
_LEASE_SECONDS: Final = 60.0
"""Longer than a call may take: nobody else makes it meanwhile."""
_FIRST_PAUSE: Final = 5.0
_AT_A_TIME: Final = 4
_LOOK_SECONDS: Final = 0.5
_LONGEST_URL: Final = 2_000
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PREFIX: Final = "whsec_"


def problem_of(url: str, webhooks: TaskWebhooks | None) -> str:
    """Why a URL is not called; empty where it is."""
    if webhooks is None:
        return "this application calls no webhooks: declare serving.queue.webhooks"
    allowed = f"those of {', '.join(webhooks.origins)} are called"
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return f"the webhook is no URL of at most {_LONGEST_URL} visible ASCII characters: {allowed}"
    try:
        parts = urlsplit(url)
        origin = (parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme))
    except ValueError:
        return f"the webhook {url!r} is no URL: {allowed}"
    if "@" in parts.netloc or parts.fragment:
        return f"a webhook has neither a user nor a fragment: {allowed}"
    if origin not in {_origin(each) for each in webhooks.origins}:
        return f"the webhook's origin is {parts.scheme}://{parts.netloc}: only {allowed}"
    return ""


def signature(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`; a secret that begins with `whsec_` is base64 behind that."""
    key = base64.b64decode(secret.removeprefix(_PREFIX)) if secret.startswith(_PREFIX) else secret.encode()
    digest = hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def payload(application: str, task: Task) -> bytes:
    """What is told: how the task ended, and with which answer or error."""
    told = {
        "type": f"task.{task.state.value}",
        "application": application,
        "id": task.id,
        "status": task.state.value,
        "version": task.answered_by or None,
        "attempts": task.attempts,
        "endedAt": task.ended_at,
    }
    if task.state is TaskState.FAILED:
        told["error"] = task.error
    head = json.dumps(told, separators=(",", ":")).encode()
    # The answer as it was given, to the byte.
    return head[:-1] + b',"result":' + task.answer + b"}" if task.state is TaskState.SUCCEEDED else head


class WebhookCaller:
    """Makes the calls that are due, in a thread."""

    def __init__(
        self,
        broker: TaskBroker,
        application: str,
        webhooks: TaskWebhooks,
        keys: Keyring | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`keys`: what answers that are sealed in the broker are opened with."""
        self._broker = broker
        self._application = application
        self._webhooks = webhooks
        self._keys = keys or Keyring(())
        self._client = httpx.Client(timeout=_CALL_SECONDS, follow_redirects=False, transport=transport)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Make the call that is under way, and no other."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_CALL_SECONDS)
        self._client.close()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                while not self._stop.is_set() and self.call_due():
                    pass
            except RetryableError as error:
                _log.warning("webhooks wait: %s", error)

    def call_due(self) -> int:
        """Make the calls that are due; how many they were."""
        due = self._broker.due_webhooks(_AT_A_TIME, _LEASE_SECONDS)
        for hook in due:
            note, done = self._called(hook)
            tries = hook.tries + 1
            again = None if done or tries >= self._webhooks.attempts else _FIRST_PAUSE * 2.0**hook.tries
            self._broker.note_webhook(hook.task.id, note, again)
        return len(due)

    def _called(self, hook: Webhook) -> tuple[str, bool]:
        """How a call went, and whether that is all."""
        task = hook.task
        if problem := problem_of(task.webhook, self._webhooks):
            return problem, True
        opened = replace(task, answer=self._keys.unseal(task.answer)[0])
        body, now = payload(self._application, opened), int(time.time())
        try:
            secret = read_text(self._webhooks.secret, task.webhook)
            headers = {
                "content-type": "application/json",
                "webhook-id": task.id,
                "webhook-timestamp": str(now),
                "webhook-signature": signature(secret, task.id, now, body),
            }
            status = self._client.post(task.webhook, content=body, headers=headers).status_code
        except (httpx.HTTPError, ValueError) as error:
            return f"no answer: {type(error).__name__}", False
        except (NoAccessError, RetryableError):
            _log.warning("the secret of webhooks cannot be read: see serving.queue.webhooks.secret")
            return "the secret that calls are signed with cannot be read", False
        return ("delivered", True) if 200 <= status < 300 else (f"answered {status}", False)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
