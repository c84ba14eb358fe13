"""What the controller of a cluster is started with: `settings.json` in its data folder, written by its resource."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AliasChoices, Field, model_validator

from heliostat.spec.addresses import ControllerAddress, HttpUrl, RayAddress, TokenFile, TokenVariable
from heliostat.spec.base import EntryPoint, Model, Name
from heliostat.spec.groups import NODE_TIMEOUT_SECONDS, WorkerGroup
from heliostat.spec.platform_resources import ControllerInputs
from heliostat.spec.platforms.base import Host, Port

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


class TrafficPlane(StrEnum):
    """Who routes requests."""

    LOCAL = "local"
    """One HAProxy beside the controller, which owns it."""
    FLEET = "fleet"
    """As many HAProxies as there are, elsewhere, each with an agent (`heliostat.traffic`) that comes for what it shall do."""


class ControllerSettings(Model):
    """Everything that the controller needs to know before it reads its database."""

    inputs: ControllerInputs
    api_port: Port
    public_port: Port
    """Where HAProxy listens for clients."""
    serve_port: Port
    """Where Serve's own proxy listens, as the replicas do; no client uses it, but Serve insists on one, by default on 8000."""
    runtime_directory: str = ""
    """Short folder for HAProxy's sockets, whose paths end at 107 bytes; of a local traffic plane."""
    traffic_plane: TrafficPlane = TrafficPlane.LOCAL
    traffic: TrafficSettings = Field(default_factory=TrafficSettings)
    """Of a local traffic plane; agents have their own."""
    listen: Host | None = None
    """Where the API listens, e.g. 0.0.0.0 in a pod; by default at the `host` by which others reach it."""
    token_file: Annotated[str, Field(pattern=r"^/")] | None = None
    """A file that holds the token, as a secret that is mounted; by default the `credential` of the inputs says where it is."""
    before: RayAddress | None = None
    """The cluster that the data folder's settings named before these, for a database that does not know yet where it was."""
    agents_credential: Annotated[TokenFile | TokenVariable, Field(discriminator="kind")] | None = None
    """Where another token is that lets in the agents of a fleet, and to nothing else; without one they have the same."""
    clients_url: HttpUrl | None = None
    """Where clients reach a fleet; by default the `host` with the public port."""
    groups: dict[Name, WorkerGroup] = {}
    """Groups whose workers an autoscaler brings when something waits for them; what they may still come to is room."""
    node_timeout_seconds: Annotated[float, Field(gt=0)] = NODE_TIMEOUT_SECONDS
    """How long a version may wait for nodes of the groups, on top of its own time to start."""
    serving_entry_point: EntryPoint = "heliostat.serving.replica:build"
    """What Serve imports: a function `(ServingArguments as JSON) -> serve.Application`."""
    analysis_module: str = Field("heliostat.analysis", validation_alias=AliasChoices("analysisModule", "analystModule"))
    """What runs beside an analysis; `heliostat.spec.analysis_runner` has its protocol. Older files say `analystModule`."""
    serving_deployment: str = "model"
    """The name of that application's one deployment. Serve restarts every replica when a deployment is first named in its
    config, so it is named from the beginning."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        wrong = []
        if self.traffic_plane is TrafficPlane.LOCAL:
            fleets = {"agentsCredential": self.agents_credential, "clientsUrl": self.clients_url}
            wrong += [f"{name} is of a fleet: leave it out" for name, value in fleets.items() if value is not None]
            if not self.runtime_directory:
                wrong.append("runtimeDirectory is missing: a local traffic plane has its sockets there")
        elif self.inputs.keeps:
            wrong.append("inputs.keeps names services of this machine, which a controller with a fleet starts none of")
        if self.token_file is not None and self.inputs.credential is not None:
            wrong.append("tokenFile and inputs.credential both say where the token is: leave one out")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def directory(self) -> Path:
        """The data folder."""
        return Path(self.inputs.directory)

    @property
    def public_url(self) -> str:
        """Where clients reach the applications."""
        return self.clients_url or f"http://{self.inputs.host}:{self.public_port}"

    @property
    def address(self) -> ControllerAddress:
        """Where the API answers, and to whom."""
        credential = self.inputs.credential or TokenFile(path=self.token_file or str(self.directory / TOKEN_FILE))
        return ControllerAddress(url=f"http://{self.inputs.host}:{self.api_port}", credential=credential)
