"""How an application moves from one version to the next: typed values, chosen in the config.

The terms are the field's own (Kubernetes Deployments, Argo Rollouts).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heliostat.spec.base import Model


class Recreate(Model):
    """Stop the old version, then start the new one: no capacity on top, and a gap without service."""

    kind: Literal["recreate"] = "recreate"


class Rolling(Model):
    """Move replicas from the old version to the new one a share at a time; both answer meanwhile."""

    kind: Literal["rolling"] = "rolling"
    percentage: Annotated[int, Field(gt=0, le=100)] = 50
    """Share of the replicas that moves in one step, in percent, rounded up to a whole replica."""
    max_surge: Annotated[int, Field(ge=0)] = 1
    """Replicas that may exist on top of the declared number while it runs; 0 stops an old one before each new one."""
    min_healthy_percentage: Annotated[int, Field(ge=0, le=100)] = 50
    """Share of the declared replicas that is always healthy, in percent."""


class BlueGreen(Model):
    """Start the whole new version beside the old one, test it, move all traffic at once, keep the old one a while."""

    kind: Literal["blue-green"] = "blue-green"
    retention_seconds: Annotated[float, Field(ge=0, le=7 * 86400)] = 30.0
    """How long the old version stays up after the switch, ready to take the traffic back, in seconds."""


Strategy = Annotated[Recreate | Rolling | BlueGreen, Field(discriminator="kind")]
