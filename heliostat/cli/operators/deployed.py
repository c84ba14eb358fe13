"""A stack's platform as state knows it: addresses that it exports, data folders of its parts, applications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliostat.cli.rollouts.locate import Stacks, platform_of, stacks_here
from heliostat.engine.stackerrors import NotFoundError
from heliostat.spec.addresses import Access, ControllerAddress, RayAddress, StoreAddress
from heliostat.systems.errors import PermanentError

TRACKING, RAY, CONTROLLER, APPLICATION, DATASET = (
    f"heliostat:index:{name}" for name in ("TrackingServer", "RayCluster", "Controller", "Application", "Dataset")
)


@dataclass(frozen=True)
class Deployed:
    """What is known of a platform without asking any part of it."""

    stack: str
    """The stack that is meant."""
    owner: str
    """The stack that made the platform: another one where the config names a `platformStack`."""
    exported: Mapping[str, Any] = field(default_factory=dict)
    """The owner's output `platform`; empty where it has none."""
    resources: Sequence[Mapping[str, Any]] = ()
    """The owner's, as its state holds them."""
    applications: Mapping[str, str] = field(default_factory=dict)
    """URLs of the stack's own applications, by name."""
    samples: Mapping[str, float] = field(default_factory=dict)
    """The share of the rows that each of the stack's data sets is, of those that are not whole."""

    @property
    def store(self) -> StoreAddress | None:
        """The object store."""
        return StoreAddress.model_validate(self.exported["store"]) if self.exported.get("store") else None

    @property
    def ray(self) -> RayAddress | None:
        """The Ray cluster."""
        return RayAddress.model_validate(self.exported["ray"]) if self.exported.get("ray") else None

    @property
    def controller(self) -> ControllerAddress | None:
        """The controller."""
        return ControllerAddress.model_validate(self.exported["controller"]) if self.exported.get("controller") else None

    @property
    def tracking_uri(self) -> str:
        """MLflow's address; empty where there is none."""
        return str(self.exported.get("trackingUri") or "")

    @property
    def tracking_access(self) -> Access | None:
        """How MLflow is reached from here, where that is otherwise than inside of the cluster."""
        return Access.model_validate(self.exported["trackingAccess"]) if self.exported.get("trackingAccess") else None

    @property
    def public_url(self) -> str:
        """Where clients reach every application; empty where they do not."""
        return str(self.exported.get("publicUrl") or "")

    @property
    def ray_nodes(self) -> int | None:
        """How many nodes are declared, the head included; None where that is not known."""
        declared = _outputs(self.resources, RAY)
        return 1 + int((declared.get("workers") or {}).get("count", 1)) if declared else None

    def directory(self, type_token: str) -> Path | None:
        """The data folder of a part whose processes run on a machine of ours; None of any other."""
        named = _outputs(self.resources, type_token).get("directory")
        return Path(named) if isinstance(named, str) else None


def deployed(stack: str | None) -> Deployed:
    """The platform of a stack, by its state alone.

    Raises:
        NotFoundError: no stack is meant, or there is none of that name.
        StackError: the state cannot be read.
    """
    stacks = stacks_here()
    name = stacks.name(stack)
    owner, exported = platform_of(stacks, name)
    own = _resources(stacks, name)
    resources = own if owner == name else _resources(stacks, owner)
    return Deployed(name, owner, exported, resources, _applications(own), _samples(own))


def with_platform(stack: str | None) -> Deployed:
    """The same, where the platform is up.

    Raises:
        PermanentError: there is none; the text says why, and what to do.
    """
    found = deployed(stack)
    if not found.exported:
        raise PermanentError(why_none(found))
    return found


def why_none(found: Deployed) -> str:
    """Why a stack has no platform, with the command that helps."""
    if found.resources:
        what = "has resources but exports no platform: its last `up` did not come to its end"
    else:
        what = "has nothing running: it was destroyed, or never brought up"
    return f"the stack {found.owner!r} {what}. Bring it up with `heliostat up -s {found.owner}`"


def _resources(stacks: Stacks, stack: str) -> Sequence[Mapping[str, Any]]:
    try:
        return stacks.resources(stack)
    except NotFoundError:  # a stack of workloads that is not brought up yet, on a platform that is
        return ()


def _applications(resources: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found = [dict(one.get("outputs") or {}) for one in resources if one["type"] == APPLICATION and not one.get("delete")]
    return {str(one["name"]): str(one["url"]) for one in found if one.get("name") and one.get("url")}


def _samples(resources: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found = [dict(one.get("outputs") or {}) for one in resources if one["type"] == DATASET and not one.get("delete")]
    return {str(one["name"]): float(one["sample"]) for one in found if one.get("name") and one.get("sample")}


def _outputs(resources: Sequence[Mapping[str, Any]], type_token: str) -> Mapping[str, Any]:
    found = [one.get("outputs") or {} for one in resources if one["type"] == type_token and not one.get("delete")]
    return found[0] if found else {}
