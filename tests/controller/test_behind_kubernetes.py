"""A controller that runs inside of a Kubernetes cluster is spoken to through the cluster's API server."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import uvicorn
from api_server import ApiServer, api_server
from fake_cluster import TOKEN, FakeCluster

from heliostat.spec.addresses import ControllerAddress, KubernetesProxy, KubernetesSecret
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import PermanentError

__all__ = ["api_server"]


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    return FakeCluster(tmp_path)


async def test_its_own_token_comes_from_a_secret_and_goes_past_the_api_server(
    api_server: ApiServer, cluster: FakeCluster
) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(cluster.app, log_level="warning"))
    serving = asyncio.create_task(server.serve([listening]))
    try:
        api_server.services["ml", "heliostat", 9000] = f"http://127.0.0.1:{listening.getsockname()[1]}"
        api_server.secrets["ml", "heliostat"] = {"token": TOKEN}
        config = str(api_server.kubeconfig({"token": "ada-token"}))
        address = ControllerAddress(
            url="http://heliostat.ml.svc:9000",
            credential=KubernetesSecret(namespace="ml", name="heliostat", key="token", kubeconfig=config),
            proxy=KubernetesProxy(kubeconfig=config),
        )
        async with ControllerClient(address) as client:
            assert (await client.health()).public_url == "http://public"
            assert await client.list() == ()
            assert await client.read("flights") is None
            await client.delete("flights")
        api_server.secrets["ml", "heliostat"] = {"token": "another"}
        other = address.model_copy(update={"credential": address.credential.model_copy(update={"context": "test"})})
        with pytest.raises(PermanentError, match=r"the controller refused it \(401\): the token is missing or wrong"):
            async with ControllerClient(other) as client:
                await client.health()
    finally:
        server.should_exit = True
        await serving
