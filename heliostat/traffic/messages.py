"""What a controller and the agents of its traffic plane tell each other."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heliostat.spec.addresses import HttpUrl
from heliostat.spec.base import Model
from heliostat.spec.endpoints import TrafficSnapshot
from heliostat.traffic.routes import ApplicationRoute

REPORT_SECONDS = 0.5
"""Between two reports of an agent where nothing changed but what was counted; of other changes it tells at once."""
LEASE_SECONDS = 5.0
"""How long what a controller acknowledged entitles a member to clients that others could answer as well."""
HEARD_SECONDS = 15.0
"""How long a controller takes a silent member to route as it last said. It has to be longer than it takes a member without a
lease to lose its clients: the lease, a question to its peers, its readiness probe, and the news of that on every node."""
BEHIND_SECONDS = 10.0
"""How long a member may take to do what is wanted, until clients are better off at one that does."""
LONGEST_WAIT_SECONDS = 60.0
"""How long a question for news may wait."""

MemberName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
"""The name of a pod, or of a host."""


class WantedRoutes(Model):
    """What every member shall do."""

    revision: Annotated[int, Field(ge=0)] = 0
    """Rises with each change, over every start of the controller; 0 where nothing was ever declared."""
    routes: dict[str, ApplicationRoute] = {}
    """By application: all that shall be."""


class Report(Model):
    """What a member does."""

    url: HttpUrl | None = None
    """Where its peers ask how it is; None where it has none."""
    revision: int | None = None
    """The newest that it does wholly; None before the first."""
    ready: bool = False
    """Whether it asks for clients."""
    routes: bool = False
    """Whether it may have clients: what it does counts from here on."""
    gone: bool = False
    """Whether it has none any more, and ends: this is its last report."""
    snapshot: TrafficSnapshot | None = None
    """None while its HAProxy does not answer."""


class Acknowledgement(Model):
    """A controller's answer to a report, which renews the member's lease."""

    revision: int
    """The newest there is."""
    peers: tuple[HttpUrl, ...] = ()
    """Where the other members are asked how they are."""


class Sight(Model):
    """How a member is, as it tells its peers."""

    serves: bool
    """Whether it could have clients: it neither starts nor ends, and its HAProxy answers."""
    sighted: bool
    """Whether it reached a replica of late, where there shall be any."""
    leased: bool
    """Whether it hears from the controller."""
    current: bool
    """Whether it does what is wanted, or had no time to yet."""
