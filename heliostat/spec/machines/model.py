"""What is said of machines, of pools of them and of the workers on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Cloud = Literal["aws", "gcp"]

GROUP_LABEL: Final = "heliostat/group"
"""The label of the nodes of a group's pool; its value is the group's name."""


class NoSuchMachineError(ValueError):
    """A cloud has no machine for a group where it is wanted; its text says what would fit."""

    def __init__(self, key: str, text: str) -> None:
        """`key` is the group's key that is at fault, as the config spells it."""
        super().__init__(text)
        self.key = key


@dataclass(frozen=True)
class Machine:
    """A machine type of a cloud."""

    name: str
    """As the cloud calls it: `g5.xlarge`, `ct6e-standard-4t`."""
    vcpus: int
    memory_gib: float
    accelerator: str | None = None
    """The GPU as Ray calls it, or the TPU's generation, as `v6e`; None for a machine without."""
    accelerators: int = 0
    """GPUs, or chips of a TPU, of one machine."""
    architecture: Literal["x86_64"] = "x86_64"
    """Images are made for this one; machines of another are in no catalog."""


@dataclass(frozen=True)
class Pool:
    """Machines that are alike, of which a group of nodes is made."""

    cloud: Cloud
    machine: Machine
    zones: tuple[str, ...]
    """Those of the asked zones that have the machine: elsewhere none could be made."""
    hosts: int = 1
    """Machines that come and go together: those of a slice of TPUs."""
    topology: str | None = None
    """Chips of a slice by dimension; None where these are no TPUs."""
    accelerator_type: str | None = None
    """The accelerator as the cloud calls it, as `nvidia-l4` or `tpu-v6e-slice`; None where the machine type says all."""
    pods: int = 110
    """Pods that one of the machines may have as a node."""

    @property
    def is_several_hosts(self) -> bool:
        """Whether machines of it come and go together."""
        return self.hosts > 1

    def sizes(self, least: int, most: int) -> tuple[tuple[int, int], ...]:
        """The least and most machines of each node pool that a cloud makes of it, for a group of so many nodes or slices.

        GKE makes one slice of several hosts a node pool; everything else is one node pool.
        """
        if not self.is_several_hosts:
            return ((least, most),)
        return tuple((self.hosts if number < least else 0, self.hosts) for number in range(most))


@dataclass(frozen=True)
class Taint:
    """What keeps pods that do not tolerate it off a node."""

    key: str
    value: str
    effect: Literal["NoSchedule"] = "NoSchedule"


@dataclass(frozen=True)
class Toleration:
    """What lets a pod run on a node with such a taint, whatever the taint's value."""

    key: str
    operator: Literal["Exists"] = "Exists"
    effect: Literal["NoSchedule"] = "NoSchedule"

    def manifest(self) -> dict[str, str]:
        """As a pod's specification has it."""
        return {"key": self.key, "operator": self.operator, "effect": self.effect}


@dataclass(frozen=True)
class WorkerShape:
    """A worker of the Ray cluster: a pod that has a node for itself."""

    cpus: int
    """Requested, and the limit."""
    memory_gib: float
    """Requested, and the limit."""
    resource: Literal["nvidia.com/gpu", "google.com/tpu"] | None = None
    """What a device plugin offers accelerators as."""
    resource_count: int = 0
    """Of each pod."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    hosts: int = 1
    """KubeRay's `numOfHosts`: pods of a replica."""
    ray_resources: Mapping[str, int] = field(default_factory=dict)
    """Custom resources beside those that Ray finds out itself from the pod's limits."""
    ray_start_params: Mapping[str, str] = field(default_factory=dict)
    """KubeRay's `rayStartParams`, `resources` among them where there are `ray_resources`."""
