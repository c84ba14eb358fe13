"""Asks an application as its clients do: over HTTP, or by a call where it answers predictions by calls alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from heliostat.spec.workload import Interface

_SECONDS: Final = 30.0
_VERSION: Final = "x-heliostat-version"


def ask(name: str, outputs: Mapping[str, Any], request: Any, *, by_calls: bool) -> httpx.Response:
    """The answer of an application whose stack has these outputs of it; `request` is None for its contract's own example.

    Raises:
        httpx.HTTPError: nothing answers.
        ValueError: it is asked by a call, and with something else than a request of the Open Inference Protocol.
        RetryableError, PermanentError: the call fails.
    """
    if request is None:
        openapi = httpx.get(outputs["openapiUrl"], timeout=_SECONDS).raise_for_status().json()
        request = _example(name, openapi, "/infer" if by_calls else "/predict")
    if not by_calls:
        return httpx.post(f"{outputs['url']}/predict", json=request, timeout=_SECONDS)
    return _called(name, str(outputs["url"]), request)


def answers_by_calls(name: str, exported: Mapping[str, Any]) -> bool:
    """Whether the application of a name answers predictions by calls alone, as an exported state has it."""
    resources = (exported.get("deployment") or {}).get("resources") or []
    applications = [one for one in resources if one["type"] == "heliostat:index:Application" and not one.get("delete")]
    found = [one for one in applications if (one.get("outputs") or {}).get("name") == name]
    return any(one["inputs"].get("interface") == Interface.GRPC for one in found)


def _called(name: str, url: str, request: Any) -> httpx.Response:
    from heliostat.serving.grpc.client import called  # which reads definitions of Protocol Buffers

    if not isinstance(request, Mapping) or "inputs" not in request:
        raise ValueError(
            f"{name} answers calls alone: ask it by the Open Inference Protocol, with {{'inputs': [...]}}, and not with "
            f"{json.dumps(request)[:100]}"
        )
    answer, version = called(urlsplit(url).netloc, name, request, _VERSION)
    return httpx.Response(200, json=answer, headers={_VERSION: version})


def _example(name: str, openapi: Mapping[str, Any], end: str) -> Any:
    """The request that a contract gives for an example."""
    path = next(path for path in openapi["paths"] if path.endswith(end))
    content = openapi["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    if "example" in content:
        return content["example"]
    if "examples" not in content:
        raise ValueError(f"the contract of {name} has no example for {path}: give a request")
    return next(iter(content["examples"].values()))["value"]
