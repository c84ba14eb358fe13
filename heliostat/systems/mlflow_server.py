"""An MLflow tracking server and registry as one service of this machine: SQLite, one worker, artifacts in an object store."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from heliostat.spec.addresses import HttpAddress, StoreAddress
from heliostat.spec.platform_resources import TrackingServerInputs
from heliostat.systems import ports, processes
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import open_client
from heliostat.systems.objects import open_store
from heliostat.systems.storage.elsewhere import client_variables

HOST = "127.0.0.1"
NAME = "mlflow"
START_SECONDS = 180.0
ARTIFACTS = "mlflow"
"""Prefix of the artifacts in the object store."""
_DATABASE = "mlflow.db"
_LOOK_SECONDS = 0.25
_CALL_SECONDS = 5.0


@dataclass(frozen=True)
class MlflowServer:
    """The server of one data folder."""

    directory: Path

    @property
    def url(self) -> str:
        """The tracking URI."""
        return f"http://{HOST}:{ports.known(self.directory, NAME)}"

    @property
    def runs(self) -> bool:
        """Whether its process does."""
        return processes.find(self.directory, NAME) is not None

    async def start(self, inputs: TrackingServerInputs, say: Callable[[str], None]) -> None:
        """Start it, or adopt it where it runs as asked; return when it answers.

        Raises:
            PermanentError: the port is taken, or the server ended while it started.
            RetryableError: it did not answer in time.
        """
        service = await asyncio.to_thread(self._service, inputs)
        if not processes.is_as(service):
            await self.halt()
            say("starting MLflow")
            await asyncio.to_thread(processes.start, service)
        await self._until_healthy(say)

    async def halt(self) -> None:
        """End it; its port stays claimed."""
        await processes.stop(self.directory, NAME, grace_seconds=5)

    async def stop(self) -> None:
        """End it and remove what it left, but its database."""
        await self.halt()
        processes.forget(self.directory, NAME)
        ports.release(self.directory)
        shutil.rmtree(processes.runtime_directory(self.directory), ignore_errors=True)

    def erase(self, artifacts: StoreAddress) -> None:
        """Remove the database and the artifacts of a server that is stopped."""
        store = open_store(artifacts)
        for found in list(store.list(f"{ARTIFACTS}/")):
            store.delete(found.key)
        for suffix in ("", "-wal", "-shm", "-journal"):
            (self.directory / f"{_DATABASE}{suffix}").unlink(missing_ok=True)

    def _service(self, inputs: TrackingServerInputs) -> processes.Service:
        port = ports.claim(self.directory, NAME, inputs.port)
        self._refuse_damaged()
        own = f"{HOST}:{port},localhost:{port}"
        environment = {
            # What `mlflow server` would set for the worker that it starts; itself it is a second process of 150 MB.
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{self.directory / _DATABASE}",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{inputs.artifacts.uri.rstrip('/')}/{ARTIFACTS}",
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SGI_NAME": "uvicorn",
            # No page of another site may reach it through a browser.
            "MLFLOW_SERVER_ALLOWED_HOSTS": own,
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"http://{host}" for host in own.split(",")),
            # Its job runner is for evaluations of language models, and takes several processes.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        environment |= _bucket_variables(inputs.artifacts)
        arguments = ("--host", HOST, "--port", str(port), "--workers", "1", "--no-access-log", "mlflow.server.fastapi_app:app")
        return processes.Service(self.directory, NAME, (sys.executable, "-m", "uvicorn", *arguments), environment, kept=True)

    def _refuse_damaged(self) -> None:
        """MLflow itself would show a page of traceback for a database that is none."""
        path = self.directory / _DATABASE
        if not path.exists():
            return
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
                database.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            fix = "restore it from a backup, or move it away to begin with an empty one"
            raise PermanentError(f"MLflow's database {path} cannot be read ({error}); {fix}") from None

    async def _until_healthy(self, say: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with open_client(HttpAddress(url=self.url), _CALL_SECONDS) as client:
            while not await _healthy(client):
                waited = loop.time() - begin
                if not self.runs:
                    tail = processes.log_tail(self.directory, NAME, lines=15)
                    raise PermanentError(f"MLflow ended while it started; its log ends with:\n{tail}")
                if waited > START_SECONDS:
                    log = processes.log_path(self.directory, NAME)
                    raise RetryableError(f"MLflow runs, but did not answer at {self.url} in {START_SECONDS:g} s; see {log}")
                say("waiting for MLflow")
                await asyncio.sleep(_LOOK_SECONDS)


def _bucket_variables(artifacts: StoreAddress) -> dict[str, str]:
    """What MLflow cannot tell by the URI of where its artifacts are."""
    if artifacts.uri.startswith("gs://"):
        return client_variables(artifacts.endpoint)
    endpoint = {"MLFLOW_S3_ENDPOINT_URL": artifacts.endpoint} if artifacts.endpoint else {}
    return {**endpoint, **({"AWS_DEFAULT_REGION": artifacts.region} if artifacts.region else {})}


async def _healthy(client: httpx.AsyncClient) -> bool:
    """Whether it answers from its database, which the first such request makes."""
    try:
        if (await client.get("/health")).status_code != httpx.codes.OK:
            return False
        answer = await client.get("/api/2.0/mlflow/experiments/get", params={"experiment_id": "0"}, timeout=60)
    except httpx.HTTPError:
        return False
    if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
        raise PermanentError(f"MLflow cannot use its database: {answer.text.strip()[:2000]}")
    return answer.status_code == httpx.codes.OK
