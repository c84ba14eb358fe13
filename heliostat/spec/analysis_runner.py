"""The analysis runner's protocol: a process that the controller runs beside an analysis, `python -m heliostat.analysis`.

    argv     --task FILE, an AnalysisTask
    stdin    a line of Endpoints whenever replicas came or went; its end is the order to stop
    stdout   a line of `heliostat.spec.analysis.Figures` about twice a second and at the end

It sends requests that clients sent, or copies of those that they send, to replicas of both versions, past the traffic plane.
It keeps nothing: killed, another one begins anew, with what is left of the analysis's time.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heliostat.spec.analysis import Analysis
from heliostat.spec.base import Model, Name
from heliostat.spec.rollouts import Version


class AnalysisTask(Model):
    """What is compared, and how."""

    application: Name
    analysis: Analysis
    candidate: Version
    serving: Version | None
    """None: there is nothing to compare with."""
    shadow_share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Copy this share of the requests while they come, for as long as the analysis lasts; None: replay recent ones until there
    are enough."""
    elapsed_seconds: Annotated[float, Field(ge=0)] = 0.0
    """How much of the analysis's time was over when this process began."""


class Endpoints(Model):
    """Where replicas answer, as URLs up to their prefix: `http://127.0.0.1:30000/_/flights/blue`."""

    candidate: tuple[str, ...] = ()
    serving: tuple[str, ...] = ()
