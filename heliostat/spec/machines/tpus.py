"""Slices of TPUs: which topologies a generation has, and how many hosts each is.

What is legal here is what GKE makes and what Ray knows how to train on; both take a slice of v5e or v6e of at most eight chips
as one host, and every other as hosts of four chips.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CHIPS_OF_A_HOST: Final = 4
"""Chips of a host in a slice of several hosts."""
_FLAT: Final = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_SMALL: Final = ("2x2x1", "2x2x2", "2x2x4", "2x4x4")


@dataclass(frozen=True)
class Generation:
    """One generation of TPUs."""

    ray_type: str
    """Ray's `accelerator_type`."""
    largest: tuple[int, int, int] | None
    """Chips by dimension of the largest slice; None for the flat ones, whose slices are listed."""
    cores: int
    """Of a chip: sizes of slices are named by them, as `v5p-16` of eight chips."""
    ray_name: str
    """The generation as Ray calls it in the names of slices."""
    gke_type: str
    """The value of GKE's label of nodes."""


GENERATIONS: Final = {
    "v4": Generation("TPU-V4", (12, 12, 16), 2, "v4", "tpu-v4-podslice"),
    "v5e": Generation("TPU-V5LITEPOD", None, 1, "v5litepod", "tpu-v5-lite-podslice"),
    "v5p": Generation("TPU-V5P", (16, 16, 24), 2, "v5p", "tpu-v5p-slice"),
    "v6e": Generation("TPU-V6E", None, 1, "v6e", "tpu-v6e-slice"),
}
"""By the name that a group has."""


def chips_of(topology: str) -> int:
    """Chips of a slice."""
    return math.prod(map(int, topology.split("x")))


def hosts_of(generation: str, topology: str) -> int:
    """Machines of a slice."""
    return chips_of(topology) // chips_of_a_host(generation, topology)


def chips_of_a_host(generation: str, topology: str) -> int:
    """Chips of each machine of a slice."""
    chips = chips_of(topology)
    return chips if GENERATIONS[generation].largest is None and chips <= 2 * CHIPS_OF_A_HOST else CHIPS_OF_A_HOST


def topologies(generation: str) -> tuple[str, ...]:
    """All legal topologies, the smallest first."""
    largest = GENERATIONS[generation].largest
    if largest is None:
        return _FLAT
    return (*_SMALL, *sorted(_large(largest), key=lambda topology: (chips_of(topology), topology)))


def near(generation: str, topology: str) -> list[str]:
    """Legal topologies with about as many chips, up to three."""
    chips = chips_of(topology)
    found = sorted(topologies(generation), key=lambda each: abs(math.log2(chips_of(each) / chips)))[:3]
    return sorted(found, key=chips_of)


def pod_type(generation: str, topology: str) -> str:
    """Ray's name of a slice's size, as `v6e-16`."""
    found = GENERATIONS[generation]
    return f"{found.ray_name}-{chips_of(topology) * found.cores}"


def _large(largest: tuple[int, int, int]) -> Iterator[str]:
    """Those whose dimensions are multiples of four, each at least as large as the one before it."""
    for x in range(4, largest[0] + 1, 4):
        for y in range(x, largest[1] + 1, 4):
            for z in range(y, largest[2] + 1, 4):
                yield f"{x}x{y}x{z}"
