"""A Ray cluster as processes of this machine: one head and worker nodes, all on loopback, with token authentication.

Only the gRPC port through which Serve's replicas talk to each other listens on all addresses; Ray has no setting for it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from heliostat.spec.addresses import RayAddress, TokenFile
from heliostat.spec.controller import DRAIN_SECONDS
from heliostat.spec.platform_resources import RayClusterInputs
from heliostat.systems import ports, processes, serve_proxies
from heliostat.systems.errors import PermanentError, RetryableError, explained
from heliostat.systems.http import open_client
from heliostat.systems.storage.elsewhere import client_variables

HOST = "127.0.0.1"
HEAD = "head"
START_SECONDS = 180.0
"""How long a node may take to start: importing Ray on a busy machine takes most of it."""
_REPLICA_PORTS = 200
_NODE_PORTS = (
    *("object-manager", "node-manager", "dashboard-agent-listen", "dashboard-agent-grpc"),
    *("runtime-env-agent", "metrics-export"),
)
_NODE = (sys.executable, "-m", "heliostat.systems.ray_node")
_SOCKET_PATH_LIMIT = 107
_LONGEST_SOCKET = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.4194304")
_LOOK_SECONDS = 0.25
_CALL_SECONDS = 10.0
_ATTEMPTS = 3
_TOO_SLOW = "timed out during startup"
"""What `ray start` says when a node is not up 30 s after its raylet began, which a busy machine can cause alone."""

Say = Callable[[str], None]


async def _patiently(start: Callable[[int], Awaitable[None]], say: Say) -> None:
    """Start nodes, and again where the machine was too busy; `start` is told the number of the attempt."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            await start(attempt)
        except PermanentError as error:
            if _TOO_SLOW not in str(error) or attempt == _ATTEMPTS:
                raise
            say(f"the machine was too busy for Ray's own time limits; starting it again ({attempt + 1} of {_ATTEMPTS})")
        else:
            return


