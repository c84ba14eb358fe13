"""The nodes of a Ray cluster with what they have, from the state API of Ray's dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from heliostat.spec.resources import RayAddress
from heliostat.systems.authorities import authorities
from heliostat.systems.errors import RetryableError

_PATH = "/api/v0/nodes?detail=1&limit=10000"
_SECONDS = 5.0


@dataclass(frozen=True)
class NodeTotals:
    """A node that is alive, with the logical resources that it was started with."""

    node_id: str
    name: str
    cpus: float
    gpus: float


async def read_nodes(address: RayAddress, transport: httpx.AsyncBaseTransport | None = None) -> tuple[NodeTotals, ...]:
    """The nodes that are alive.

    Raises:
        RetryableError: the cluster does not answer, or not as this version of Ray does.
    """
    try:
        headers = _headers(address)
        timeout = httpx.Timeout(_SECONDS, connect=2.0)
        async with httpx.AsyncClient(
            base_url=address.url, timeout=timeout, transport=transport, verify=authorities(address.url)
        ) as client:
            answer = (await client.get(_PATH, headers=headers)).raise_for_status()
        return parse(answer.json())
    except OSError as error:
        raise RetryableError(f"the cluster's token {address.token_file} cannot be read: {error.strerror}") from None
    except httpx.HTTPError as error:
        detail = str(error) or type(error).__name__
        raise RetryableError(f"Ray at {address.url} does not say which nodes it has: {detail}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RetryableError(f"Ray at {address.url} says in an unknown way which nodes it has: {error!r}") from None


def _headers(address: RayAddress) -> dict[str, str]:
    if address.token_file is None:
        return {}
    return {"Authorization": f"Bearer {Path(address.token_file).read_text().strip()}"}


def parse(body: dict[str, Any]) -> tuple[NodeTotals, ...]:
    """The state API's account of the nodes, as far as we need it."""
    found = [node for node in body["data"]["result"]["result"] if node["state"] == "ALIVE"]
    return tuple(
        NodeTotals(
            node_id=node["node_id"],
            name=node["node_name"] or node["node_ip"],
            cpus=float(node["resources_total"].get("CPU", 0)),
            gpus=float(node["resources_total"].get("GPU", 0)),
        )
        for node in found
    )
