"""A Ray cluster's version and its nodes with what they have, from Ray's dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from heliostat.spec.addresses import RayAddress
from heliostat.spec.groups import TPU, group_in
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import open_client, reason

_PATH = "/api/v0/nodes?detail=1&limit=10000"
_SECONDS = 5.0


@dataclass(frozen=True)
class NodeTotals:
    """A node that is alive, with the logical resources that it was started with."""

    node_id: str
    name: str
    cpus: float
    gpus: float
    tpus: float = 0.0
    """Chips."""
    group: str = ""
    """The group of a platform that it is of; empty where it is of none."""


async def read_nodes(address: RayAddress, transport: httpx.AsyncBaseTransport | None = None) -> tuple[NodeTotals, ...]:
    """The nodes that are alive.

    Raises:
        RetryableError: the cluster does not answer, or not as this version of Ray does.
        PermanentError: its credential cannot be had here, or it refuses it.
    """
    try:
        async with open_client(address, _SECONDS, transport) as client:
            return parse((await _answer(client, _PATH)).json())
    except httpx.HTTPError as error:
        raise RetryableError(f"Ray at {address.url} does not say which nodes it has: {reason(error)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RetryableError(f"Ray at {address.url} says in an unknown way which nodes it has: {error!r}") from None


async def read_version(address: RayAddress, transport: httpx.AsyncBaseTransport | None = None) -> str:
    """Read the version of the Ray that runs; empty where it does not say.

    Raises:
        RetryableError: the cluster does not answer.
        PermanentError: its credential cannot be had here, or it refuses it.
    """
    try:
        async with open_client(address, _SECONDS, transport) as client:
            found = (await _answer(client, "/api/version")).json()
    except httpx.HTTPError as error:
        raise RetryableError(f"Ray at {address.url} does not answer: {reason(error)}") from None
    return str(found.get("ray_version", "")) if isinstance(found, dict) else ""


async def _answer(client: httpx.AsyncClient, path: str) -> httpx.Response:
    answer = await client.get(path)
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise PermanentError(f"Ray at {client.base_url} refuses the token ({answer.status_code}): it is another cluster's")
    return answer.raise_for_status()


def parse(body: dict[str, Any]) -> tuple[NodeTotals, ...]:
    """The state API's account of the nodes, as far as we need it."""
    found = [node for node in body["data"]["result"]["result"] if node["state"] == "ALIVE"]
    return tuple(
        NodeTotals(
            node_id=node["node_id"],
            name=node["node_name"] or node["node_ip"],
            cpus=float(node["resources_total"].get("CPU", 0)),
            gpus=float(node["resources_total"].get("GPU", 0)),
            tpus=float(node["resources_total"].get(TPU, 0)),
            group=group_in(node["resources_total"]),
        )
        for node in found
    )
