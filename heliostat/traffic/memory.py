"""What an agent keeps in its folder: what was last wanted, and what HAProxy was last told of it."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from heliostat.spec.addresses import HttpUrl
from heliostat.spec.formatting import counted
from heliostat.systems import processes
from heliostat.systems.errors import PermanentError, explained
from heliostat.systems.faults import Faults
from heliostat.systems.haproxy_config import Route
from heliostat.traffic.messages import WantedRoutes

_WANTED, _ROUTES, _PEERS = "wanted.json", "routes.json", "peers.json"
_ROUTE_TYPE, _PEERS_TYPE = TypeAdapter(dict[str, Route]), TypeAdapter(tuple[HttpUrl, ...])


class AgentMemory:
    """A `RouteMemory` of a few files, each written at once or not at all."""

    def __init__(self, directory: Path) -> None:
        """Read the files of a folder, which is made where it is not there.

        Raises:
            PermanentError: they cannot be read, or are none of ours.
        """
        self.faults = Faults()
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            routes, wanted, peers = (_read(directory / name) for name in (_ROUTES, _WANTED, _PEERS))
        except OSError as error:
            raise explained(error, f"read {directory}") from error
        try:
            self._routes = _ROUTE_TYPE.validate_json(routes) if routes is not None else {}
            self.wanted = WantedRoutes.model_validate_json(wanted) if wanted is not None else None
            """None before anything was."""
            self.peers = _PEERS_TYPE.validate_json(peers) if peers is not None else ()
            """The other members, as the controller knew them last."""
        except ValidationError as error:
            raise PermanentError(
                f"{directory} holds files that an agent of another release wrote, or a damaged one; remove its JSON "
                f"files: the controller tells all of it again ({counted(error.error_count(), 'mistake')})"
            ) from None

    def routes(self) -> dict[str, Route]:
        """What HAProxy was last told, by application."""
        return dict(self._routes)

    def save_routes(self, routes: dict[str, Route]) -> None:
        """Keep what HAProxy is about to be told: all of it.

        Raises:
            OSError: the folder cannot be written.
        """
        self._routes = dict(routes)
        processes.write_private(self._directory / _ROUTES, _ROUTE_TYPE.dump_json(self._routes).decode())

    def save_route(self, route: Route) -> None:
        """Keep what HAProxy is about to be told of one application.

        Raises:
            OSError: the folder cannot be written.
        """
        self.save_routes({**self._routes, route.application: route})

    def save_wanted(self, wanted: WantedRoutes) -> None:
        """Keep what is about to be applied; where it cannot be written, it is applied all the same."""
        self.wanted = wanted
        text = wanted.model_dump_json()
        self.faults.attempt(lambda: processes.write_private(self._directory / _WANTED, text))

    def save_peers(self, peers: tuple[HttpUrl, ...]) -> None:
        """Keep who the other members are."""
        if peers != self.peers:
            self.peers = peers
            text = _PEERS_TYPE.dump_json(peers).decode()
            self.faults.attempt(lambda: processes.write_private(self._directory / _PEERS, text))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
