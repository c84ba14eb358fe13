"""What replicas wrote: Serve keeps what each prints and logs in a file of its node, which Ray's dashboard gives out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from heliostat.spec.addresses import RayAddress
from heliostat.systems.errors import RetryableError
from heliostat.systems.http import open_client, reason, timeout_of

_APPLICATIONS = "/api/serve/applications/"
_NODES = "/api/v0/nodes?limit=10000"
_FOLDER = "serve/"
_SECONDS = 30.0
_CHUNK_MARK = b"1"
"""Ray puts this before each chunk of a log, and a 0 before what went wrong."""


@dataclass(frozen=True)
class LogFile:
    """The log of one replica."""

    replica: str
    """`<application>-<colour>_model_<id>`"""
    node_id: str
    name: str
    """On its node, below the logs' folder."""
    runs: bool
    """Whether the replica still does."""


class RayLogs:
    """The logs of one cluster. Use as an async context manager; every call raises RetryableError where Ray does not answer."""

    def __init__(self, address: RayAddress, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._address = address
        self._client = open_client(address, _SECONDS, transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def files(self, application: str) -> list[LogFile]:
        """The logs of an application's replicas on the nodes that are there, those of replicas that ended first."""
        serve, nodes = await asyncio.gather(self._json(_APPLICATIONS), self._json(_NODES))
        alive = [node["node_id"] for node in nodes["data"]["result"]["result"] if node["state"] == "ALIVE"]
        glob = f"{_FOLDER}replica_{application}-*.log"
        listed = await asyncio.gather(*(self._json(f"/api/v0/logs?node_id={node}&glob={glob}") for node in alive))
        running = running_logs(serve)
        found = dict[str, LogFile]()
        for node_id, answer in zip(alive, listed, strict=True):
            for name in (each for names in answer["data"]["result"].values() for each in names):
                own = running.get(name, node_id)
                # Nodes of one machine list the same folder.
                if replica := replica_of(name, application):
                    found.setdefault(name, LogFile(replica, own, name, name in running))
        return sorted(found.values(), key=lambda each: (each.runs, each.name))

    async def tail(self, file: LogFile, lines: int) -> str:
        """The last lines of a log."""
        query = {"node_id": file.node_id, "filename": file.name, "lines": lines}
        return without_marks((await self._get("/api/v0/logs/file", query)).content)

    async def follow(self, file: LogFile, lines: int) -> AsyncIterator[str]:
        """The last lines of a log, and each further one as it is written."""
        query = {"node_id": file.node_id, "filename": file.name, "lines": str(lines), "interval": "0.5"}
        rest = ""
        try:
            timeout = timeout_of(self._address, None)
            async with self._client.stream("GET", "/api/v0/logs/stream", params=query, timeout=timeout) as answer:
                answer.raise_for_status()
                async for chunk in answer.aiter_bytes():
                    *whole, rest = (rest + without_marks(chunk)).split("\n")
                    for line in whole:
                        yield line
        except httpx.HTTPError as error:
            raise self._away(error) from None

    async def _json(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self._get(path)).json()
        return found

    async def _get(self, path: str, query: dict[str, Any] | None = None) -> httpx.Response:
        try:
            return (await self._client.get(path, params=query)).raise_for_status()
        except httpx.HTTPError as error:
            raise self._away(error) from None

    def _away(self, error: httpx.HTTPError) -> RetryableError:
        return RetryableError(f"Ray at {self._address.url} gives no logs: {reason(error)}")


def running_logs(serve: dict[str, Any]) -> dict[str, str]:
    """The node of each log that a running replica writes, by the log's name."""
    deployments = [each for found in serve.get("applications", {}).values() for each in found.get("deployments", {}).values()]
    replicas = [replica for each in deployments for replica in each.get("replicas", [])]
    return {replica["log_file_path"].lstrip("/"): replica["node_id"] for replica in replicas if replica.get("log_file_path")}


def replica_of(name: str, application: str) -> str | None:
    """The replica that wrote the log `name`; None where that is another application's, whose name begins alike."""
    replica = Path(name).stem.removeprefix("replica_")
    colour = replica.removeprefix(f"{application}-").partition("_")[0]
    return replica if colour in ("blue", "green") else None


def without_marks(content: bytes) -> str:
    """A log's text, without the mark that Ray puts before it and the line's end that Serve adds to that of a `print`."""
    return content.removeprefix(_CHUNK_MARK).decode(errors="replace").replace("\n\n", "\n")
