"""The `platform` section of a stack's config: what the workloads run on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from heliostat.spec.platforms.aws import AwsPlatform
from heliostat.spec.platforms.gcp import GcpPlatform
from heliostat.spec.platforms.kubernetes import KubernetesPlatform
from heliostat.spec.platforms.local import LocalPlatform
from heliostat.spec.platforms.ray import RayPlatform


def _kind(given: Any) -> str:
    """The kind of a declared platform; the local one need not be named."""
    found = given.get("kind", "local") if isinstance(given, Mapping) else getattr(given, "kind", "local")
    return found if isinstance(found, str) else ""


Platform = Annotated[
    Annotated[LocalPlatform, Tag("local")]
    | Annotated[RayPlatform, Tag("ray")]
    | Annotated[KubernetesPlatform, Tag("kubernetes")]
    | Annotated[AwsPlatform, Tag("aws")]
    | Annotated[GcpPlatform, Tag("gcp")],
    Discriminator(_kind),
]
"""What the workloads run on, of any kind."""
