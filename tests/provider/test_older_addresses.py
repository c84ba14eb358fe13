"""A state that holds addresses as 0.1 wrote them first is no reason to change anything."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_process import struct, urn_of
from pulumi.runtime.proto import provider_pb2 as pb
from test_provider_protocol import plugin

__all__ = ["plugin"]

RAY, API = "http://127.0.0.1:8265", "http://127.0.0.1:9000"
CODE = {"root": "/checkout", "files": ["workloads/a.py"], "digest": "a" * 64}
STORE = {"uri": "file:///objects"}
COMMON = {"name": "flights", "code": CODE, "store": STORE, "trackingUri": "http://mlflow"}
DATA = {"uri": "file:///objects/d", "digest": "d" * 64}


def older(url: str) -> dict[str, Any]:
    return {"url": url, "tokenFile": "/t"}


def newer(url: str, path: str = "/t") -> dict[str, Any]:
    return {"url": url, "credential": {"kind": "file", "path": path}}


def declared(kind: str, address: Any) -> dict[str, Any]:
    match kind:
        case "TrainJob":
            return {**COMMON, "entryPoint": "workloads.a:train", "dataset": DATA, "ray": address(RAY)}
        case "ModelVersion":
            named = {"application": "flights", "pin": "models:/flights/1", "entryPoint": "workloads.a:P", "dataset": DATA}
            return {**COMMON, **named, "ray": address(RAY), "controller": address(API)}
        case "Application":
            named = {"contract": "workloads.a:C", "modelUri": "models:/flights/1", "strategy": {"kind": "recreate"}}
            return {**COMMON, **named, "controller": address(API)}
    return {"directory": "/data/controller", "ray": address(RAY), "store": STORE, "trackingUri": "http://mlflow"}


async def differs(plugin: Any, kind: str, address: Any) -> Any:
    """What an update finds where the state is older than the program."""
    before = declared(kind, older)
    about = {"urn": urn_of(kind), "id": "it", "old_inputs": struct(before), "olds": struct({**before, "address": older(API)})}
    return await plugin.stub.Diff(pb.DiffRequest(**about, news=struct(declared(kind, address))))


@pytest.mark.parametrize("kind", ["TrainJob", "ModelVersion", "Application", "Controller"])
async def test_an_address_that_is_only_written_otherwise_changes_nothing(plugin: Any, kind: str) -> None:
    found = await differs(plugin, kind, newer)
    assert (found.changes, dict(found.detailedDiff)) == (pb.DiffResponse.DIFF_NONE, {})


@pytest.mark.parametrize("kind", ["TrainJob", "ModelVersion", "Application", "Controller"])
async def test_another_way_to_mlflow_is_a_change_so_that_the_state_knows_it(plugin: Any, kind: str) -> None:
    before = declared(kind, newer)
    now = {**before, "trackingAccess": {"proxy": {"kind": "kubernetes", "context": "prod"}}}
    about = {"urn": urn_of(kind), "id": "it", "old_inputs": struct(before), "olds": struct({**before, "address": newer(API)})}
    found = await plugin.stub.Diff(pb.DiffRequest(**about, news=struct(now)))
    assert (list(found.detailedDiff), list(found.replaces)) == (["trackingAccess"], [])


@pytest.mark.parametrize("kind", ["Application", "Controller"])
async def test_another_token_is_a_change_all_the_same(plugin: Any, kind: str) -> None:
    found = await differs(plugin, kind, lambda url: newer(url, "/other"))
    assert found.changes == pb.DiffResponse.DIFF_SOME
    assert all(path.endswith("credential.path") for path in found.detailedDiff)