@dataclass(frozen=True)
class LocalCluster:
    """The processes of one cluster, by its data folder."""

    directory: Path

    @property
    def address(self) -> RayAddress:
        """The dashboard with the Jobs API and Serve's REST API."""
        url = f"http://{HOST}:{ports.known(self.directory, 'dashboard')}"
        return RayAddress(url=url, credential=TokenFile(path=str(self._token)))

    @property
    def gcs_address(self) -> str:
        """For `ray.init`."""
        return f"{HOST}:{ports.known(self.directory, HEAD)}"

    @property
    def session(self) -> str:
        """Ray's name for this run of the head; empty before the first."""
        try:
            return (self._temporary / "session_latest").readlink().name
        except OSError:
            return ""

    @property
    def head_runs(self) -> bool:
        """Whether the head does; `ray start --block` ends as soon as any part of its node does."""
        return processes.find(self.directory, HEAD) is not None

    def workers(self) -> list[str]:
        """Names of the worker nodes that run, in order."""
        found = (re.fullmatch(r"(worker-\d+)\.pid\.json", path.name) for path in self.directory.glob("worker-*.pid.json"))
        names = [match[1] for match in found if match and processes.find(self.directory, match[1])]
        return sorted(names, key=lambda name: int(name.partition("-")[2]))

    async def start(self, inputs: RayClusterInputs, say: Say) -> None:
        """Bring up what is missing of the cluster, and wait until it works.

        Raises:
            PermanentError: a node ended while it started, or a port is taken.
            RetryableError: it did not work in time.
        """
        await asyncio.to_thread(self._prepare, inputs)
        head = await asyncio.to_thread(self._head, inputs)
        # Where the machine is too busy for that, one after the other.
        await _patiently(lambda attempt: self._start_head(head, inputs if attempt == 1 else None, say), say)
        await self.scale(inputs, say)

    async def _start_head(self, head: processes.Service, beside: RayClusterInputs | None, say: Say) -> None:
        """Start the head where it does not run, and the workers of `beside` while it starts."""
        if processes.is_as(head):
            await self._until([HEAD], self._works, "its dashboard answers")
            return
        # Workers of an earlier head never join this one.
        await self.halt()
        say("starting the Ray head")
        await asyncio.to_thread(processes.start, head)
        workers = asyncio.create_task(self._start_beside(beside, say)) if beside is not None else None
        try:
            await self._until([HEAD], self._works, "its dashboard answers")
            if workers is not None:
                await workers
        finally:
            if workers is not None:
                workers.cancel()

    async def _start_beside(self, inputs: RayClusterInputs, say: Say) -> None:
        """Start the workers as soon as the head's store listens: its dashboard takes far longer, and they do without."""
        while not await self._store_listens():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(_LOOK_SECONDS / 5)
        for name, service in (await self._services(inputs)).items():
            say(f"starting Ray {name}")
            await asyncio.to_thread(processes.start, service)

    async def scale(self, inputs: RayClusterInputs, say: Say) -> None:
        """Have just the worker nodes of `inputs`; the head is not touched."""
        await _patiently(lambda _: self._scale(inputs, say), say)

    async def _scale(self, inputs: RayClusterInputs, say: Say) -> None:
        services = await self._services(inputs)
        superfluous = [n for n in self.workers() if n not in services or not processes.is_as(services[n])]
        await self._stop_nodes(superfluous)
        for name in set(superfluous) - services.keys():
            processes.forget(self.directory, name)
        before, missing = await self._alive_workers(), [name for name, each in services.items() if not processes.is_as(each)]
        for name in missing:
            say(f"starting Ray {name}")
            await asyncio.to_thread(processes.start, services[name])

        async def all_joined() -> bool:
            alive = await self._alive_workers()
            # Also those that an earlier attempt started and did not see join; one that was killed seems alive for a while.
            return len(alive) >= len(services) and len(alive - before) >= len(missing)

        if services:
            await self._until(list(services), all_joined, "the head sees all workers")

    async def _services(self, inputs: RayClusterInputs) -> dict[str, processes.Service]:
        names = [f"worker-{number}" for number in range(1, inputs.workers.count + 1)]
        return {name: await asyncio.to_thread(self._worker, name, inputs) for name in names}

    async def _store_listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, ports.known(self.directory, HEAD))
        except OSError:
            return False
        writer.close()
        return True

    async def stop(self) -> None:
        """End every process of the cluster, Serve's applications in order first where they answer; remove what it left."""
        await self._stop_applications()
        names = self._names()
        await self.halt()
        for name in names:
            processes.forget(self.directory, name)
        await asyncio.to_thread(shutil.rmtree, processes.runtime_directory(self.directory), ignore_errors=True)
        for leftover in (self._token, self.directory / "logs"):
            leftover.unlink(missing_ok=True)
        ports.release(self.directory)

    async def halt(self) -> None:
        """End every process of the cluster at once; its ports and its token stay."""
        await self._stop_nodes(self._names())

    def _names(self) -> list[str]:
        found = {path.name.removesuffix(".pid.json") for path in self.directory.glob("*.pid.json")}
        return [*sorted(found - {HEAD}), HEAD]

    @property
    def _token(self) -> Path:
        return self.directory / "token"

    @property
    def _temporary(self) -> Path:
        return processes.runtime_directory(self.directory) / "r"

    def _prepare(self, inputs: RayClusterInputs) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if not self._token.exists() or not self._token.read_text().strip():
                processes.write_private(self._token, secrets.token_hex(32))
            logs = self.directory / "logs"
            target = self._temporary / "session_latest" / "logs"
            if not logs.is_symlink() or logs.readlink() != target:
                logs.unlink(missing_ok=True)
                logs.symlink_to(target)
        except OSError as error:
            raise explained(error, f"prepare the Ray cluster's folder {self.directory}") from error
        room = _SOCKET_PATH_LIMIT - _LONGEST_SOCKET
        if len(str(self._temporary)) > room:
            raise PermanentError(
                f"the runtime folder {self._temporary} is too long for Ray's sockets ({len(str(self._temporary))} characters, "
                f"at most {room}); name a shorter one in HELIOSTAT_RUNTIME_DIR"
            )
        ports.claim(self.directory, "dashboard", inputs.dashboard_port)

    def _head(self, inputs: RayClusterInputs) -> processes.Service:
        first = ports.claim(self.directory, HEAD, count=7)
        dashboard = ports.known(self.directory, "dashboard")
        arguments = [
            *("--head", "--port", str(first), "--temp-dir", str(self._temporary)),
            *("--include-dashboard", "true", "--dashboard-host", HOST, "--dashboard-port", str(dashboard)),
            # Ray's autoscaler has nothing to do here, and its monitor takes 55 MB.
            "--no-monitor",
            *self._common(first + 1, inputs.head.cpus, inputs.object_store_mib),
        ]
        return processes.Service(self.directory, HEAD, (*_NODE, *arguments), self._environment(inputs))

    def _worker(self, name: str, inputs: RayClusterInputs) -> processes.Service:
        first = ports.claim(self.directory, name, count=6)
        # The head's log monitor reads the logs of all nodes: they are in one folder.
        arguments = ["--address", self.gcs_address, "--include-log-monitor", "false"]
        arguments += self._common(first, inputs.workers.cpus, inputs.object_store_mib)
        return processes.Service(self.directory, name, (*_NODE, *arguments), self._environment(inputs))

    def _common(self, first: int, cpus: int, object_store_mib: int) -> list[str]:
        numbered = [part for number, name in enumerate(_NODE_PORTS) for part in (f"--{name}-port", str(first + number))]
        return [
            *("--block", "--disable-usage-stats", "--log-style", "record", "--log-color", "false", "--node-ip-address", HOST),
            # Workers take what the kernel gives them.
            *(*numbered, "--min-worker-port", "0", "--max-worker-port", "0"),
            *("--num-cpus", str(cpus), "--object-store-memory", str(object_store_mib << 20)),
        ]

    def _environment(self, inputs: RayClusterInputs) -> Mapping[str, str]:
        replicas = ports.claim(self.directory, "replicas", count=_REPLICA_PORTS)
        return {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps Ray on loopback; see ray_node
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self._token),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Ray sets its workers to 15 once they are up: replicas that serve would give way to those that start.
            "RAY_worker_niceness": "0",
            # Jobs and replicas need workers with their code packages: those that Ray starts beforehand idle, 43 MiB each.
            "RAY_prestart_worker_first_driver": "0",
            "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
            "RAY_SERVE_CONTROLLER_CALLBACK_IMPORT_PATH": serve_proxies.START_NONE,
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            # That keeps up to a thousand lines of what a replica prints in its memory, where nobody can read them.
            "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(DRAIN_SECONDS),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(replicas),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(replicas + _REPLICA_PORTS - 1),
            # Ray names its processes by overwriting their environment, which holds the mark of the service.
            "SPT_NOENV": "1",
            **({"AWS_ENDPOINT_URL_S3": inputs.s3_endpoint} if inputs.s3_endpoint else {}),
            **({"AWS_DEFAULT_REGION": inputs.s3_region} if inputs.s3_region else {}),
            **client_variables(inputs.google_storage_endpoint),
        }

    async def _stop_nodes(self, names: list[str]) -> None:
        # Ray's own way takes 30 s and loses as much: nothing of a node outlives it.
        await asyncio.gather(*(processes.stop(self.directory, name, grace_seconds=0) for name in names))

    async def _stop_applications(self) -> None:
        if not self.head_runs:
            return
        try:
            async with open_client(self.address, _CALL_SECONDS) as client:
                found = (await client.get("/api/serve/applications/")).json()
                if found.get("applications"):
                    await client.delete("/api/serve/applications/", timeout=DRAIN_SECONDS + 6)
        except (httpx.HTTPError, ValueError, RetryableError):
            return  # it is stopped all the same

    async def _until(self, names: list[str], ready: Callable[[], Awaitable[bool]], what: str) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + START_SECONDS
        while not await ready():
            for name in names:
                if processes.find(self.directory, name) is None:
                    tail = processes.log_tail(self.directory, name, lines=15)
                    raise PermanentError(f"Ray's {name} ended while it started; its log ends with:\n{tail}")
            if loop.time() > end:
                log = processes.log_path(self.directory, names[-1])
                raise RetryableError(f"Ray's {names[-1]} runs, but after {START_SECONDS:g} s not so that {what}; see {log}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _works(self) -> bool:
        """Whether each of the dashboard's own processes that this project speaks to answers."""
        try:
            async with open_client(self.address, _CALL_SECONDS) as client:
                paths = ("/api/jobs/", "/api/serve/applications/", "/api/v0/nodes")
                answers = await asyncio.gather(*(client.get(path) for path in paths))
            return all(answer.status_code == httpx.codes.OK for answer in answers)
        except httpx.HTTPError:
            return False

    async def _alive_workers(self) -> set[str]:
        """The ids of those that the head sees; one that was killed is among them for some seconds more."""
        try:
            async with open_client(self.address, _CALL_SECONDS) as client:
                nodes = (await client.get("/api/v0/nodes")).json()["data"]["result"]["result"]
            return {node["node_id"] for node in nodes if node["state"] == "ALIVE" and not node["is_head_node"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return set()
