"""What a check of one's own is given, and what it may answer.

    def speaks_of_every_airport(candidate: Candidate) -> bool | float | Outcome:
        reply = candidate.ask({"origin": "JFK", ...})
        return reply.status == 200 and reply.json["late_probability"] < 0.9

It runs beside the traffic, in a process of its own with a copy of the candidate's code, and may take its time, at most the
check's `timeout_seconds`. What it prints goes nowhere but into the text of a failure.
"""

from __future__ import annotations

import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from heliostat.spec.analysis import Verdict
from heliostat.spec.rollouts import Version

__all__ = ["Body", "Candidate", "Outcome", "Reply", "Sample"]

REPLAY_HEADER: Final = "x-heliostat-replay"
"""Replicas neither log a request with it nor count it as a client's."""

Body = Mapping[str, Any] | Sequence[Any] | str | bytes
"""A request: what becomes JSON, or its text."""


@dataclass(frozen=True)
class Outcome:
    """What a check came to."""

    verdict: Verdict | None = None
    """None, or a pass: where the check has limits, they decide on the value."""
    value: float | None = None
    """The figure, of the candidate."""
    serving: float | None = None
    """The same of what serves, for people to compare."""
    rows: int = 0
    """What it was made of."""
    text: str = ""
    """Why, in a sentence."""


@dataclass(frozen=True)
class Reply:
    """An answer to a request."""

    status: int
    body: bytes
    milliseconds: float

    @cached_property
    def json(self) -> Any:
        """The body's JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)


@dataclass(frozen=True)
class Sample:
    """A request that was sent to both versions, and what they answered."""

    request_id: str
    request: bytes
    candidate: Reply
    serving: Reply | None
    """None: nothing serves."""


@dataclass(frozen=True)
class Candidate:
    """The new version, and what serves, for a check to look at."""

    application: str
    version: Version
    urls: tuple[str, ...]
    """Of its replicas, up to their prefix: `/predict`, `/healthz` and `/openapi.json` are below."""
    serving: Version | None
    """None: nothing serves."""
    serving_urls: tuple[str, ...]
    samples: tuple[Sample, ...]
    """The last requests that were compared."""
    _turns: Any = field(default_factory=itertools.count, repr=False, compare=False)

    @property
    def url(self) -> str:
        """Of one replica."""
        return self.urls[0]

    def ask(self, body: Body, timeout_seconds: float = 30.0) -> Reply:
        """The candidate's answer to a prediction request; its replicas take turns.

        Raises:
            OSError: it did not answer.
        """
        return _ask(self.urls[next(self._turns) % len(self.urls)], body, timeout_seconds)

    def ask_serving(self, body: Body, timeout_seconds: float = 30.0) -> Reply:
        """The same of what serves.

        Raises:
            LookupError: nothing serves.
            OSError: it did not answer.
        """
        if not self.serving_urls:
            raise LookupError(f"no version of {self.application} serves beside the candidate: there is nothing to ask")
        return _ask(self.serving_urls[next(self._turns) % len(self.serving_urls)], body, timeout_seconds)


def _ask(url: str, body: Body, timeout: float) -> Reply:
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"content-type": "application/json", REPLAY_HEADER: "1"}
    request = urllib.request.Request(f"{url}/predict", data, headers)  # noqa: S310 - the controller's own URL
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, content = error.code, error.read()
    return Reply(status, content, (time.perf_counter() - began) * 1000)
