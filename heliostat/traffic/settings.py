"""What an agent of the traffic plane is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from heliostat.spec.addresses import ControllerAddress, HttpUrl
from heliostat.spec.base import Model
from heliostat.spec.controller import TrafficSettings
from heliostat.spec.platforms.base import Host, Port
from heliostat.systems import processes
from heliostat.systems.haproxy_config import Plane
from heliostat.traffic.messages import MemberName


class AgentSettings(Model):
    """Of one agent."""

    directory: str
    """Absolute path of the folder that takes HAProxy's files and what was last applied."""
    controller: ControllerAddress
    member: MemberName
    """Its name among the members, another for each."""
    host: Host = "127.0.0.1"
    """Where HAProxy and the agent listen."""
    public_port: Port
    """Where HAProxy listens for clients."""
    port: Port
    """Where the agent's probes answer."""
    url: HttpUrl | None = None
    """Where peers reach the agent's port."""
    settle_seconds: Annotated[float, Field(ge=0)] = 5.0
    """How long it takes at most until nobody sends clients to a member any more that is not ready."""
    drain_seconds: Annotated[float, Field(ge=0)] = 30.0
    """How long what clients have on their way is waited for at the end."""
    traffic: TrafficSettings = TrafficSettings()

    @property
    def plane(self) -> Plane:
        """What HAProxy is started with."""
        directory = Path(self.directory)
        return Plane(
            host=self.host,
            public_port=self.public_port,
            directory=directory,
            runtime_directory=processes.runtime_directory(directory),
            threads=self.traffic.threads,
            max_connections=self.traffic.max_connections,
            answer_timeout_seconds=self.traffic.answer_timeout_seconds,
            one_of_several=True,
        )
