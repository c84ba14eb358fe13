"""Sends alarms: HTTP for webhooks and Slack, SMTP for mails. A secret is read when it is sent, and stands in no error."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final

import httpx
from pydantic_core import to_json

from heliostat.spec.addresses import HttpAddress
from heliostat.spec.notifications import Email, Slack, Webhook
from heliostat.systems.credentials import read_pair, read_text
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import open_sync_client
from heliostat.systems.loopback import is_loopback

_SECONDS: Final = 10.0
_AGAIN: Final = (408, 425, 429)
"""Beside 5xx: later it may be taken."""


def post(sink: Webhook | Slack, identifier: str, body: Mapping[str, Any]) -> None:
    """Post a notification as JSON; its id is in the header `Idempotency-Key` too.

    Raises:
        RetryableError: nobody answers, or says that it is not the time.
        PermanentError: it is refused, or its secret is not to be had here.
    """
    where = f"the sink {sink.name}"
    headers = {"content-type": "application/json", "idempotency-key": identifier}
    try:
        with _client(sink, where) as client:
            answer = client.post(client.base_url, content=to_json(body), headers=headers, follow_redirects=False)
    except httpx.HTTPError as error:
        # Its text may have the URL, which of Slack's is the secret.
        raise RetryableError(f"{where} does not answer within {_SECONDS:g} s: {type(error).__name__}") from None
    if answer.is_success:
        return
    kind = RetryableError if answer.status_code in _AGAIN or answer.is_server_error else PermanentError
    raise kind(
        f"{where} answered {answer.status_code}" + ("" if kind is RetryableError else ": mend its url or its credential")
    )


def _client(sink: Webhook | Slack, where: str) -> httpx.Client:
    if isinstance(sink, Webhook):
        return open_sync_client(HttpAddress(url=sink.url, credential=sink.credential), _SECONDS)
    url = read_text(sink.url, where)
    if not url.startswith(("https://", "http://")):
        raise PermanentError(f"{where}: what its secret holds is no URL that begins with https://")
    try:
        return httpx.Client(base_url=url, timeout=_SECONDS, trust_env=not is_loopback(url))
    except (httpx.InvalidURL, ValueError):
        raise PermanentError(f"{where}: what its secret holds is no URL") from None


def mail(sink: Email, identifier: str, subject: str, text: str) -> None:
    """Send a mail; the same id makes the same Message-ID, by which readers know it again.

    Raises:
        RetryableError: the server does not answer, or says that it is not the time.
        PermanentError: it refuses, or its credential is not to be had here.
    """
    where = f"the sink {sink.name} ({sink.host}:{sink.port})"
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sink.sender, ", ".join(sink.to), subject
    message["Message-ID"] = f"<{_message_id(identifier)}@heliostat.invalid>"
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    pair = read_pair(sink.credential, where) if sink.credential is not None else None
    try:
        with _server(sink) as server:
            if pair is not None:
                server.login(*pair)
            refused = server.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        raise PermanentError(f"{where} refuses the account ({error.smtp_code}): mend its credential") from None
    except smtplib.SMTPRecipientsRefused as error:
        _refuse(where, {name: code for name, (code, _) in error.recipients.items()})
    except smtplib.SMTPResponseException as error:
        kind = RetryableError if error.smtp_code < 500 else PermanentError
        raise kind(f"{where} answered {error.smtp_code}") from None
    except smtplib.SMTPNotSupportedError as error:
        raise PermanentError(f"{where}: {error}; choose another `security`, or leave out `credential`") from None
    except (OSError, smtplib.SMTPException) as error:
        raise RetryableError(f"{where} cannot be reached: {type(error).__name__}") from None
    else:
        if refused:  # others got it: sending it again would send it to them twice
            raise PermanentError(f"{where} sent it, and not to {', '.join(sorted(refused))}: mend `to`")


def _message_id(identifier: str) -> str:
    """An id as headers take it: what is not in ASCII, as a column may be called, is told apart by a digest."""
    safe = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in identifier)
    return safe if identifier.isascii() else f"{safe}-{hashlib.sha256(identifier.encode()).hexdigest()[:16]}"


def _refuse(where: str, codes: Mapping[str, int]) -> None:
    text = f"{where} takes nothing for {', '.join(f'{name} ({code})' for name, code in sorted(codes.items()))}"
    if any(code < 500 for code in codes.values()):
        raise RetryableError(text) from None
    raise PermanentError(f"{text}: mend `to`") from None


def _server(sink: Email) -> smtplib.SMTP:
    if sink.security == "tls":
        return smtplib.SMTP_SSL(sink.host, sink.port, timeout=_SECONDS, context=ssl.create_default_context())
    server = smtplib.SMTP(sink.host, sink.port, timeout=_SECONDS)
    if sink.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
