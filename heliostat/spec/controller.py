"""What the controller of a cluster is started with: `settings.json` in its data folder, written by its resource."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field

from heliostat.spec.addresses import ControllerAddress, TokenFile
from heliostat.spec.base import EntryPoint, Model
from heliostat.spec.platforms.base import Port
from heliostat.spec.resources import ControllerInputs

SETTINGS_FILE = "settings.json"
TOKEN_FILE = "token"  # noqa: S105 - a file's name
SERVICE = "controller"
"""Names of the processes in the data folder; HAProxy outlives a dead controller on purpose."""
TRAFFIC_SERVICE = "haproxy"
KEEPER_SERVICE = "keeper"
"""What starts the controller again when it dies, and the services that the controller's inputs name."""

DRAIN_SECONDS = 6
"""How long a stopping replica still answers what it has; the cluster's nodes are started with it. The traffic plane
leaves a replica in far less."""


class TrafficSettings(Model):
    """How HAProxy runs."""

    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """One carries several times what two replicas of Python can answer; more only takes their cores."""
    max_connections: Annotated[int, Field(ge=16, le=100_000)] = 2048
    """Connections of clients at a time; further ones wait in the kernel's backlog."""
    answer_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How long a replica may take to answer one request."""


class ControllerSettings(Model):
    """Everything that the controller needs to know before it reads its database."""

    inputs: ControllerInputs
    api_port: Port
    public_port: Port
    """Where HAProxy listens for clients."""
    serve_port: Port
    """Where Serve's own proxy listens, as the replicas do; no client uses it, but Serve insists on one, by default on 8000."""
    runtime_directory: str
    """Short folder for HAProxy's sockets, whose paths end at 107 bytes."""
    traffic: TrafficSettings = Field(default_factory=TrafficSettings)
    serving_entry_point: EntryPoint = "heliostat.serving.replica:build"
    """What Serve imports: a function `(ServingArguments as JSON) -> serve.Application`."""
    analysis_module: str = Field("heliostat.analysis", validation_alias=AliasChoices("analysisModule", "analystModule"))
    """What runs beside an analysis; `heliostat.spec.analysis_runner` has its protocol. Older files say `analystModule`."""
    serving_deployment: str = "model"
    """The name of that application's one deployment. Serve restarts every replica when a deployment is first named in its
    config, so it is named from the beginning."""

    @property
    def directory(self) -> Path:
        """The data folder."""
        return Path(self.inputs.directory)

    @property
    def public_url(self) -> str:
        """Where clients reach the applications."""
        return f"http://{self.inputs.host}:{self.public_port}"

    @property
    def address(self) -> ControllerAddress:
        """Where the API answers, and to whom."""
        credential = self.inputs.credential or TokenFile(path=str(self.directory / TOKEN_FILE))
        return ControllerAddress(url=f"http://{self.inputs.host}:{self.api_port}", credential=credential)
