"""What every platform gives to the workloads on it, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi

from heliostat.resources.base import Address, all_or_nothing
from heliostat.spec.branch_environments import experiment_in, name_in
from heliostat.spec.groups import chosen
from heliostat.spec.own_cluster import own_cluster
from heliostat.spec.platforms.exported import PLATFORM, no_platform
from heliostat.spec.snapshot_settings import SnapshotSettings
from heliostat.spec.workload import TrainingCluster


@dataclass(frozen=True)
class Platform:
    """The addresses that workloads need; a stack exports them, and another reads them by StackReference."""

    store: pulumi.Input[Address]
    """The object store's `address`."""
    ray: pulumi.Input[Address]
    """The Ray cluster's `address`."""
    tracking_uri: pulumi.Input[str]
    """The tracking server's `tracking_uri`."""
    controller: pulumi.Input[Address]
    """The controller's `address`."""
    public_url: pulumi.Input[str]
    """The address below which clients reach the applications."""
    ray_session: pulumi.Input[str] = ""
    """The cluster's `session`, another one each time it is made anew: what ran on it is awaited again."""
    tracking_access: pulumi.Input[Address] | None = None
    """How MLflow is reached from outside of the cluster, where that is otherwise than inside: an `Access`."""
    groups: pulumi.Input[Mapping[str, Any]] | None = None
    """The groups of its nodes by name, each a `heliostat.spec.groups.WorkerGroup`, by alias; None where it has none."""
    ray_cluster: pulumi.Input[Address] | None = None
    """The Ray cluster as KubeRay has it, a `RayClusterAddress`: what clusters of trainings' own are made as; None where no
    KubeRay is."""
    ready: Sequence[pulumi.Resource] = ()
    """What workloads of the same stack come after, where no address hangs on it: as pods that are found by their names. Where
    these are replaced, `Handover` keeps the old ones until nothing is left there."""
    environment: str = ""
    """The name of the branch's environment that the workloads are declared in; empty of any other stack."""
    snapshots: pulumi.Input[Address] | None = None
    """The object store of another stack, whose snapshots are taken by reference; None where all are made here."""
    sample: float | None = None
    """The share of the rows of each data set that is taken; None: all."""

    def with_snapshots(self, settings: SnapshotSettings | None) -> Platform:
        """The same, for workloads whose snapshots are another stack's, or samples."""
        if settings is None:
            return self
        if settings.stack is None:
            return replace(self, sample=settings.sample)
        return replace(self, snapshots=_exported_by(settings.stack)["store"], sample=settings.sample)

    def own_name(self, name: str) -> str:
        """What an application or a batch prediction is called: after its environment, too, so that several go together."""
        return name_in(self.environment, name) if self.environment else name

    def experiment(self, workload: str) -> str | None:
        """The experiment of MLflow that trainings of a workload are in; None: the workload's."""
        return experiment_in(self.environment, workload) if self.environment else None

    def group(self, name: str | None) -> pulumi.Output[Any] | None:
        """The group of a name, as a `ChosenGroup`; None where none is named."""
        return None if name is None else pulumi.Output.from_input(self.groups).apply(lambda groups: chosen(groups, name))

    def own_cluster(self, wanted: TrainingCluster) -> pulumi.Output[Any] | None:
        """The `OwnCluster` of a training; None where it runs on the platform's."""
        if wanted is TrainingCluster.SHARED:
            return None
        return pulumi.Output.from_input(self.ray_cluster).apply(own_cluster)

    def exported(self) -> pulumi.Output[Any]:
        """The value of the stack's output `platform`."""
        return all_or_nothing(
            store=self.store,
            ray=self.ray,
            trackingUri=self.tracking_uri,
            controller=self.controller,
            publicUrl=self.public_url,
            raySession=self.ray_session,
            trackingAccess=self.tracking_access,
            groups=self.groups,
            rayCluster=self.ray_cluster,
        )

    @classmethod
    def of_stack(cls, stack: str, environment: str = "") -> Platform:
        """The platform that the stack `organization/project/stack` exported, for workloads or those of an environment."""
        exported = _exported_by(stack)
        return cls(
            store=exported["store"],
            ray=exported["ray"],
            tracking_uri=exported["trackingUri"],
            controller=exported["controller"],
            public_url=exported["publicUrl"],
            # A platform that an older version of this library brought up does not export it.
            ray_session=exported.apply(lambda found: found.get("raySession", "")),
            tracking_access=exported.apply(lambda found: found.get("trackingAccess")),
            groups=exported.apply(lambda found: found.get("groups")),
            ray_cluster=exported.apply(lambda found: found.get("rayCluster")),
            environment=environment,
        )


def _exported_by(stack: str) -> pulumi.Output[Any]:
    """The output `platform` of another stack.

    Raises, once it is known:
        pulumi.RunError: it has none; the engine shows the text alone, which says what to do.
    """

    def required(found: Any) -> Any:
        if not found:
            raise pulumi.RunError(no_platform(stack))
        return found

    return pulumi.StackReference(stack).get_output(PLATFORM).apply(required)
