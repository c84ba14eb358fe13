"""Asks applications for a prediction, each with the example of its own contract."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from heliostat.cli.operators.deployed import APPLICATION
from heliostat.spec.workload import Interface
from heliostat.systems.errors import PermanentError, RetryableError

PAUSE_SECONDS = 0.5
VERSION_HEADER = "x-heliostat-version"


@dataclass(frozen=True)
class Served:
    """An application as the state knows it."""

    name: str
    url: str
    openapi_url: str
    start_seconds: float
    """How long its start may take, as it was declared."""
    by_calls: bool = False
    """Whether it answers predictions over gRPC alone."""


@dataclass(frozen=True)
class Prediction:
    """A question and the answer to it."""

    application: str
    url: str
    asked: Any
    answered: str
    """JSON, as it came."""
    version: str


def applications(resources: Sequence[Mapping[str, Any]]) -> list[Served]:
    """The applications among a stack's resources, as its state holds them."""
    found = [one for one in resources if one["type"] == APPLICATION and not one.get("delete")]
    given = [(dict(one.get("inputs") or {}), dict(one.get("outputs") or {})) for one in found]
    return [
        Served(
            str(outputs["name"]),
            str(outputs["url"]),
            str(outputs.get("openapiUrl") or f"{outputs['url']}/openapi.json"),
            float(inputs.get("startupTimeoutSeconds", 0)),
            inputs.get("interface") == Interface.GRPC,
        )
        for inputs, outputs in given
        if outputs.get("name") and outputs.get("url")
    ]


def ask(client: httpx.Client, served: Served, waiting: Callable[[], None]) -> Prediction:
    """The answer of an application; one that is starting, as on a cluster that was just made anew, is waited for.

    `waiting` is called once where that takes time.

    Raises:
        RetryableError: it does not answer in the time that its start may take.
    """
    began, told = time.monotonic(), False
    while True:
        try:
            return _asked(client, served)
        except (httpx.HTTPError, RetryableError) as error:
            waited = time.monotonic() - began
            if not _is_starting(error) or waited > served.start_seconds:
                raise RetryableError(f"{served.name} does not answer after {waited:.0f} s: {error}") from error
        if not told:
            waiting()
            told = True
        time.sleep(PAUSE_SECONDS)


def _asked(client: httpx.Client, served: Served) -> Prediction:
    openapi = client.get(served.openapi_url).raise_for_status().json()
    if served.by_calls:
        return _called(served, openapi)
    path = next(path for path in openapi["paths"] if path.endswith("/predict"))
    request = _example(openapi, path)
    answer = client.post(f"{served.url}/predict", json=request).raise_for_status()
    return Prediction(served.name, served.url, request, answer.text, answer.headers.get(VERSION_HEADER, ""))


def _called(served: Served, openapi: Mapping[str, Any]) -> Prediction:
    from heliostat.serving.grpc.client import called

    path = next(path for path in openapi["paths"] if path.endswith("/infer"))
    content = openapi["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    if "example" not in content:
        raise PermanentError(
            f"{served.name} answers calls alone, and its example is more than a row of elements: use a client"
        )
    asked = content["example"]
    answered, version = called(urlsplit(served.url).netloc, served.name, asked, VERSION_HEADER)
    return Prediction(served.name, served.url, asked, json.dumps(answered), version)


def _example(openapi: Mapping[str, Any], path: str) -> Any:
    """The example request of a path's POST, from the contract."""
    content = openapi["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return content["example"] if "example" in content else next(iter(content["examples"].values()))["value"]


def _is_starting(error: httpx.HTTPError | RetryableError) -> bool:
    """Whether the error is that of an application which has no replica yet, or of a traffic plane that just starts."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE
    return isinstance(error, httpx.TransportError | RetryableError)
