"""What the agents of a traffic plane of several members ask of the controller's API."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Response, status

from heliostat.controller.backends.fleet import FleetRouter
from heliostat.traffic.messages import LONGEST_WAIT_SECONDS, Acknowledgement, MemberName, Report, WantedRoutes

PREFIX = "/v1/traffic/"
"""Of all of them."""


def add_traffic(app: FastAPI, fleet: FleetRouter) -> None:
    """Add the calls to the API."""

    @app.get(f"{PREFIX}wanted", response_model=None)
    async def wanted(
        revision: Annotated[int | None, Query(ge=0)] = None,
        seconds: Annotated[float, Query(gt=0, le=LONGEST_WAIT_SECONDS)] = 25.0,
    ) -> Response:
        found = await fleet.wanted_after(revision, seconds)
        if found is None:
            return Response(status_code=status.HTTP_204_NO_CONTENT)
        return _json(found)

    @app.put(f"{PREFIX}members/{{member}}")
    async def report(member: MemberName, report: Report) -> Acknowledgement:
        return fleet.take(member, report)


def _json(found: WantedRoutes) -> Response:
    return Response(found.model_dump_json(), media_type="application/json")
